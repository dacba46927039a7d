"""What a name given to `why`, `logs`, `cancel` and `retry` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from paw_bench.cli_cluster import find, logs, why
from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.errors import UserError
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory

ID = "37a1b2c3d4e5"


def sweep(results: Path, name: str, *planned: str) -> SweepDirectory:
    runs = [{"run_id": run_id, "arm": "paw", "axes": {}, "seed": 0} for run_id in planned]
    return SweepDirectory.create(results / name, name=name, scale=None, source="x.yaml", text="", plan={"runs": runs})


def run(where: SweepDirectory, run_id: str = ID) -> RunDirectory:
    config = RunConfig(experiment=ExperimentConfig())
    return RunDirectory.create(where.run_path(run_id), RunInfo(run_id, where.path.name, "paw", {}, 0), config)


def test_a_sweep_is_meant_before_a_run_whose_id_begins_so(tmp_path: Path) -> None:
    first = sweep(tmp_path, "first", ID)
    run(first)
    numbered = sweep(tmp_path, "37")
    assert find("37", tmp_path)[0].path == numbered.path
    assert find("37", tmp_path)[1] is None
    where, found = find("37a", tmp_path)
    assert found is not None
    assert (where.path, found.path) == (first.path, first.run_path(ID))


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_run_that_another_sweep_links_is_that_of_the_sweep_that_ran_it(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    first, second = (sweep(tmp_path, name, ID) for name in names)
    run(first)
    second.run_path(ID).parent.mkdir()
    second.run_path(ID).symlink_to(first.run_path(ID))
    where, found = find(ID, tmp_path)
    assert found is not None
    assert (where.path, found.path) == (first.path, first.run_path(ID))


def test_one_id_begun_in_two_sweeps_is_asked_about(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(sweep(tmp_path, name, ID))
    with pytest.raises(UserError, match="several runs") as refusal:
        find(ID, tmp_path)
    assert f"{tmp_path}/b/runs/{ID}" in refusal.value.remedy


def test_a_run_that_is_not_planned_any_more_is_said_to_be_so(tmp_path: Path) -> None:
    left = run(sweep(tmp_path, "first"))
    for asked in (
        lambda: why(str(left.path), results=tmp_path),
        lambda: logs(str(left.path), follow=False, results=tmp_path),
    ):
        with pytest.raises(UserError, match="not planned any more by first") as refusal:
            asked()
        assert f"{left.path}/attempts/*/log.txt" in refusal.value.remedy
