"""Success against a number that was varied: alpha, rho, lambda, a learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation

from analysis.drawing import BAND_SEEDS, legend, span, wrapped
from analysis.figure_subject import Subject
from analysis.palette import Look
from analysis.sensitivity import Line, lines, reference_success
from analysis.statistics import t_interval

_SYMBOLS = {
    "world_model.selection.alpha": "\N{GREEK SMALL LETTER ALPHA} (share of transitions selected)",
    "world_model.loss.rho": "\N{GREEK SMALL LETTER RHO} (tokens above it are clipped)",
    "world_model.balance.value": "λ (constant)",
}
_CLOSE = 0.1
"""Share of the axis below which the labels of two values would touch."""
_BESIDE = -4
"""Points by which the seeds' dots stand beside their whisker."""


def sensitivity(subject: Subject) -> Figure | None:
    """Evaluation success after training against each varied number: dots are seeds, whiskers 95 % t intervals."""
    results = subject.results
    found = lines(results)
    if not found:
        return None
    panels = list(dict.fromkeys((line.key, line.condition) for line in found))
    columns = min(len(panels), 3 if subject.wide else 2)
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(subject.width, 0.75 + 1.65 * rows))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    references = reference_success(results)
    shown: list[np.ndarray] = []
    drawn = dict.fromkeys(line.arm for line in found)
    for axes, panel in zip(grid.flat, panels, strict=False):
        own = [line for line in found if (line.key, line.condition) == panel]
        for line in own:
            shown += _draw(figure, axes, line, subject.looks[line.arm])
        key, condition = panel
        if condition in references and results.reference not in drawn:
            axes.axhline(100 * references[condition].mean(), color="#000000", linewidth=0.9, linestyle=(0, (2, 2)))
            shown.append(100 * references[condition])
        axes.set_xlabel(_SYMBOLS.get(key, key))
        if condition:
            axes.set_title(wrapped(condition, 0.8 * subject.width / columns), loc="left")
        _scale(axes, sorted({value for line in own for value, _ in line.points}))
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    for row in grid:
        row[0].set_ylabel("evaluation success (%)")
    low, high = span(shown)
    grid[0, 0].set_ylim(max(low, -3), min(high, 103))
    entries = [(arm, subject.looks[arm]) for arm in drawn]
    if results.reference not in drawn and references:
        entries.append((f"{results.reference} (mean)", Look("#000000", (0, (2, 2)), "", 0)))
    legend(figure, entries)
    return figure


def _draw(figure: Figure, axes: Axes, line: Line, look: Look) -> list[np.ndarray]:
    """Draw one line; returns what has to be in sight."""
    values = [value for value, wins in line.points if wins]
    intervals = [t_interval(100 * np.array(wins)) for _, wins in line.points if wins]
    axes.plot(
        *(values, [interval.mean for interval in intervals]),
        color=look.colour,
        linestyle=look.line,
        marker=look.marker,
        markeredgewidth=0,
        zorder=3,
    )
    shown = []
    for value, interval, wins in zip(values, intervals, (wins for _, wins in line.points if wins), strict=True):
        seeds = 100 * np.array(wins)
        beside = axes.transData + ScaledTranslation(_BESIDE / 72, 0, figure.dpi_scale_trans)
        axes.plot(
            *(np.full(len(seeds), value), seeds),
            linestyle="",
            marker="o",
            markersize=2,
            markeredgewidth=0,
            color=look.colour,
            alpha=0.65,
            transform=beside,
        )
        shown.append(seeds)
        if not interval.gap and interval.n >= BAND_SEEDS:
            width = interval.half_width
            axes.errorbar(value, interval.mean, yerr=width, color=look.colour, elinewidth=0.8, capsize=1.8)
            shown.append(interval.mean + interval.half_width * np.array([-1, 1]))
    return shown


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Ticks at the values that were run; a logarithmic axis where they lie too close on a linear one."""
    if values[0] > 0 and _closest(values) < min(_CLOSE, _closest(np.log(values))):
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.margins(x=0.08)


def _closest(values: Sequence[float] | np.ndarray) -> float:
    """The smallest distance between neighbours, as a share of the whole."""
    return float(np.min(np.diff(values)) / (values[-1] - values[0]))
