"""The four forms in which every table is written: Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from html import escape

from analysis.grid import Grid, latex, markdown
from analysis.published import NOT_COMPARABLE
from analysis.table_cells import Cell


def comma_separated(grid: Grid) -> str:
    """One line a row at full precision: a number's column is followed by its interval's ends and its note.

    The heading above a row is its first field, a warning about the published numbers its last. Columns of words hold
    the words.
    """
    warnings = [note for note in grid.notes if note.startswith(NOT_COMPARABLE)]
    numbers = [any(isinstance(row[place], Cell) for row in grid.rows) for place in range(len(grid.columns))]
    header = ["Block"]
    for name, number in zip(grid.columns, numbers, strict=True):
        header += [name, f"{name}: low", f"{name}: high", f"{name}: note"] if number else [name]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*header, *("Warning" for _ in warnings)])
    block = ""
    for place, row in enumerate(grid.rows):
        block = grid.headings.get(place, block)
        fields = [block]
        for text, number in zip(row, numbers, strict=True):
            match text:
                case Cell():
                    fields += [*map(_exact, (text.value, text.low, text.high)), text.note]
                case _:
                    fields += [text, "", "", ""] if number else [text]
        writer.writerow([*fields, *warnings])
    return file.getvalue()


def html(grid: Grid) -> str:
    """A page that holds the table alone and loads nothing; numbers carry `data-value`, and their notes as `title`."""
    body = []
    for place, row in enumerate(grid.rows):
        if place in grid.headings:
            heading = escape(grid.headings[place])
            body.append(f'<tr><th class="block" colspan="{len(row)}" scope="rowgroup">{heading}</th></tr>')
        body.append(f'<tr><th scope="row">{escape(row[0])}</th>{"".join(map(_data, row[1:]))}</tr>')
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in grid.columns)
    notes = "".join(f"<li>{escape(note)}</li>\n" for note in grid.notes)
    return _PAGE.format(caption=escape(grid.caption), head=head, body="\n".join(body), notes=notes)


FORMS: dict[str, Callable[[Grid], str]] = {"md": markdown, "tex": latex, "csv": comma_separated, "html": html}
"""Suffix of the file -> the form."""


def _exact(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))


def _data(text: str) -> str:
    if not isinstance(text, Cell) or math.isnan(text.value):
        return f"<td>{escape(text)}</td>"
    title = f' title="{escape(text.note)}"' if text.note else ""
    return f'<td data-value="{_exact(text.value)}"{title}>{escape(text)}</td>'


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{caption}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem; }}
table {{ border-collapse: collapse; border-block: 2px solid; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; font-weight: 600; padding-block: .5rem; }}
thead th {{ border-bottom: 1px solid; }}
th, td {{ padding: .2rem .6rem; text-align: right; white-space: nowrap; }}
th:first-child {{ text-align: left; font-weight: 400; }}
th.block {{ font-style: italic; padding-top: .6rem; }}
</style>
<table>
<caption>{caption}</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
<ul>
{notes}</ul>
</html>
"""
