"""A result that another node published, on a filesystem that takes it for absent until the folder is listed (NFS)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.status import sweep_status
from paw_bench.sweep.supervise import supervise

RESULT = {
    "updates": 10,
    "evaluation": {"after": {"success": 0.5}},
    "seconds": {"training": 40.0, "evaluation": 15.0, "total": 60.0},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A finished run whose result comes to light when its folder is listed."""
    planned = {"run_id": "0123456789ab", "arm": "paw", "axes": {}, "seed": 0}
    sweep = SweepDirectory.create(
        tmp_path / "tiny", name="tiny", scale=None, source="tiny.yaml", text="", plan={"runs": [planned]}
    )
    info = RunInfo("0123456789ab", "tiny", "paw", {}, 0)
    run = RunDirectory.create(sweep.run_path(info.run_id), info, RunConfig(experiment=ExperimentConfig()))
    run.publish_result(RESULT)
    result, unseen = run.path / "result.json", tmp_path / "unseen.json"
    os.rename(result, unseen)
    listed = os.listdir

    def list_and_look(path: object = ".") -> list[str]:
        if path == run.path and unseen.exists():
            os.rename(unseen, result)
        return listed(path)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "listdir", list_and_look)
    return run


def test_the_run_is_not_taken_for_one_whose_result_was_removed(run: RunDirectory) -> None:
    (status,) = sweep_status(SweepDirectory(run.path.parents[1]))
    assert (status.state, status.reason) == ("done", "")


def test_the_run_is_not_done_again(run: RunDirectory) -> None:
    def never(directory: RunDirectory) -> None:
        raise AssertionError("it was trained again")

    assert supervise(run.path, never) == 0
    assert run.attempts() == []


def test_a_result_that_is_seen_late_starts_nothing_over(run: RunDirectory) -> None:
    assert not run.result_was_removed()
