"""What the figures share: curves with bands, rows named after arms, limits, legends, wrapped names."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from analysis.curves import Curve
from analysis.palette import Look

BAND_SEEDS = 3
"""Bands are drawn from so many seeds on: with two, a 95 % t interval is 13 standard errors wide and hides the panel, so
the seeds' own lines stand for it."""


def by_arm(rows: pd.DataFrame, arms: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each arm that has some, in the order of the experiment file."""
    groups = {str(arm): part for arm, part in rows.groupby("arm")}
    return [(arm, groups[arm]) for arm in arms if arm in groups]


def draw_curve(
    axes: Axes, found: Curve, look: Look, *, scale: float, seeds: bool = False, band: bool = True, marks: int = 5
) -> None:
    """Mean with about `marks` markers, band, and thin lines for the seeds."""
    updates = found.seeds.index.to_numpy()
    if seeds:
        own = scale * found.seeds.to_numpy()
        lines = axes.plot(updates, own, color=look.colour, linewidth=0.4, alpha=0.45, zorder=2)
        for line, seed in zip(lines, found.seeds.columns, strict=True):
            line.set_gid(f"{look.arm}, seed {seed}")
    if band and found.seeds.shape[1] >= BAND_SEEDS:
        low, high = (scale * (found.mean + sign * found.half_width).to_numpy() for sign in (-1, 1))
        axes.fill_between(updates, low, high, color=look.colour, alpha=0.13, linewidth=0, zorder=1, gid=look.arm)
    every = max(1, len(updates) // marks)
    axes.plot(
        *(updates, scale * found.mean.to_numpy()),
        gid=f"{look.arm}, mean",
        color=look.colour,
        linestyle=look.line,
        marker=look.marker,
        markevery=(int((0.3 + 0.37 * look.order) % 1 * every), every),
        markeredgewidth=0,
        zorder=3,
    )


def limits(curves: Iterable[Curve], *, scale: float, means: bool = False) -> tuple[float, float]:
    """Limits that hold the seeds' lines, or the means; a wide band may run out of them."""
    return span([scale * (found.mean if means else found.seeds).to_numpy().ravel() for found in curves])


def span(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits around all finite values, with a margin."""
    values = np.concatenate(arrays) if arrays else np.array([])
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * (high - low) or 0.05 * max(abs(high), 0.1)
    return low - margin, high + margin


def finish(grid: np.ndarray, used: int, label: str) -> None:
    """Hide the panels after the first `used` ones; label the lowest of each column."""
    for axes in list(grid.flat)[used:]:
        axes.set_visible(False)
    for column in grid.T:
        lowest = [axes for axes in column if axes.get_visible()][-1:]
        for axes in lowest:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(label)


_LINE = 0.135
"""Inches of a line of text with its blank."""


@dataclass(frozen=True, slots=True)
class Names:
    """Arms (or pairs of arms) as rows from the top, named at the left."""

    lines: list[str]
    """The wrapped names."""

    @classmethod
    def of(cls, names: Iterable[str], width: float) -> Names:
        """Names on lines of at most a third of a column, in a figure of that width."""
        return cls([wrapped(name, min(1.9, 0.33 * width)) for name in names])

    def height(self, least: float) -> float:
        """Inches of all rows, each at least `least` lines high."""
        return _LINE * sum(max(least, name.count("\n") + 1.5) for name in self.lines)

    def label(self, axes: Axes) -> None:
        """Write the names at the left of the panel, the first one at the top."""
        axes.set_yticks(range(len(self.lines)), self.lines)
        axes.set_ylim(len(self.lines) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)


def dots(axes: Axes, values: np.ndarray, place: float, look: Look) -> None:
    """The seeds of one row as small dots."""
    height = np.full(len(values), place)
    gid = f"{look.arm}, seeds"
    axes.plot(values, height, "o", markersize=2, markeredgewidth=0, color=look.colour, alpha=0.65, zorder=2, gid=gid)


_MARGIN = 0.1
"""Inches of the figure's width that a legend leaves free."""
_HANDLE = 0.42
"""Inches of a legend's handle and the blanks around it."""
_NARROWEST = 1.55
"""Inches that a column of wrapped names needs with its handles."""


def legend(figure: Figure, entries: Sequence[tuple[str, Look]]) -> None:
    """Below the panels: side by side where the names are short, else in columns of wrapped names."""
    room = figure.get_figwidth() - _MARGIN
    widest = max(width_of(name) for name, _ in entries)
    columns = max(1, min(len(entries), int(room / (widest + _HANDLE))))
    if len(entries) > 3 * columns:
        columns = int(room / _NARROWEST)
    handles = [
        Line2D(
            *([], []),
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markeredgewidth=0,
            label=wrapped(name, room / columns - _HANDLE),
        )
        for name, look in entries
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def width_of(text: str) -> float:
    """Inches that a line of text takes in the style's font."""
    return _width_at(text, float(mpl.rcParams["font.size"]), tuple(mpl.rcParams["font.family"]))


@cache
def _width_at(text: str, size: float, family: tuple[str, ...]) -> float:
    outline = TextPath((0, 0), text, size=size, prop=FontProperties(family=list(family))).vertices
    return float(np.max(outline[:, 0], initial=0.0)) / 72


def wrapped(name: str, inches: float) -> str:
    """The name on lines that are not wider than `inches`."""
    fitting = int(len(name) * inches / max(width_of(name), 0.01))
    for characters in range(max(fitting + 4, 4), 1, -1):
        lines = textwrap.wrap(name, characters, break_on_hyphens=False)
        if all(width_of(line) <= inches for line in lines):
            return "\n".join(lines)
    return name
