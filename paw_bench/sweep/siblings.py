"""Runs that differ by their seed alone: where one is refused for its configuration, the others need not find out.

A configuration counts as refused when an attempt ended by the cause `config` before the run's first update. On a
cluster a job looks for that before it opens an attempt, and a pass takes the siblings' jobs out of the queue; on one
machine the driver does not start them. Whoever was granted a retry since is not held back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from paw_bench.store.jsonl import Record
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory

_ENDS = ("attempt_started", "attempt_refused", "attempt_ended", "retry")


def refused_sibling(directory: RunDirectory) -> str | None:
    """Why another seed of this run's configuration was refused on the cluster; None where none was, or this run was
    retried since.
    """
    last = _last(directory)
    sweep = SweepDirectory(Path(directory.path).absolute().parents[1])
    # A driver on one machine spares siblings itself, and tries them all when it is called again.
    if (last is not None and last["event"] == "retry") or not sweep.on_cluster:
        return None
    own = cell(directory.info.arm, directory.info.axes)
    reasons = (refusal_in(sibling) for sibling in _members(sweep, own) if sibling.path.name != directory.info.run_id)
    return next((reason for reason in reasons if reason), None)


def refusal_in(directory: RunDirectory) -> str | None:
    """Why the run's own configuration was refused before its first update, in words for its siblings; else None."""
    last = _last(directory)
    if last is None or last["event"] != "attempt_ended" or last.get("cause") != "config" or directory.metrics():
        return None
    # What a folder does not allow (another library, another panel than at first) says nothing about other folders.
    if last["error"] == "StoreError":
        return None
    info = directory.info
    axes = "".join(f" {value}" for value in info.axes.values())
    return f"its configuration was refused in {info.arm}{axes} seed {info.seed}: {last['reason']}"


def cell(arm: str, axes: dict[str, Any]) -> tuple[str, str]:
    """What siblings share."""
    return arm, repr(sorted(axes.items()))


def _members(sweep: SweepDirectory, wanted: tuple[str, str]) -> Iterator[RunDirectory]:
    for run in sweep.info["plan"]["runs"]:
        path = sweep.run_path(run["run_id"])
        if cell(run["arm"], run["axes"]) == wanted and (path / "config.json").exists():
            yield RunDirectory(path)


def _last(directory: RunDirectory) -> Record | None:
    return next((event for event in reversed(directory.events()) if event["event"] in _ENDS), None)
