"""Success against a number that was varied: alpha, rho, lambda, a learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation, Transform

from analysis.drawing import BAND_SEEDS, legend, span, wrapped
from analysis.figure_subject import Subject
from analysis.inference import success_interval
from analysis.palette import Look
from analysis.sensitivity import Line, lines, reference_success

_SYMBOLS = {
    "world_model.selection.alpha": "\N{GREEK SMALL LETTER ALPHA} (share selected)",
    "world_model.loss.rho": "\N{GREEK SMALL LETTER RHO} (clipping threshold)",
    "world_model.balance.value": "λ (constant)",
}
_CLOSE = 0.1
"""Share of the axis below which the labels of two values would touch."""
_APART = 7.0
"""Points between the whiskers of two lines at the same value."""
_DOTS = -3.0
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
    figure = subject.figure(0.75 + 1.65 * rows)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    references = reference_success(results)
    shown: list[np.ndarray] = []
    drawn = dict.fromkeys(line.arm for line in found)
    for axes, panel in zip(grid.flat, panels, strict=False):
        own = [line for line in found if (line.key, line.condition) == panel]
        for place, line in enumerate(own):
            aside = _APART * (place - (len(own) - 1) / 2)
            places = _moved(figure, axes, aside), _moved(figure, axes, aside + _DOTS)
            shown += _draw(axes, line, subject.looks[line.arm], *places)
        key, condition = panel
        if condition in references and results.reference not in drawn:
            axes.axhline(100 * references[condition].mean(), color="#000000", linewidth=0.9, linestyle=(0, (2, 2)))
            shown.append(100 * references[condition])
        axes.set_xlabel(_SYMBOLS.get(key, key))
        if condition:
            axes.set_title(wrapped(condition, 0.8 * subject.width / columns), loc="left")
        _scale(axes, sorted({point.value for line in own for point in line.points}))
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


def _moved(figure: Figure, axes: Axes, points: float) -> Transform:
    """The panel's places, moved to the right by so many points: what is drawn there keeps its true numbers."""
    return axes.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def _draw(axes: Axes, line: Line, look: Look, moved: Transform, beside: Transform) -> list[np.ndarray]:
    """Draw one line, its seeds as dots `beside` it; returns what has to be in sight."""
    measured = [point for point in line.points if point.success]
    axes.plot(
        *([point.value for point in measured], [100 * np.mean(point.success) for point in measured]),
        color=look.colour,
        gid=look.arm,
        linestyle=look.line,
        marker=look.marker,
        markeredgewidth=0,
        transform=moved,
        zorder=3,
    )
    shown = []
    for value, success, games in measured:
        seeds, half_width = 100 * np.array(success), 100 * success_interval(success, games).half_width
        axes.plot(
            *(np.full(len(seeds), value), seeds),
            linestyle="",
            marker="o",
            markersize=2,
            markeredgewidth=0,
            color=look.colour,
            gid=look.arm,
            alpha=0.65,
            transform=beside,
        )
        shown.append(seeds)
        if len(seeds) >= BAND_SEEDS and not math.isnan(half_width):
            axes.errorbar(
                *(value, seeds.mean()),
                yerr=half_width,
                color=look.colour,
                gid=look.arm,
                elinewidth=0.8,
                capsize=1.8,
                transform=moved,
            )
            shown.append(seeds.mean() + half_width * np.array([-1, 1]))
    return shown


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Ticks at the values that were run; a logarithmic axis where they lie too close on a linear one."""
    if values[0] > 0 and _closest(values) < min(_CLOSE, _closest(np.log(values))):
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    low, high = axes.transScale.transform([(values[0], 1), (values[-1], 1)])[:, 0]
    margin = 0.16 * (high - low)
    ends = axes.transScale.inverted().transform([(low - margin, 0), (high + margin, 0)])[:, 0]
    axes.set_xlim(*ends)


def _closest(values: Sequence[float] | np.ndarray) -> float:
    """The smallest distance between neighbours, as a share of the whole."""
    return float(np.min(np.diff(values)) / (values[-1] - values[0]))
