"""Runs that a study stopped for good, and experiment files whose settings a study chose."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeping import Sweeping
from trivial_run import body

from paw_bench.config.load import load_experiment_file
from paw_bench.errors import ConfigError
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.sweep.plan import plan
from paw_bench.sweep.status import sweep_status
from paw_bench.sweep.supervise import supervise

_TUNED = """
tuned:
  study: tune_tiny-dot
  panel: {panel}
  trials: {{ grpo: 4, paw: 4 }}
  seeds: [0]
  scores: {{ grpo: 0.25, paw: 0.5 }}
"""


def _planned(sweeping: Sweeping) -> RunDirectory:
    run = plan(load_experiment_file(sweeping.file)).runs[0]
    path = sweeping.sweep.run_path(run.run_id)
    return RunDirectory.create(path, RunInfo(run.run_id, "tiny", run.arm, run.axes, run.seed), run.config)


def test_no_attempt_works_on_a_pruned_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _planned(Sweeping(tmp_path))
    run.prune(reason="among the worst at update 2", update=2)
    run.prune(reason="said again", update=4)
    assert supervise(run.path, body) == 0
    assert "among the worst at update 2" in capsys.readouterr().out
    assert run.attempts() == []
    assert run.result() is None


def test_a_sweep_over_a_pruned_run_leaves_it_and_says_so(tmp_path: Path) -> None:
    sweeping = Sweeping(tmp_path)
    run = _planned(sweeping)
    run.prune(reason="among the worst", update=2)
    done = sweeping.call()
    assert "1 of 2 runs done, 1 pruned" in done.stdout
    assert run.attempts() == []
    states = {status.arm: status.state for status in sweep_status(sweeping.sweep)}
    assert states == {"grpo": "pruned", "paw": "done"}


def test_settings_are_not_reported_on_the_panel_they_were_tuned_on(tmp_path: Path) -> None:
    sweeping = Sweeping(tmp_path)
    text = sweeping.file.read_text()
    sweeping.file.write_text(text + _TUNED.format(panel="tune"))
    tuned = plan(load_experiment_file(sweeping.file)).file.tuned
    assert tuned is not None
    assert tuned.scores == {"grpo": 0.25, "paw": 0.5}
    with pytest.raises(ConfigError, match=r"--set: evaluation\.panel: the settings were chosen on this panel"):
        plan(load_experiment_file(sweeping.file, overrides=["evaluation.panel=tune"]))
    sweeping.file.write_text(text + _TUNED.format(panel="valid_seen"))
    with pytest.raises(ConfigError, match=r"by the study tune_tiny-dot.*\n.*valid_unseen"):
        plan(load_experiment_file(sweeping.file))
