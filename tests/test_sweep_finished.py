"""The index of finished runs: it may be old, damaged, foreign or gone, and status says the same."""

from __future__ import annotations

import os
import time
from pathlib import Path

import orjson
import pytest

from paw_bench.config.schema import ExperimentConfig, RunConfig, TrainingConfig
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep import status as status_module
from paw_bench.sweep.status import RunStatus, sweep_status

RUNS = [{"run_id": f"{number:012x}", "arm": "paw", "axes": {}, "seed": number} for number in range(3)]
RESULT = {
    "updates": 10,
    "evaluation": {"after": {"success": 0.5}},
    "seconds": {"training": 40.0, "evaluation": 15.0, "total": 60.0},
}


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDirectory:
    """Three runs; the first two finished an hour ago."""
    sweep = SweepDirectory.create(
        tmp_path / "tiny", name="tiny", scale=None, source="tiny.yaml", text="", plan={"runs": RUNS}
    )
    for number, run in enumerate(RUNS):
        config = RunConfig(experiment=ExperimentConfig(seed=number, training=TrainingConfig(updates=10)))
        info = RunInfo(**run, experiment_name="tiny")  # type: ignore[arg-type]
        directory = RunDirectory.create(sweep.run_path(info.run_id), info, config)
        if number < 2:
            directory.publish_result(RESULT)
            age(directory.path / "result.json")
    return sweep


def age(path: Path) -> None:
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))


def index(sweep: SweepDirectory) -> Path:
    return sweep.path / "finished.json"


def without_index(sweep: SweepDirectory) -> list[RunStatus]:
    index(sweep).unlink(missing_ok=True)
    return sweep_status(sweep)


def test_finished_runs_are_read_once(sweep: SweepDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sweep_status(sweep)
    read: list[str] = []
    original = status_module._read_result
    monkeypatch.setattr(
        status_module, "_read_result", lambda run, file: read.append(run.path.name) or original(run, file)
    )
    assert sweep_status(sweep) == first
    assert [status.state for status in first] == ["done", "done", "planned"]
    assert read == []


def test_it_can_be_deleted_and_is_made_again_the_same(sweep: SweepDirectory) -> None:
    first = sweep_status(sweep)
    text = index(sweep).read_bytes()
    assert without_index(sweep) == first
    assert index(sweep).read_bytes() == text


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schema_version": 99, "runs": {"000000000000": [1, 2, 3, 4, 5, 0.1, 6.0, 4.0, 1.5, 1]}}',
        b'{"schema_version": 1, "runs": {"000000000000": [1, 2, 3, 4, 5, 0.1, 6.0]}}',
        b'{"schema_version": 1, "runs": {"000000000000": [1]}}',
        b'{"schema_version": 1, "runs": [1]}',
        b'{"schema_version": 1, "runs": {"000000000000": null}}',
    ],
)
def test_a_damaged_or_foreign_index_is_not_used(sweep: SweepDirectory, text: bytes) -> None:
    first = sweep_status(sweep)
    index(sweep).write_bytes(text)
    assert sweep_status(sweep) == first
    assert set(orjson.loads(index(sweep).read_bytes())["runs"]) == {RUNS[0]["run_id"], RUNS[1]["run_id"]}


def test_a_result_that_changed_since_is_read_again(sweep: SweepDirectory) -> None:
    sweep_status(sweep)
    path = sweep.run_path("000000000000") / "result.json"
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.7"))  # the same inode and size
    assert sweep_status(sweep)[0].success == 0.7
    age(path)
    assert sweep_status(sweep)[0].success == 0.7
    assert sweep_status(sweep) == without_index(sweep)


def test_a_removed_result_a_removed_run_and_a_new_result_are_seen(sweep: SweepDirectory) -> None:
    sweep_status(sweep)
    (sweep.run_path("000000000000") / "result.json").unlink()
    (sweep.run_path("000000000001") / "config.json").unlink()
    RunDirectory(sweep.run_path("000000000002")).publish_result(RESULT)
    found = sweep_status(sweep)
    assert [status.state for status in found] == ["planned", "planned", "done"]
    assert found[0].reason == "its result was removed: it will be redone"
    assert found == without_index(sweep)


def test_a_result_as_young_as_the_clock_is_coarse_is_not_kept(sweep: SweepDirectory) -> None:
    RunDirectory(sweep.run_path("000000000002")).publish_result(RESULT)
    sweep_status(sweep)
    assert "000000000002" not in orjson.loads(index(sweep).read_bytes())["runs"]


def test_where_it_cannot_be_written_there_is_none(sweep: SweepDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> int:
        raise PermissionError

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert [status.state for status in sweep_status(sweep)] == ["done", "done", "planned"]
    assert not index(sweep).exists()
