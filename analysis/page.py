"""`report.html`: the whole report as one page that needs nothing else, neither network nor other files.

Every text is escaped by the template engine. The page's policy allows the one script and the one style sheet that it
was written with, by their hashes, and images that lie in the page: a script in a run's name is text, and would not run
if it were not.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from analysis.figures import FIGURES, WIDE, Shown
from analysis.grid import Grid
from analysis.load import Results
from analysis.page_runs import run_views
from analysis.page_samples import read_samples
from analysis.page_sources import read_sources
from analysis.page_tables import TableView, table_view
from analysis.run_tables import changes
from analysis.shades import SCALE
from analysis.table_files import FOLDER
from analysis.table_forms import FORMS

_TEMPLATES = Path(__file__).with_name("templates")
_STATES = ("done", "running", "not started", "unfinished", "interrupted", "lost", "failed", "damaged", "unreadable")


class _Image(NamedTuple):
    shown: Shown
    uri: str
    width: int
    """Pixels."""
    height: int


def render(
    results: Results, grids: Mapping[str, Grid], shown: Sequence[Shown], figures: Path, expanded: Sequence[str] = ()
) -> str:
    """The page. `grids`: every table by name, in the order of the page; `runs`, one row a run, leads to each of them.
    Those of a name `tables/...` can be folded away and link to their files; the `expanded` ones stand open, and first.
    `figures`: the folder that the figures `shown` were written to.
    """
    style, script = ((_TEMPLATES / f"report.{ending}").read_text("utf-8") for ending in ("css", "js"))
    sources = read_sources(results)
    views = run_views(results, sources, read_samples(results))
    anchors = {view.run_id: view.anchor for view in views}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=True,
    )
    page: str = environment.get_template("report.html.jinja").render(
        results=results,
        done=len(results.done()),
        planned=int(results.runs["planned"].sum()),
        states=_states(results),
        tables=_tables(results, grids, anchors),
        beside={name: table_view(own) for name, own in _beside(grids, expanded).items()},
        expanded=expanded,
        forms=tuple(FORMS),
        plan=table_view(changes(results)),
        images=[_image(one, figures) for one in shown],
        not_drawn=_not_drawn(shown),
        runs=views,
        scale=SCALE,
        sources=sources,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    return page


def _not_drawn(shown: Sequence[Shown]) -> list[str]:
    """Titles of the figures that the runs recorded nothing for, or not enough."""
    drawn = {one.title for one in shown}
    return [drawing.title for drawing in FIGURES.values() if drawing.title not in drawn]


def _tables(results: Results, grids: Mapping[str, Grid], anchors: Mapping[str, str]) -> dict[str, TableView]:
    names = [name for name in grids if "/" not in name and (name != "comparisons" or results.comparisons)]
    return {name: table_view(grids[name], anchors) for name in names}


def _beside(grids: Mapping[str, Grid], expanded: Sequence[str]) -> dict[str, Grid]:
    """Name -> table, of those below `tables/`."""
    found = {name.removeprefix(f"{FOLDER}/"): grid for name, grid in grids.items() if "/" in name}
    return {name: found[name] for name in sorted(found, key=lambda name: name not in expanded)}


def _states(results: Results) -> list[tuple[str, int]]:
    """State -> planned runs in it."""
    counts = results.runs["status"][results.runs["planned"]].value_counts()
    order = [*_STATES, *sorted(set(counts.index) - set(_STATES))]
    return [(state, int(counts[state])) for state in order if state in counts]


def _image(shown: Shown, folder: Path) -> _Image:
    content = (folder / f"{shown.stem}{WIDE}.png").read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    return _Image(shown, f"data:image/png;base64,{base64.b64encode(content).decode()}", width, height)


def _hash(text: str) -> str:
    """What a Content-Security-Policy calls the hash of an inline script or style sheet."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
