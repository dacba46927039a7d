"""Linking runs that another sweep has finished, where something stands in the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from experiment_files import ARMS, HEAD, SEEDS, load

from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.plan import Plan, PlannedRun, plan
from paw_bench.sweep.shared import link_finished


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    return plan(load(tmp_path, HEAD + ARMS + SEEDS))


def sweep(planned: Plan, path: Path) -> SweepDirectory:
    runs = [{"run_id": run.run_id, "arm": run.arm, "axes": {}, "seed": run.seed} for run in planned.runs]
    return SweepDirectory.create(path, name=path.name, scale=None, source="x", text="", plan={"runs": runs})


def finish(where: SweepDirectory, run: PlannedRun) -> Path:
    info = RunInfo(run.run_id, where.path.name, run.arm, run.axes, run.seed)
    directory = RunDirectory.create(where.run_path(run.run_id), info, run.config)
    directory.publish_result({"updates": 1})
    return directory.path


def test_what_a_killed_call_left_of_a_folder_gives_way_to_the_link(planned: Plan, tmp_path: Path) -> None:
    other, own = (sweep(planned, tmp_path / "results" / name) for name in ("other", "own"))
    for run in planned.runs[:2]:
        finish(other, run)
    empty, torn = (own.run_path(run.run_id) for run in planned.runs[:2])
    empty.mkdir(parents=True)
    torn.mkdir()
    (torn / ".config.json.12-0a.tmp").write_text("{")
    assert link_finished(planned, own) == ["2 runs of other: finished there, not run again"]
    assert [run.result() is not None for run in own.runs()] == [True, True]
    assert empty.is_symlink()
    assert torn.is_symlink()


def test_a_folder_that_holds_something_is_left_alone(planned: Plan, tmp_path: Path) -> None:
    other, own = (sweep(planned, tmp_path / "results" / name) for name in ("other", "own"))
    run = planned.runs[0]
    finish(other, run)
    folder = own.run_path(run.run_id)
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    assert link_finished(planned, own) == []
    assert not folder.is_symlink()
    assert (folder / "notes.txt").read_text() == "mine"
