"""A grid as what the page's template needs: cells with the number they are sorted by, and links to runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from analysis.grid import Grid
from analysis.words import MINUS, TO

_NUMBER = re.compile(rf"[(<\s]*([-+]?(?:\d[\d,]*)?\.?\d+)(?:$|[\s%)/(±{TO}].*)")


class Cell(NamedTuple):
    """One cell of a row."""

    text: str
    number: str
    """What the cell is sorted by, as JavaScript reads it; empty where it holds no number."""
    anchor: str
    """Id of the run on the page that the cell names, or empty."""


class Column(NamedTuple):
    """Its heading, and whether its cells are text, which stands at the left."""

    name: str
    text: bool


class Group(NamedTuple):
    """Rows below a heading, sorted among themselves."""

    heading: str
    rows: list[list[Cell]]


@dataclass(frozen=True, slots=True)
class TableView:
    """What the template writes as one table."""

    caption: str
    columns: list[Column]
    groups: list[Group]
    notes: tuple[str, ...]


def table_view(grid: Grid, anchors: Mapping[str, str] | None = None) -> TableView:
    """`anchors`: run id -> id of its element on the page; a cell that is a run id becomes a link."""
    anchors = anchors or {}
    groups = [Group("", [])]
    for place, row in enumerate(grid.rows):
        if place in grid.headings:
            groups.append(Group(grid.headings[place], []))
        groups[-1].rows.append([Cell(text, sort_number(text), anchors.get(text, "")) for text in row])
    kept = [group for group in groups if group.rows]
    cells = list(zip(*(row for group in kept for row in group.rows), strict=True))
    columns = [
        Column(name, place < len(cells) and not any(cell.number for cell in cells[place]))
        for place, name in enumerate(grid.columns)
    ]
    return TableView(grid.caption, columns, kept, grid.notes)


def sort_number(text: str) -> str:
    """The number that a cell begins with, or an empty string: `3.2 ± 1.4` is `3.2`; a run id is no number."""
    found = _NUMBER.fullmatch(text.replace(MINUS, "-"))
    return found[1].replace(",", "") if found else ""
