"""A study whose driver is killed again and again: no trial is lost, none runs twice, all finish."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import TrialState
from tuning import STUDY, Tuning, forked

from paw_bench.tune.storage import JOURNAL
from paw_bench.tune.trials import RUNS

KILLS = 50
TORN = b'{"op_code":5,"worker_id":"half a rec'


def wait_for_news(folder: Path) -> None:
    """Until a run of the study has published, if one is to: the next driver finds something to tell."""
    published = len(list(folder.glob("runs/*/result.json")))
    deadline = time.monotonic() + (20 if published < len(list(folder.glob("runs/*"))) else 0)
    while time.monotonic() < deadline and len(list(folder.glob("runs/*/result.json"))) == published:
        time.sleep(0.05)


def test_fifty_kills_of_the_driver_lose_no_trial_and_run_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning = Tuning(tmp_path, STUDY.replace("trials: 4", "trials: 8"))
    monkeypatch.setenv("TRIVIAL", json.dumps({"update_s": 0.02}))
    dice = random.Random(20)
    journal = tuning.plan.folder / JOURNAL
    progress = []
    for kill in range(KILLS):
        # Half of them anywhere, half in the middle of writing.
        with forked(tuning, parallel=3, dies_at=dice.randint(1, 150) if kill % 2 else None) as child:
            time.sleep(dice.uniform(0.0, 0.7))
            os.kill(child, signal.SIGKILL)
        if kill % 3 == 0:
            wait_for_news(tuning.plan.folder)
        progress.append(sum(map(len, tuning.trials().values())))
        if kill % 10 == 0:
            with journal.open("ab") as file:
                file.write(TORN)
    assert progress == sorted(progress), "a trial was lost"
    assert len(set(progress)) > 5, "the kills fell between few states"
    tuning.drive(parallel=4)
    trials = tuning.trials()
    assert {arm: len(found) for arm, found in trials.items()} == {"grpo": 8, "paw": 8}
    everything = [trial for found in trials.values() for trial in found]
    assert {trial.state for trial in everything} == {TrialState.COMPLETE}
    runs = [run_id for trial in everything for run_id in trial.user_attrs[RUNS]]
    assert sorted(runs) == sorted(path.name for path in (tuning.plan.folder / "runs").iterdir())
    for trial in everything:
        run = tuning.run_of(trial)
        assert [record["update"] for record in run.metrics()] == [1, 2, 3, 4, 5, 6]
        assert Counter(event["event"] for event in run.events())["attempt_started"] == 1
