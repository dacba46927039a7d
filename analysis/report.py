"""The report of a sweep: every table and figure, and one page that ties them together.

Built beside the old report and swapped in as a whole, so that a reader never finds half of one. The tables and CSV
files depend on the run files alone: the same files give the same bytes, wherever the sweep directory lies.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd

from analysis import cells, figures, grid, page, run_tables, table_files, tables
from analysis.honesty import objections
from analysis.load import Results, load
from analysis.plotted import figure_data
from analysis.table_forms import FORMS
from analysis.words import arm_at
from paw_bench.errors import UserError
from paw_bench.store.atomic import publish_directory, temporary_sibling, writing
from paw_bench.store.documents import sha256_of
from paw_bench.store.lock import locked
from paw_bench.store.sweep_directory import SweepDirectory

SUMS = "figures/SHA256SUMS"
"""The hash of each picture and of the points in it, as `sha256sum -c` reads them."""
OPEN = ("main", "components")
"""Tables below `tables/` that the pages show at once; the others are a click away."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `build` wrote."""

    folder: Path
    files: tuple[Path, ...]
    """Everything in the folder, `report.md` first."""
    text: str
    """The ablation table for a terminal, with its notes, what is missing, and what could not be used."""
    done: int
    planned: int


class Refused(UserError):
    """A strict report of a sweep that gives reason for doubt: one line each."""


def build(sweep: Path | str, *, width: int = 100, strict: bool = False) -> Report:
    """Write the report of the sweep directory into its `report/`, replacing an earlier one; it may be unfinished.

    `width`: characters a line of `Report.text`. Raises StoreError where the folder holds no sweep of this schema
    version, cannot be written, or another report of it is being written; and Refused, where it has to be `strict`,
    for everything that `analysis.honesty` marks and every file that could not be used: nothing is written then.
    """
    results = load(sweep)
    if strict and (lines := objections(results)):
        raise Refused(
            "\n".join([*lines, f"{results.path}: no report is written: --strict"]),
            "mend it, or report without --strict",
        )
    final = SweepDirectory(results.path).report
    with (
        writing(final),
        locked(results.path / ".report.lock", f"{final}: is being written by another process", "try again"),
    ):
        for leftover in results.path.glob(".report.*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = temporary_sibling(final)
        try:
            text = _write(results, temporary, width)
            _swap(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    files = [path for path in sorted(final.rglob("*")) if path.is_file()]
    files.sort(key=lambda path: path.name != "report.md")
    return Report(final, tuple(files), text, len(results.done()), int(results.runs["planned"].sum()))


def _swap(temporary: Path, final: Path) -> None:
    """Put the new report in the place of the old one, which comes back if that fails."""
    old = temporary_sibling(final)
    with suppress(FileNotFoundError):
        os.rename(final, old)
    try:
        publish_directory(temporary, final)
    except BaseException:
        with suppress(FileNotFoundError):
            os.rename(old, final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write(results: Results, folder: Path, width: int) -> str:
    folder.mkdir()
    figures.draw(results, folder / "figures")
    grids, files = data(results)
    for name, content in (files | _pages(results, grids, folder)).items():
        _text(folder / name, content)
    drawn = sorted(folder.glob("figures/*"))
    _text(folder / SUMS, "".join(f"{sha256_of(path)}  {path.name}\n" for path in drawn))
    return _for_terminal(results, grids, width)


def data(results: Results) -> tuple[dict[str, grid.Grid], dict[str, str]]:
    """Every table; and place in the report -> content of every file that holds data: tables, CSV, figures' points."""
    grids, files = table_data(results)
    return grids, files | {f"figures/{stem}.csv": _csv(points) for stem, points in figure_data(results)}


def table_data(results: Results) -> tuple[dict[str, grid.Grid], dict[str, str]]:
    """`data` without the figures'."""
    long, compared = cells.cells(results), cells.comparisons(results)
    grids = {
        "table": tables.ablation(results, long, compared),
        "comparisons": tables.comparison_table(results, compared),
        "world_model": run_tables.world_model(results),
        "cost": run_tables.cost(results),
        "runs": run_tables.runs(results),
    }
    files = {f"{name}.md": grid.markdown(content) for name, content in grids.items()}
    files |= {f"{name}.tex": grid.latex(grids[name]) for name in ("table", "comparisons", "world_model")}
    beside = table_files.grids(results, long, compared)
    files |= table_files.files(beside)
    grids |= {f"{table_files.FOLDER}/{name}": content for name, content in beside.items()}
    frames = {
        "table": cells.wide(results, long, compared),
        "cells": long,
        "comparisons": compared,
        "runs": results.runs,
        "evaluation": results.evaluation,
        "fixed_transitions": results.fixed_transitions,
    }
    return grids, files | {f"{name}.csv": _csv(frame) for name, frame in frames.items()}


def compute(results: Results, folder: Path) -> dict[str, str]:
    """Place in the report -> content, for every file of the report that is text.

    `folder`: a report whose rendered figures the pages are to show.
    """
    grids, files = data(results)
    return files | _pages(results, grids, folder)


def _pages(results: Results, grids: dict[str, grid.Grid], folder: Path) -> dict[str, str]:
    shown = figures.shown(results, (folder / "figures").glob("*.png"))
    return {
        "report.md": _page(results, grids, shown),
        "report.html": page.render(results, grids, shown, folder / "figures", expanded=OPEN),
    }


def _page(results: Results, grids: dict[str, grid.Grid], shown: list[figures.Shown]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    return environment.get_template("report.md.jinja").render(
        results=results,
        done=len(results.done()),
        planned=int(results.runs["planned"].sum()),
        problems=[grid.escape_markdown(problem) for problem in results.problems],
        ablation=grid.markdown(grids["table"]),
        beside=_beside(grids),
        open=OPEN,
        forms=tuple(FORMS),
        comparisons=grid.markdown(grids["comparisons"]) if results.comparisons else "",
        figures=shown,
        world_model=grid.markdown(grids["world_model"]),
        cost=grid.markdown(grids["cost"]),
        runs=grid.markdown(grids["runs"]),
        arms=grid.markdown(run_tables.changes(results)),
    )


def _beside(grids: dict[str, grid.Grid]) -> dict[str, str]:
    """Name -> Markdown of the tables below `tables/`, those that are shown at once first."""
    folder = f"{table_files.FOLDER}/"
    found = {name.removeprefix(folder): own for name, own in grids.items() if name.startswith(folder)}
    return {name: grid.markdown(found[name]) for name in sorted(found, key=lambda name: name not in OPEN)}


def _for_terminal(results: Results, grids: dict[str, grid.Grid], width: int) -> str:
    lines = [grid.text(grids["table"], width)]
    between = tables.between_arms(grids["comparisons"], results.reference)
    lines += [grid.text(between, width)] if between else []
    lines += _missing(results)
    lines += [f"problem: {problem}" for problem in results.problems]
    return "\n".join(lines).rstrip() + "\n"


def _missing(results: Results) -> list[str]:
    """A line for the open runs of an arm that are open for one reason."""
    runs = results.runs[results.runs["planned"] & (results.runs["status"] != "done")]
    lines = []
    alike = runs.groupby(["condition", "arm", "status", "reason"], sort=False)["seed"]
    for (condition, arm, status, reason), seeds in alike:
        which = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
        lines.append(f"missing: {arm_at(str(arm), str(condition))} {which}: {status}{f': {reason}' if reason else ''}")
    return lines


def _text(path: Path, content: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="\n")


def _csv(content: pd.DataFrame) -> str:
    return content.to_csv(index=False, lineterminator="\n")
