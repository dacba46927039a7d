"""Runs that another sweep below the same results folder has finished: they are linked, not run again.

Experiment files share arms (every one has its reference), and equal configs have equal run ids. A link leaves the run
one run: its files, hashes and history are those of the sweep that ran it, and the tables mark it where its code was
another. Only finished runs are shared: two drivers never work on one folder.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from paw_bench.errors import StoreError
from paw_bench.store.atomic import remove_leftovers, temporary_sibling
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.plan import Plan


def finished_elsewhere(plan: Plan, folder: Path) -> dict[str, Path]:
    """Run id -> where it is finished, for planned runs that the sweep in `folder` has not begun itself."""
    sweep = SweepDirectory(folder)
    wanted = [run.run_id for run in plan.runs if not (sweep.run_path(run.run_id) / "config.json").exists()]
    found: dict[str, Path] = {}
    for other in _others(folder):
        there = _names(other.path / "runs")
        for run_id in wanted:
            path = other.run_path(run_id)
            if run_id in there and run_id not in found and (path / "result.json").exists():
                found[run_id] = path.resolve()
    return found


def link_finished(plan: Plan, sweep: SweepDirectory) -> list[str]:
    """Link what is finished elsewhere into the sweep; returns a line for each sweep that it comes from.

    A link to a run that is no longer finished is taken away: the run is then this sweep's own. Call it under the
    sweep's lock.
    """
    unlink_unfinished(sweep)
    elsewhere = finished_elsewhere(plan, sweep.path)
    links = {
        run_id: path
        for run_id, path in elsewhere.items()
        if _is_whole(path) and not _in_the_way(sweep.run_path(run_id))
    }
    for run_id, path in links.items():
        link = sweep.run_path(run_id)
        link.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_sibling(link)
        temporary.symlink_to(os.path.relpath(path, link.parent.resolve()))
        os.replace(temporary, link)
        sweep.journal("linked", run_id=run_id, sweep=path.parents[1].name)
    return shared_lines(links)


def unlink_unfinished(sweep: SweepDirectory) -> None:
    """Take links to runs away that are no longer finished: nobody works in the folder of another sweep.

    Call it under the sweep's lock.
    """
    for run in sweep.info["plan"]["runs"]:
        path = sweep.run_path(run["run_id"])
        if path.is_symlink() and not (path / "result.json").exists():
            path.unlink()


def shared_json(elsewhere: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """What `finished_elsewhere` found as plain data: run id -> name of the sweep."""
    return {"finished_elsewhere": {run_id: path.parents[1].name for run_id, path in elsewhere.items()}}


def shared_lines(elsewhere: Mapping[str, Path]) -> list[str]:
    """The same in words, a line for each sweep."""
    counts = Counter(path.parents[1].name for path in elsewhere.values())
    return [
        f"{count} run{'s' * (count != 1)} of {name}: finished there, not run again" for name, count in counts.items()
    ]


def _others(folder: Path) -> list[SweepDirectory]:
    names = sorted(_names(folder.parent) - {folder.name})
    return [sweep for name in names if (sweep := SweepDirectory(folder.parent / name)).exists()]


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _is_whole(path: Path) -> bool:
    """Whether the result's files are those that were published."""
    try:
        return RunDirectory(path).result() is not None
    except StoreError:
        return False


def _in_the_way(path: Path) -> bool:
    """Whether a folder stands where the link would. One that was made but got no config before its maker died goes."""
    if path.is_symlink() or not path.is_dir():
        return False
    remove_leftovers(path)
    with suppress(OSError):
        path.rmdir()
    return path.is_dir()
