"""Which runs stand behind a cell of the cost table and of those below `tables/`, by the table's name."""

from __future__ import annotations

import math
from collections.abc import Iterator

from analysis import cells, run_tables, table_files
from analysis.explain import Explained, Part, plain
from analysis.grid import Grid
from analysis.load import Results
from analysis.table_cells import Cell


def tables_of(results: Results) -> dict[str, Grid]:
    """Name -> table, of those whose rows name their runs."""
    found = table_files.grids(results, cells.cells(results), cells.comparisons(results))
    return {"cost": run_tables.cost(results), **found}


def explain_table(results: Results, address: str) -> list[Explained]:
    """The cells with the address `TABLE: ROW, COLUMN`, behind a further comma the heading above the row.

    Empty where the address names no table or no cell of it. The runs are those of the row: of both arms, where the
    cell is a difference or a ratio.
    """
    name, colon, rest = address.partition(":")
    grid = tables_of(results).get(name.strip().casefold()) if colon else None
    return list(_found(results, grid, plain(rest))) if grid else []


def _found(results: Results, grid: Grid, wanted: str) -> Iterator[Explained]:
    runs = {run["run_id"]: run for run in results.done().to_dict("records")}
    heading = ""
    for place, row in enumerate(grid.rows):
        heading = grid.headings.get(place, heading)
        for column, text in zip(grid.columns[1:], row[1:], strict=True):
            if wanted not in {plain(f"{row[0]}, {column}"), plain(f"{row[0]}, {column}, {heading}")}:
                continue
            number = text if isinstance(text, Cell) else Cell(text, math.nan)
            parts = tuple(Part.of(runs[run_id], math.nan) for run_id in grid.runs[place] if number.published is False)
            where = f"{grid.name}: {row[0]}, {column}" + (f", {heading}" if heading else "")
            half_width = (number.high - number.low) / 2
            meaning = "a published number: no run stands behind it" if number.published else grid.caption
            yield Explained(where, str(text), meaning, "", number.value, half_width, "", number.note, parts, (), ())
