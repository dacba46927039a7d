from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sweeping import Sweeping

import paw_bench
from paw_bench.config.load import load_experiment_file
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.sweep.plan import plan

_LIGHT = """
import sys
from paw_bench import cli
sys.argv = ["paw-bench", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as end:
    heavy = {"torch", "transformers", "trl", "alfworld", "textworld"} & set(sys.modules)
    assert not heavy, f"imported: {heavy}"
    raise
"""


def call(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """`paw-bench`, failing when it imports a heavy library."""
    return subprocess.run(
        [sys.executable, "-c", _LIGHT, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=cwd,
        timeout=240,
        check=False,
    )


@pytest.fixture
def sweeping(tmp_path: Path) -> Sweeping:
    return Sweeping(tmp_path)


@pytest.fixture
def finished(sweeping: Sweeping) -> RunDirectory:
    """A finished run of the sweep, made without running it."""
    planned = plan(load_experiment_file(sweeping.file)).runs[0]
    info = RunInfo(planned.run_id, "tiny", planned.arm, planned.axes, planned.seed)
    run = RunDirectory.create(sweeping.sweep.run_path(planned.run_id), info, planned.config)
    seconds = {"training": 40.0, "evaluation": 20.0, "total": 60.0}
    run.publish_result({"updates": 6, "evaluation": {"after": {"success": 0.5}}, "seconds": seconds})
    return run


def test_version_and_help() -> None:
    assert call("--version").stdout == f"paw-bench {paw_bench.__version__}\n"
    listed = call("--help").stdout
    for command in ("sweep", "run", "status", "logs", "why", "cancel", "retry", "report", "init", "warm-start"):
        assert command in listed
        help_text = call(command, "--help").stdout
        assert "Examples:" in help_text
        assert f"paw-bench {command}" in help_text


def test_a_dry_run_starts_nothing_and_imports_no_heavy_library(sweeping: Sweeping) -> None:
    called = call("sweep", sweeping.file, "--dry-run", "--results", sweeping.results)
    assert called.returncode == 0, called.stderr
    assert "tiny-dot: 2 runs = 2 arms" in called.stdout
    assert not sweeping.results.exists()
    document = json.loads(call("sweep", sweeping.file, "--dry-run", "--json", "--set", "seeds=[0, 1]").stdout)
    assert len(document["runs"]) == 4


def test_a_finished_run_is_left_alone_without_a_heavy_library(finished: RunDirectory) -> None:
    called = call("run", finished.path)
    assert called.returncode == 0, called.stderr
    assert "is done already" in called.stdout
    assert finished.attempts() == []


@pytest.mark.parametrize(
    ("arguments", "problem", "remedy"),
    [
        (["run", "nowhere"], "nowhere/config.json: there is no such file", "results folder"),
        (["sweep", "nowhere.yaml"], "nowhere.yaml", "paw-bench init"),
        (["sweep", "tiny.yaml", "--cluster", "gpu.yaml"], "gpu.yaml: cluster profile: there is no such file", "init"),
        (["sweep", "tiny.yaml", "--set", "training.update=3"], "training.update", "updates"),
        (["sweep", "tiny.yaml", "--wait"], "--wait needs --cluster PROFILE", "leave it out"),
        (
            ["tune", "x.yaml", "--cluster", "gpu.yaml", "--parallel", "2"],
            "--parallel is about",
            "max_parallel in gpu.yaml",
        ),
        (["status"], "results/runs: holds no sweep", "paw-bench sweep FILE"),
        (["status", "--watch", "--json"], "--watch shows a screen", "give one of them"),
        (["warm-start", "huge", "--output", "x"], "there is no model 'huge'", "embedded"),
        (["warm-start", "embedded", "--output", "x", "--steps", "9"], "ends before the first candidate", "1400"),
    ],
)
def test_a_mistake_is_one_readable_block_and_exit_code_2(
    sweeping: Sweeping, arguments: list[str], problem: str, remedy: str
) -> None:
    called = call(*arguments, cwd=sweeping.folder)
    assert called.returncode == 2
    assert called.stdout == ""
    assert problem in called.stderr
    assert remedy in called.stderr
    assert "Traceback" not in called.stderr


def test_what_this_machine_lacks_is_said_before_anything_is_written(sweeping: Sweeping) -> None:
    called = call(
        "sweep", sweeping.file, "--set", "execution.gpus=16", "--set", "execution.device=cuda", cwd=sweeping.folder
    )
    assert called.returncode == 2
    assert "16 GPUs for each run" in called.stderr
    assert not (sweeping.folder / "results").exists()


def test_status_finds_a_sweep_by_folder_name_and_short_name(sweeping: Sweeping) -> None:
    assert sweeping.call().returncode == 0
    for name in (sweeping.sweep.path, "tiny-dot", "tiny"):
        called = call("status", name, "--results", sweeping.results)
        assert called.returncode == 0, called.stderr
        assert "tiny-dot: 2 of 2 runs done" in called.stdout
    everything = json.loads(call("status", "--results", sweeping.results, "--json").stdout)
    assert [run["state"] for run in everything[0]["runs"]] == ["done", "done"]
    unknown = call("status", "tin", "--results", sweeping.results)
    assert unknown.returncode == 2
    assert "name one of: tiny-dot" in unknown.stderr


def test_init_copies_experiments_that_can_be_planned(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    assert call("init", target).returncode == 0
    called = call("sweep", target / "experiments" / "quickstart.yaml", "--scale", "smoke", "--dry-run", cwd=tmp_path)
    assert called.returncode == 0, called.stderr
    again = call("init", target)
    assert again.returncode == 2
    assert "not empty" in again.stderr
