"""Whole studies over trivial runs: trials are ordinary runs, told once; pruning; faults; what is left in `tuning/`."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sweeping import wait_for
from trivial_trial import success_of
from tuning import STUDY, Tuning, forked

from paw_bench.config.load import load_experiment_file
from paw_bench.errors import ConfigError, StoreError
from paw_bench.store.run_directory import RunDirectory
from paw_bench.sweep.plan import plan
from paw_bench.sweep.status import sweep_status
from paw_bench.tune.trials import REASON, RUNS, SAME_AS

GRID = STUDY.replace("low: 1e-6, high: 1e-2, log: true", "choices: [1e-6, 1e-5, 1e-4, 1e-3]").replace("random", "grid")
ONLY_RATE = GRID[: GRID.index("  world_model")] + GRID[GRID.index("trials:") :]


def behave(monkeypatch: pytest.MonkeyPatch, **behaviour: float) -> None:
    monkeypatch.setenv("TRIVIAL", json.dumps(behaviour))


def test_a_study_from_file_to_best(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tuning = Tuning(tmp_path)
    assert tuning.tune() == 0
    folder = tuning.plan.folder / "tuning"
    printed = capsys.readouterr().out
    assert "| grpo |" in printed
    assert "Every arm has the same trials" in printed

    for arm, trials in tuning.trials().items():
        assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4
        for trial in trials:
            run = tuning.run_of(trial)
            assert (run.info.arm, run.info.axes, run.info.seed) == (arm, {"trial": trial.number}, 7)
            rate = trial.params["algorithm.learning_rate"]
            assert run.config.experiment.algorithm.learning_rate == rate
            assert trial.value == success_of(rate)
    assert {status.state for status in sweep_status(tuning.plan.sweep)} == {"done"}
    grpo, paw = tuning.trials().values()
    rates = [[trial.params["algorithm.learning_rate"] for trial in trials] for trials in (grpo, paw)]
    assert rates[0] == rates[1], "random trials of two arms are pairs"
    assert len(set(rates[0])) == 4

    file = load_experiment_file(folder / "best.yaml")
    planned = plan(file)
    assert {run.seed for run in planned.runs} == {0, 1}
    assert {run.config.experiment.evaluation.panel for run in planned.runs} == {"valid_seen"}
    best = {arm: max(trials, key=lambda trial: trial.value or 0.0) for arm, trials in tuning.trials().items()}
    for arm, trial in best.items():
        rate = trial.params["algorithm.learning_rate"]
        assert file.resolve(arm, {}).algorithm.learning_rate == rate
        alone = load_experiment_file(folder / "best" / f"{arm}.yaml")
        assert alone.resolve(arm, {}) == file.resolve(arm, {})
    with pytest.raises(ConfigError, match="the settings were chosen on this panel by the study tune-dot"):
        plan(load_experiment_file(folder / "best.yaml", overrides=["evaluation.panel=tune"]))

    rows = list(csv.DictReader((folder / "table.csv").open()))
    assert [(row["arm"], row["trials"], row["complete"]) for row in rows] == [("grpo", "4", "4"), ("paw", "4", "4")]
    assert float(rows[0]["best"]) == best["grpo"].value
    assert len(list(csv.DictReader((folder / "trials.csv").open()))) == 8
    names = {path.name for path in (folder / "figures").iterdir()}
    assert names == {
        f"{name}.{kind}"
        for name in ("history", "slice", "parallel_coordinate", "importance")
        for kind in ("pdf", "png")
    }
    copy = optuna.load_study(study_name="tune-dot/paw", storage=f"sqlite:///{folder / 'optuna.sqlite3'}")
    assert [trial.params for trial in copy.trials] == [trial.params for trial in tuning.trials()["paw"]]

    tuning.file.write_text(tuning.file.read_text().replace("trials: 4", "trials: 5"))
    tuning.drive()
    more = tuning.trials()["paw"]
    assert [trial.params for trial in more[:4]] == [trial.params for trial in copy.trials]
    assert more[4].params["algorithm.learning_rate"] not in rates[1]


def test_two_trials_with_the_same_settings_are_one_run(tmp_path: Path) -> None:
    study = ONLY_RATE.replace("choices: [1e-6, 1e-5, 1e-4, 1e-3]", "choices: [1e-4, 1e-5]").replace("grid", "random")
    tuning = Tuning(tmp_path, study)
    tuning.drive()
    for trials in tuning.trials().values():
        runs = [trial.user_attrs[RUNS][0] for trial in trials]
        assert len(set(runs)) == 2
        for trial in trials:
            first = runs.index(trial.user_attrs[RUNS][0])
            assert trial.user_attrs.get(SAME_AS, "itself").split()[-1] == (
                "itself" if first == trial.number else str(first)
            )
            assert trial.value == trials[first].value
            assert len(tuning.run_of(trial).attempts()) == 1


@pytest.mark.parametrize(
    ("pruner", "first"),
    [("{ kind: asha, min_updates: 2, reduction: 2 }", 2), ("{ kind: median, min_updates: 4, startup_trials: 1 }", 4)],
)
def test_bad_trials_are_stopped_and_stay_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pruner: str, first: int
) -> None:
    behave(monkeypatch, update_s=1.0)
    evaluated = "trials: 4\nwhile_tuning: { evaluation: { every: 2 } }\npruner: " + pruner
    tuning = Tuning(
        tmp_path, ONLY_RATE.replace("arms: { grpo: , paw: }", "arms: { grpo: }").replace("trials: 4", evaluated)
    )
    tuning.drive(parallel=1)
    (trials,) = tuning.trials().values()
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    best = max(trials, key=lambda trial: success_of(trial.params["algorithm.learning_rate"]))
    assert best.state == TrialState.COMPLETE
    pruned = [tuning.run_of(trial) for trial in trials if trial.state == TrialState.PRUNED]
    for trial in trials:
        reached = max(trial.intermediate_values)
        assert reached >= first
        assert trial.intermediate_values[reached] == pytest.approx(
            success_of(trial.params["algorithm.learning_rate"]), abs=0.011
        )
        assert (REASON in trial.user_attrs) == (trial.state == TrialState.PRUNED)
    for run in pruned:
        assert run.result() is None
        assert len(run.metrics()) < 6
        assert run.latest_checkpoint() is not None
        assert run.events()[-1]["event"] == "attempt_ended"
    tuning.drive()
    assert [len(run.attempts()) for run in pruned] == [1] * len(pruned)
    assert [status.state for status in sweep_status(tuning.plan.sweep)].count("pruned") == len(pruned)


def test_a_killed_run_resumes_as_the_same_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    behave(monkeypatch, kill=1)
    tuning = Tuning(tmp_path, STUDY.replace("trials: 4", "trials: 1"))
    tuning.drive()
    for (trial,) in tuning.trials().values():
        run = tuning.run_of(trial)
        assert trial.state == TrialState.COMPLETE
        assert len(run.attempts()) == 2
        assert [record["update"] for record in run.metrics()] == [1, 2, 3, 4, 5, 6]


def test_settings_that_fail_in_training_are_told_and_the_machine_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    behave(monkeypatch, fail=5e-4)
    tuning = Tuning(tmp_path, ONLY_RATE)
    assert tuning.tune() == 0
    for trials in tuning.trials().values():
        failed = [trial for trial in trials if trial.state == TrialState.FAIL]
        assert [trial.params["algorithm.learning_rate"] for trial in failed] == [1e-3]
        assert failed[0].user_attrs[REASON] == "ValueError: the loss is not finite"
    assert "4 trials over 1 keys: 3 complete, 1 failed" in capsys.readouterr().out


def test_a_machine_that_fails_leaves_trials_open_for_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    behave(monkeypatch, memory=1)
    tuning = Tuning(tmp_path, ONLY_RATE)
    assert tuning.tune(parallel=2) == 1
    assert "is left open" in capsys.readouterr().out
    before = tuning.trials()
    assert [trial.state for trials in before.values() for trial in trials] == [TrialState.RUNNING] * 2
    behave(monkeypatch)
    assert tuning.tune(retry=True) == 0
    after = tuning.trials()
    assert {arm: trials[0].params for arm, trials in after.items()} == {
        arm: trials[0].params for arm, trials in before.items()
    }
    assert {trial.state for trials in after.values() for trial in trials} == {TrialState.COMPLETE}


def test_a_second_driver_is_refused_and_a_killed_one_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave(monkeypatch, update_s=0.5)
    tuning = Tuning(tmp_path, ONLY_RATE.replace("trials: 4", "trials: 1"))
    with forked(tuning, parallel=1) as child:
        wait_for(lambda: any(RunDirectory(path).is_locked() for path in tuning.plan.folder.glob("runs/*")))
        with pytest.raises(StoreError, match="another paw-bench sweep is at work on this folder"):
            tuning.drive()
        os.kill(child, signal.SIGKILL)
    tuning.drive(parallel=1)
    for (trial,) in tuning.trials().values():
        assert trial.state == TrialState.COMPLETE
        assert len(tuning.run_of(trial).attempts()) == 1


def test_an_arm_that_only_fails_is_not_asked_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    behave(monkeypatch, fail=0.0)
    tuning = Tuning(tmp_path, ONLY_RATE.replace("arms: { grpo: , paw: }", "arms: { grpo: }"))
    assert tuning.tune(parallel=1) == 1
    assert len(tuning.trials()["grpo"]) == 3
    assert "every trial of grpo failed so far" in capsys.readouterr().out


def test_a_study_keeps_its_settings_and_its_folder(tmp_path: Path) -> None:
    tuning = Tuning(tmp_path, ONLY_RATE.replace("trials: 4", "trials: 1"))
    tuning.drive()
    text = tuning.file.read_text()
    tuning.file.write_text(text.replace("seed: 0", "seed: 1").replace("[1e-6, ", "["))
    with pytest.raises(StoreError, match=r"the study's space\.grpo\.algorithm\.learning_rate\.distribution is"):
        tuning.drive()
    tuning.file.write_text(text)
    experiment = tmp_path / "tune.yaml"
    experiment.write_text((tmp_path / "tiny.yaml").read_text())
    from paw_bench import cli_sweep

    with pytest.raises(StoreError, match="holds a study of paw-bench tune"):
        cli_sweep.sweep(
            experiment, scale=None, overrides=(), dry_run=False, as_json=False, parallel=1, results=tuning.results,
            retry=False,
        )  # fmt: skip
