"""What a sweep costs is said before it starts, and beyond the budget it is not started without a yes."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from experiment_files import ARMS, HEAD, SEEDS, load, refused, write
from rich.console import Console
from sweeping import Sweeping

from paw_bench.cli_budget import power_of, power_report, require_budget, to_start
from paw_bench.config.profile import load_profile
from paw_bench.errors import UserError
from paw_bench.sweep.calibration import Calibration, Speed
from paw_bench.sweep.cost import CostPrediction, Size, predict
from paw_bench.sweep.plan import Plan, PlannedRun, plan
from paw_bench.sweep.status import RunStatus

BUDGET = "budget: {{ gpu_hours: {}, core_hours: {} }}\n"
SPEED = Speed(
    model="embedded",
    environment="alfworld",
    device="cpu",
    max_turns=20,
    startup_seconds=3600.0,
    rollout_seconds_per_episode=0.0,
    training_seconds_per_episode=0.0,
    evaluation_seconds_per_episode=0.0,
    measured="in a test",
)
"""Every run takes an hour."""
AN_HOUR = Calibration(schema_version=1, entries=[SPEED])
UNMEASURED = Calibration(schema_version=1, entries=[])


def planned(folder: Path, *, gpu: float = 1e9, core: float = 1e9) -> Plan:
    """Four runs."""
    return plan(load(folder, HEAD + ARMS + SEEDS + BUDGET.format(gpu, core)))


def asked(made: Plan, cost: CostPrediction, *, yes: bool = False, runs: list[str] | None = None) -> str | None:
    """What is said where the runs are not started; None where they are."""
    ids = [run.run_id for run in made.runs] if runs is None else runs
    try:
        require_budget(cost, ids, made.file.limits, yes=yes, console=Console(file=io.StringIO()))
    except UserError as error:
        return str(error)
    return None


def test_hours_are_those_of_gpus_or_else_of_cores(tmp_path: Path) -> None:
    made = planned(tmp_path)
    with_gpus = {made.runs[0].run_id, made.runs[1].run_id}
    cost = predict(made, calibration=AN_HOUR, size=lambda run: Size(4, 8) if run.run_id in with_gpus else Size(0, 8))
    everything = [run.run_id for run in made.runs]
    assert (cost.hours("gpu", everything), cost.hours("core", everything)) == (8.0, 16.0)
    assert cost.hours("gpu", [made.runs[2].run_id]) == 0.0


def test_within_the_budget_nothing_is_asked(tmp_path: Path) -> None:
    made = planned(tmp_path, core=4.0)
    assert asked(made, predict(made, calibration=AN_HOUR)) is None


def test_beyond_it_the_refusal_names_file_line_key_and_remedy(tmp_path: Path) -> None:
    made = planned(tmp_path, core=3.9)
    said = asked(made, predict(made, calibration=AN_HOUR))
    assert said is not None
    assert "4 runs to start:\n  about 4.0 core hours; " in said
    assert "mine.yaml:7: budget.core_hours: 3.9" in said
    assert "remedy: start them all the same with --yes" in said
    assert asked(made, predict(made, calibration=AN_HOUR), yes=True) is None


def test_only_what_would_be_started_counts(tmp_path: Path) -> None:
    made = planned(tmp_path, core=3.9)
    runs = [run.run_id for run in made.runs]
    assert asked(made, predict(made, calibration=AN_HOUR), runs=runs[1:]) is None
    states = ("done", "running", "queued", "failed")
    statuses = [
        RunStatus(run_id=run.run_id, arm=run.arm, axes={}, seed=run.seed, path=tmp_path, state=state)
        for run, state in zip(made.runs, states, strict=True)
    ]
    assert to_start(made, statuses, {}) == runs[3:]
    assert to_start(made, statuses, {runs[3]}) == []


def test_an_unknown_cost_is_asked_about_unless_the_time_limit_keeps_it_within_the_budget(tmp_path: Path) -> None:
    made = planned(tmp_path, core=20.0)
    assert "unknown number of core hours (nothing was measured)" in str(
        asked(made, predict(made, calibration=UNMEASURED))
    )

    def limited(seconds: float) -> CostPrediction:
        return predict(made, calibration=UNMEASURED, size=lambda run: Size(0, 1, limit_s=seconds))

    assert "at most 40 by the time limit of one attempt each" in str(asked(made, limited(36_000)))
    assert asked(made, limited(18_000)) is None


def test_a_bad_budget_is_refused_with_its_line(tmp_path: Path) -> None:
    error = refused(tmp_path, HEAD + ARMS + SEEDS + "budget: { gpu_hour: 3 }\n")
    assert error.key == "budget.gpu_hour"
    assert "gpu_hours" in str(error)
    profile = load_profile(write(tmp_path, "schema_version: 1\nbudget: { gpu_hours: 7 }\n", "cluster.yaml"))
    assert [(limit.unit, limit.hours) for limit in profile.limits] == [("gpu", 7.0)]


def test_the_report_counts_tests_over_axis_points_and_takes_the_spread_of_finished_runs(tmp_path: Path) -> None:
    axes = "axes: { algorithm.groups: [2, 4, 6] }\n"
    made = plan(load(tmp_path, HEAD + ARMS + SEEDS + axes))
    assert "3 tests" in power_report(made, [])[1]
    assert "from the spread over seeds of 2 finished runs" in power_report(made, finished(made.runs[0]))[2]


def test_the_spread_of_one_panel_says_nothing_of_another(tmp_path: Path) -> None:
    made = plan(load(tmp_path, HEAD + ARMS + SEEDS + "axes: { evaluation.games: [20, 40] }\n"))
    few, many = power_of(made, finished(made.runs[0]))
    assert (few.games, few.runs) == (20, 2)
    assert (many.games, many.runs) == (40, 0)


def finished(run: PlannedRun) -> list[RunStatus]:
    """Two seeds of its cell."""
    return [
        RunStatus(run.run_id, run.arm, run.axes, seed, Path(), state="done", success=success)
        for seed, success in enumerate((0.1, 0.3))
    ]


@pytest.fixture
def costly(tmp_path: Path) -> Sweeping:
    """A sweep of which nobody knows the cost, with a budget."""
    sweeping = Sweeping(tmp_path)
    sweeping.file.write_text(sweeping.file.read_text() + "budget: { core_hours: 1 }\n")
    return sweeping


def test_a_script_gets_exit_code_2_and_starts_with_yes(costly: Sweeping) -> None:
    called = costly.call()
    assert called.returncode == 2
    assert "tiny.yaml:13: budget.core_hours: 1" in called.stderr
    assert "--yes" in called.stderr
    assert not costly.sweep.exists()
    started = costly.call("--yes", "--json")
    assert started.returncode == 0, started.stderr
    assert [run["state"] for run in json.loads(started.stdout)["runs"]] == ["done", "done"]
    assert "2 of 2 runs to start; core hours: unknown" in started.stderr
    assert "resolves nothing: 1 seed x 140 games a cell" in started.stderr
    assert costly.call().returncode == 0  # nothing is left to be asked about
    assert "0 of 2 runs to start" in costly.call("--dry-run").stdout
    assert json.loads(costly.call("--dry-run", "--json").stdout)["to_start"] == []


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 2), (b"y\n", 0)])
def test_at_a_terminal_it_asks(costly: Sweeping, answer: bytes, code: int) -> None:
    ours, theirs = pty.openpty()
    script = str(Path(__file__).with_name("trivial_sweep.py"))
    process = subprocess.Popen(
        [sys.executable, script, "sweep", str(costly.file), "--results", str(costly.results)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.write(ours, answer)
    output, _ = process.communicate(timeout=120)
    os.close(ours)
    os.close(theirs)
    assert b"Start them? [y/N]" in output
    assert process.returncode == code, output
    assert costly.sweep.exists() is (code == 0)
