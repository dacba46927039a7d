"""A figure that is never drawn: it takes the calls that draw one, and keeps the numbers that they were given.

Building a hundred figures with matplotlib takes longer than everything else in a report's data. The numbers are those
that `analysis.plotted` reads off the real figure, point by point (tests compare the two). A call that draws data and
is not known here is an AttributeError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.transforms import IdentityTransform

Point = tuple[float, float, float, float]
"""x, y, low, high; NaN where a form has no such number."""


@dataclass(slots=True)
class Recorded:
    """What one call drew."""

    series: str
    form: str
    points: list[Point]

    def set_gid(self, gid: str) -> None:
        """Name the series."""
        self.series = gid


def _nothing(*_: Any, **__: Any) -> None:
    """What says how something looks draws no data."""


def _numbers(values: Any) -> np.ndarray:
    return np.atleast_1d(np.asarray(values, dtype="float64"))


class _Axis:
    """Takes whatever is said of an axis' ticks."""

    set_major_locator = set_minor_locator = set_major_formatter = staticmethod(_nothing)


class RecordedAxes:
    """One panel."""

    set_xlim = set_ylim = set_xlabel = set_ylabel = set_xticks = set_yticks = set_xscale = staticmethod(_nothing)
    tick_params = grid = annotate = text = set = staticmethod(_nothing)
    xaxis = yaxis = _Axis()
    transData = transScale = IdentityTransform()

    def __init__(self) -> None:
        self._title = ""
        self._visible = True
        self._found: dict[str, list[Recorded]] = {"interval": [], "line": [], "band": [], "bar": []}

    def set_title(self, label: str, **_: Any) -> None:
        """The panel's own title."""
        self._title = label

    def get_title(self, **_: Any) -> str:
        """The panel's own title."""
        return self._title

    def set_visible(self, visible: bool) -> None:
        """Hide or show the panel."""
        self._visible = visible

    def get_visible(self) -> bool:
        """Whether the panel is shown."""
        return self._visible

    def artists(self) -> Iterator[Recorded]:
        """What was drawn: intervals, lines, bands, bars, each in the order of drawing."""
        for form in self._found.values():
            yield from form

    def plot(self, x: Any, y: Any, *_: Any, gid: str = "", **__: Any) -> list[Recorded]:
        """A line, or one a column of `y`."""
        across, up = _numbers(x), _numbers(y)
        columns = up.T if up.ndim == 2 else [up]
        return [self._line(gid, across, column) for column in columns]

    def step(self, x: Any, y: Any, **options: Any) -> list[Recorded]:
        """A line in steps."""
        return self.plot(x, y, **options)

    def axvline(self, x: float, *, gid: str = "", **_: Any) -> None:
        """A line across the panel."""
        self._line(gid, _numbers([x, x]), _numbers([0, 1]))

    def axhline(self, y: float, *, gid: str = "", **_: Any) -> None:
        """A line along the panel."""
        self._line(gid, _numbers([0, 1]), _numbers([y, y]))

    def _line(self, gid: str, x: np.ndarray, y: np.ndarray) -> Recorded:
        points = [(across, up, np.nan, np.nan) for across, up in zip(x.tolist(), y.tolist(), strict=True)]
        return self._keep(gid, "line", points)

    def _keep(self, series: str, form: str, points: list[Point]) -> Recorded:
        found = Recorded(series, form, points)
        self._found[form].append(found)
        return found

    def errorbar(self, x: float, y: float, *, xerr: Any = None, yerr: Any = None, gid: str = "", **_: Any) -> None:
        """A mean with its interval."""
        mean = y if xerr is None else x
        width = yerr if xerr is None else xerr
        low, high = (np.nan, np.nan) if width is None else (mean - width, mean + width)
        self._keep(gid, "interval", [(float(x), float(y), float(low), float(high))])

    def fill_between(self, x: Any, low: Any, high: Any, *, gid: str = "", **_: Any) -> None:
        """A band, broken where it has no ends."""
        every = np.column_stack([_numbers(x), np.full(len(x), np.nan), _numbers(low), _numbers(high)])
        drawn = every[np.isfinite(every[:, 2]) & np.isfinite(every[:, 3])]
        if len(drawn):
            self._keep(gid, "band", list(map(tuple, drawn.tolist())))

    def barh(self, y: float, width: float, *, height: float, left: float = 0.0, gid: str = "", **_: Any) -> None:
        """A lying bar."""
        # matplotlib turns sizes into differences of places: the same rounding gives the same last digit.
        height, width = (y + height) - y, (left + width) - left
        place = (y - height / 2) + height / 2
        self._keep(gid, "bar", [(np.nan, float(place), float(left), float(left + width))])


class RecordedFigure:
    """A figure of panels; takes the arguments of matplotlib's."""

    legend = supxlabel = supylabel = suptitle = staticmethod(_nothing)
    dpi_scale_trans = IdentityTransform()

    def __init__(self, figsize: tuple[float, float]) -> None:
        self._width = figsize[0]
        self.axes: list[RecordedAxes] = []

    def get_figwidth(self) -> float:
        """Inches."""
        return self._width

    def subplots(self, rows: int = 1, columns: int = 1, *, squeeze: bool = True, **_: Any) -> Any:
        """A panel, or an array of them."""
        grid = np.empty((rows, columns), dtype="object")
        for place in np.ndindex(rows, columns):
            grid[place] = RecordedAxes()
        self.axes += grid.ravel().tolist()
        if not squeeze:
            return grid
        return grid[0, 0] if grid.size == 1 else grid.squeeze()
