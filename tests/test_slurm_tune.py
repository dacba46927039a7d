"""`paw-bench tune --cluster` on a real Slurm: trials in arrays, pruning by scancel, passes that go on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from devcluster import Devcluster
from optuna.trial import TrialState
from test_slurm_sweep import PROFILE
from tuning import RUN, STUDY, Tuning

from paw_bench import cli_tune

_GRID = STUDY.replace("low: 1e-6, high: 1e-2, log: true", "choices: [1e-6, 1e-5, 1e-4, 1e-3]").replace("random", "grid")
_PRUNED = """while_tuning: { evaluation: { every: 2 } }
pruner: { kind: asha, min_updates: 2, reduction: 2 }
"""
_STUDY = (
    _GRID[: _GRID.index("  world_model")].replace("{ grpo: , paw: }", "{ grpo: }") + _GRID[_GRID.index("trials:") :]
)


@pytest.fixture
def tuning(slurm: Devcluster, tmp_path: Path) -> Iterator[Tuning]:
    found = Tuning(tmp_path, _STUDY + _PRUNED)
    (tmp_path / "cluster.yaml").write_text(PROFILE.format(partition="gpu", time="00:20:00"))
    yield found
    slurm.slurm("scancel", f"--user={os.getuid()}")  # no test finds jobs of another


def tune(tuning: Tuning, *, wait: bool) -> int:
    """`paw-bench tune --cluster`, two runs at a time."""
    if "parallel" not in tuning.file.read_text():
        tuning.file.write_text(tuning.file.read_text() + "parallel: 2\n")
    keep = [sys.executable, str(Path(__file__).with_name("trivial_sweep.py")), "keep"]
    gpu = ["execution.device=cuda", "execution.gpus=1"]
    return cli_tune.tune_on(
        tuning.file, tuning.file.with_name("cluster.yaml"), scale=None, overrides=gpu, trials=None, dry_run=False,
        as_json=False, results=tuning.results, retry=False, wait=wait, command=RUN, keep=keep,
    )  # fmt: skip


def test_trials_on_a_cluster_are_submitted_pruned_and_told(
    tuning: Tuning, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIVIAL", json.dumps({"update_s": 3.0}))
    assert tune(tuning, wait=False) == 0
    assert "2 queued" in capsys.readouterr().out
    assert tune(tuning, wait=True) == 0
    (trials,) = tuning.trials().values()
    states = {trial.params["algorithm.learning_rate"]: trial.state for trial in trials}
    assert states[1e-4] == TrialState.COMPLETE
    assert TrialState.PRUNED in states.values()
    assert set(states.values()) <= {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in trials:
        run = tuning.run_of(trial)
        assert len(run.attempts()) == 1
        assert (run.result() is None) == (trial.state == TrialState.PRUNED) == (len(run.metrics()) < 6)
    events = [event["event"] for event in tuning.plan.sweep.events()]
    assert events.count("cancelled") >= 1
