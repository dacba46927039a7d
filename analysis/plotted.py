"""The numbers that a figure shows: what is in the CSV beside it is what was drawn.

Only the artists of the panels count. Legends, ticks and the background hold no data. A report records the calls that
draw (`analysis.recorded`); what they leave in a real figure is read here as well, and tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure

from analysis import cells, figures
from analysis.figure_subject import COLUMN
from analysis.load import Results
from analysis.parallel import in_parts
from analysis.recorded import Point, Recorded, RecordedAxes, RecordedFigure

COLUMNS = ("panel", "title", "artist", "series", "form", "point", "x", "y", "low", "high")

_MANY_RUNS = 200
"""Their figures' points take longer than to start processes that share them out."""


def figure_data(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    """(stem, points) of every figure of the report, built but not rendered, in the order of the report."""
    compared = cells.comparisons(results)
    planned = list(figures.planned(results))

    def drawn(part: Sequence[tuple[str, str, str]]) -> list[tuple[str, pd.DataFrame]]:
        found = []
        with mpl.rc_context(), matplotlib.style.context(figures.STYLE):
            for name, condition, stem in part:
                figure = figures.make(name, results, condition, COLUMN, compared, canvas=RecordedFigure)
                if figure is not None:
                    found.append((stem, plotted(figure)))
        return found

    for part in in_parts(drawn, planned, least=1 if len(results.runs) >= _MANY_RUNS else len(planned)):
        yield from part


def plotted(figure: Figure | RecordedFigure) -> pd.DataFrame:
    """Every point of the figure, in data coordinates.

    Columns: panel (1-based), title (its own), artist (1-based within the panel), series (the artist's gid or label),
    form (line, band, bar, interval), point (1-based within the artist), x, y, low and high. A band has low and high
    at x; a bar reaches from low to high at the height y (at x, where it stands upright); an interval has its mean in
    x and y, and its ends in low and high.
    """
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    panels: Iterable[Axes | RecordedAxes] = figure.axes
    for panel, axes in enumerate((axes for axes in panels if axes.get_visible()), start=1):
        title = " ".join(axes.get_title(loc="left").split())
        artists = axes.artists() if isinstance(axes, RecordedAxes) else _artists(axes)
        for number, artist in enumerate(artists, start=1):
            many = len(artist.points)
            said = (panel, title, number, artist.series, artist.form)
            for name, value in zip(COLUMNS, said, strict=False):
                columns[name] += [value] * many
            columns["point"] += range(1, many + 1)
            for name, values in zip(COLUMNS[-4:], zip(*artist.points, strict=True), strict=False):
                columns[name] += values
    data = pd.DataFrame(columns)
    return data.astype(dict.fromkeys(COLUMNS[-4:], "float64"))


def _artists(axes: Axes) -> Iterator[Recorded]:
    """Series, form and points of every artist that holds data, in the order of drawing by kind."""
    intervals = [container for container in axes.containers if isinstance(container, ErrorbarContainer)]
    own = {id(part) for container in intervals for part in _parts(container)}
    for container in intervals:
        yield Recorded(_name(container.lines[0] or container), "interval", list(_interval(container)))
    for line in axes.lines:
        if id(line) not in own:
            x, y = (np.asarray(values, dtype="float64") for values in line.get_data(orig=True))
            yield Recorded(_name(line), "line", [(a, b, np.nan, np.nan) for a, b in zip(x, y, strict=True)])
    for collection in axes.collections:
        if isinstance(collection, PolyCollection) and id(collection) not in own:
            yield Recorded(_name(collection), "band", list(_band(collection)))
    for bars in axes.containers:
        if isinstance(bars, BarContainer):
            yield Recorded(_name(bars.patches[0]), "bar", list(_bars(bars)))


def _parts(container: ErrorbarContainer) -> Sequence[Artist]:
    line, caps, bars = container.lines
    return [part for part in (line, *caps, *bars) if part is not None]


def _name(artist: Any) -> str:
    name = artist.get_gid() if isinstance(artist, Artist) else None
    label = str(artist.get_label() or "")
    return str(name or ("" if label.startswith("_") else label))


def _interval(container: ErrorbarContainer) -> Iterator[Point]:
    line, _, bars = container.lines
    assert line is not None, "an interval without a mean"
    x, y = (np.asarray(values, dtype="float64") for values in line.get_data(orig=True))
    low, high = np.full(len(x), np.nan), np.full(len(x), np.nan)
    for collection in bars:
        ends = np.array(collection.get_segments())
        along = 0 if container.has_xerr else 1
        low, high = ends[:, 0, along], ends[:, 1, along]
    yield from zip(x, y, low, high, strict=True)


def _band(collection: PolyCollection) -> Iterator[Point]:
    """Low and high at every x: a band's outline runs along one edge and back along the other."""
    for path in collection.get_paths():
        corners = np.asarray(path.vertices)
        for x in np.unique(corners[:, 0]):
            heights = corners[corners[:, 0] == x, 1]
            yield x, np.nan, heights.min(), heights.max()


def _bars(container: BarContainer) -> Iterator[Point]:
    """A lying bar from low to high at the height y, an upright one at x."""
    for bar in container.patches:
        x, y, width, height = bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()
        if container.orientation == "horizontal":
            yield np.nan, y + height / 2, x, x + width
        else:
            yield x + width / 2, np.nan, y, y + height
