"""`paw-bench status`: finding sweeps on disk and showing what stands there."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console

from paw_bench.errors import UserError
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.progress import headline, seconds_left
from paw_bench.sweep.status import RunStatus, sweep_status
from paw_bench.sweep.status_screen import status_screen

if TYPE_CHECKING:
    from paw_bench.sweep.cluster_status import ClusterRun

_WATCH_S = 10.0
_FIELDS = [field.name for field in dataclasses.fields(RunStatus)]


def show_status(
    which: str | None, *, results: Path, as_json: bool, watch: bool = False, every_run: bool = False
) -> None:
    """Print the state of one sweep, or of all below `results`; with `watch`, again and again.

    Of a large sweep the arms are shown, or with `every_run` each run.

    Raises UserError if there is none.
    """
    while watch:
        Console().clear()
        _show_status(which, results=results, as_json=False, every_run=every_run)
        time.sleep(_WATCH_S)
    _show_status(which, results=results, as_json=as_json, every_run=every_run)


def states_of(sweep: SweepDirectory) -> list[RunStatus]:
    """The state of every run, by its files and, where the sweep was submitted to a cluster, by the queue."""
    runs = cluster_runs(sweep)
    return sweep_status(sweep) if runs is None else [run.status for run in runs]


def cluster_runs(sweep: SweepDirectory) -> list[ClusterRun] | None:
    """The runs of a sweep that was submitted to a cluster; None where it was not, or Slurm does not answer."""
    from paw_bench.sweep.cluster_status import snapshot
    from paw_bench.sweep.queue import QueueError

    if not sweep.on_cluster:
        return None
    try:
        return snapshot(sweep).runs
    except QueueError as error:
        print(f"{error.problem}: these are the states by the files alone", file=sys.stderr)
        return None


def _show_status(which: str | None, *, results: Path, as_json: bool, every_run: bool) -> None:
    sweeps = [find_sweep(which, results)] if which else all_sweeps(results)
    if as_json:
        documents = [status_document(sweep, states_of(sweep)) for sweep in sweeps]
        print(orjson.dumps(documents[0] if which else documents, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console()
    for sweep in sweeps:
        statuses = states_of(sweep)
        at_a_time = max(1, sum(status.active for status in statuses))
        left = seconds_left(statuses, slots=at_a_time, predicted_s=None)
        console.print(headline(sweep.path.name, statuses, left), style="bold", highlight=False, soft_wrap=True)
        console.print(status_screen(statuses, every_run=every_run), highlight=False)


def status_document(sweep: SweepDirectory, statuses: list[RunStatus]) -> dict[str, Any]:
    """The state of a sweep for `--json`."""
    return {
        "name": sweep.info["name"],
        "scale": sweep.info["scale"],
        "folder": str(sweep.path),
        "driver_at_work": sweep.is_locked(),
        "runs": [_status_fields(status) for status in statuses],
    }


def _status_fields(status: RunStatus) -> dict[str, Any]:
    values = {name: getattr(status, name) for name in _FIELDS}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def find_sweep(which: str, results: Path, *, what: str = "sweep") -> SweepDirectory:
    """The sweep of that folder, or of that name below `results`; its scale may be left out where only one is there.

    Raises UserError naming the sweeps that are there.
    """
    found = sweeps_named(which, results)
    if len(found) == 1:
        return found[0]
    names = ", ".join(sweep.path.name for sweep in found or all_sweeps(results))
    problem = "several sweeps have this name" if found else f"no such {what} in {results}"
    raise UserError(f"{which}: {problem}", f"name one of: {names}")


def sweeps_named(which: str, results: Path) -> list[SweepDirectory]:
    """The one sweep in that folder or with that folder's name below `results`, else all of the name without a scale."""
    exact = [sweep for path in (Path(which), results / which) if (sweep := SweepDirectory(path)).exists()]
    return exact[:1] or [sweep for sweep in all_sweeps(results) if sweep.info["name"] == which]


def all_sweeps(results: Path) -> list[SweepDirectory]:
    """Every sweep below `results`, by name. Raises UserError if there is none."""
    paths = sorted(path.parent for path in results.glob("*/sweep.json"))
    if not paths:
        raise UserError(f"{results}: holds no sweep", "start one with: paw-bench sweep FILE, or give --results DIR")
    return [SweepDirectory(path) for path in paths]


def report_lines(sweep: SweepDirectory, *, width: int, strict: bool = False) -> list[str]:
    """Write the report; returns its table, `width` characters wide, and where everything is.

    Raises `analysis.report.Refused` where it has to be `strict` and the sweep gives reason for doubt.
    """
    from analysis.report import build

    report = build(sweep.path, width=width, strict=strict)
    folder = os.path.relpath(report.folder)
    return [
        report.text,
        f"report:  {os.path.relpath(report.files[0])}",
        f"tables:  {folder}/*.md, *.tex, *.csv",
        f"figures: {folder}/figures",
    ]
