"""Learning curves: training success by update, and against what it took."""

from __future__ import annotations

import math

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.curves import Curve, curve, curve_against, window_of
from analysis.drawing import by_arm, draw_curve, finish, legend, limits, wrapped
from analysis.figure_subject import TOGETHER, Subject

_SOURCES = ("prompt", "action", "observation", "template")


def learning_curves(subject: Subject) -> Figure | None:
    """Training success by update: thin lines are seeds, thick lines their mean, bands the 95 % t interval."""
    results, style = subject.results, subject.looks
    metrics = subject.of("metrics")
    window = window_of(metrics)
    curves = {arm: curve(rows, "success", window) for arm, rows in by_arm(metrics, results.arms)}
    if not curves:
        return None
    label = _label(window)
    extent = limits(curves.values(), scale=100)
    if len(curves) <= TOGETHER:
        figure = subject.figure(2.5)
        axes = figure.subplots()
        for arm, found in curves.items():
            draw_curve(axes, found, style[arm], scale=100, seeds=True)
        axes.set(xlabel="update", ylabel=label, ylim=extent)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend(figure, [(arm, style[arm]) for arm in curves])
        return figure
    panels = [arm for arm in curves if arm != results.reference] or list(curves)
    columns = min(4 if subject.wide else 2, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = subject.figure(0.85 + 1.05 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, arm in zip(grid.flat, panels, strict=False):
        if results.reference in curves:
            draw_curve(axes, curves[results.reference], style[results.reference], scale=100, band=False)
        if arm != results.reference:
            draw_curve(axes, curves[arm], style[arm], scale=100, seeds=True)
        axes.set_title(wrapped(arm, 1.35), loc="left")
        axes.set_ylim(*extent)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    finish(grid, len(panels), "update")
    figure.supylabel(label.replace("\n", " ") if rows > 1 else label, fontsize=mpl.rcParams["axes.labelsize"])
    if results.reference in curves:
        legend(figure, [(f"{results.reference} (mean, in every panel)", style[results.reference])])
    return figure


def efficiency(subject: Subject) -> Figure | None:
    """Training success against the tokens that training processed, and against the seconds that it held a device."""
    results, style = subject.results, subject.looks
    metrics = subject.of("metrics")
    window = window_of(metrics)
    tokens = metrics[[f"tokens.{source}" for source in _SOURCES]]
    metrics = metrics.assign(
        tokens=tokens.sum(axis="columns", skipna=False) / 1e6, device_minutes=metrics["device_seconds"] / 60
    )
    parts = by_arm(metrics, results.arms)
    panels: list[tuple[str, dict[str, Curve]]] = []
    for spent, label in (("tokens", "training tokens (millions)"), ("device_minutes", "device time (minutes)")):
        found = {arm: curve_against(rows, spent, "success", window) for arm, rows in parts}
        curves = {arm: one for arm, one in found.items() if one is not None}
        if curves:
            panels.append((label, curves))
    if not panels:
        return None
    drawn = [arm for arm in results.arms if any(arm in curves for _, curves in panels)]
    bands = len(drawn) <= TOGETHER
    height = 2.0 + 0.16 * math.ceil(len(drawn) / (4 if subject.wide else 2))
    figure = subject.figure(height)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    every = [one for _, curves in panels for one in curves.values()]
    for axes, (label, curves) in zip(grid.flat, panels, strict=True):
        for arm, one in curves.items():
            draw_curve(axes, one, style[arm], scale=100, band=bands)
        axes.set(xlabel=label, xlim=(0, None), ylim=limits(every, scale=100, means=True))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    grid[0, 0].set_ylabel(_label(window))
    legend(figure, [(arm, style[arm]) for arm in drawn])
    return figure


def _label(window: int) -> str:
    """On two lines where there is more to say."""
    return "training success (%)" + (f",\nmean of {window} updates" if window > 1 else "")
