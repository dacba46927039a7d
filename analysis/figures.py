"""The report's figures: learning curves, success before and after, dynamics of the world model.

One column wide, legible in greyscale (line style and marker tell the arms apart without colour), drawn without any
global state. Means and bands come from `analysis.curves` and `analysis.statistics`, so a figure shows the numbers of
the tables. The same run files give the same bytes with the same version of matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.curves import curve, window_of
from analysis.drawing import by_arm, draw_curve, finish, legend, limits, span, wrapped
from analysis.load import Results
from analysis.palette import looks
from analysis.record_frames import ALL
from analysis.statistics import t_interval

STYLE = Path(__file__).with_name("paw_bench.mplstyle")
COLUMN = 3.3
"""Width of a column (inches)."""
TOGETHER = 3
"""More arms than this get a panel each instead of one panel for all."""

Draw = Callable[[Results, str], Figure | None]


def draw(results: Results, folder: Path) -> list[Path]:
    """Write every figure for every condition of the sweep as PDF and PNG into `folder`; returns the paths.

    A figure that would be empty, because nothing was measured yet, is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with mpl.rc_context(), matplotlib.style.context(STYLE):
        for name in FIGURES:
            for number, condition in enumerate(results.conditions, start=1):
                figure = make(name, results, condition)
                if figure is None:
                    continue
                stem = f"{name}-{number}" if condition else name
                figure.savefig(folder / f"{stem}.pdf", metadata={"CreationDate": None})
                figure.savefig(folder / f"{stem}.png", metadata={"Software": None})
                written += [folder / f"{stem}.pdf", folder / f"{stem}.png"]
    return written


def make(name: str, results: Results, condition: str) -> Figure | None:
    """The figure of that name in `FIGURES`, under the condition's title; to be called with the style in force."""
    figure = FIGURES[name](results, condition)
    if figure is not None and condition:
        figure.suptitle(wrapped(condition, 3.2), fontsize=mpl.rcParams["font.size"])
    return figure


def learning_curves(results: Results, condition: str) -> Figure | None:
    """Training success by update: thin lines are seeds, thick lines their mean, bands the 95 % t interval."""
    metrics = results.metrics[results.metrics["condition"] == condition]
    window = window_of(metrics)
    curves = {arm: curve(rows, "success", window) for arm, rows in by_arm(metrics, results.arms)}
    if not curves:
        return None
    style = looks(results.arms, results.reference)
    label = "training success (%)" + (f", mean of {window} updates" if window > 1 else "")
    extent = limits(curves.values(), scale=100)
    if len(results.arms) <= TOGETHER:
        figure = Figure(figsize=(COLUMN, 2.5))
        axes = figure.subplots()
        for arm, found in curves.items():
            draw_curve(axes, found, style[arm], scale=100, seeds=True)
        axes.set(xlabel="update", ylabel=label, ylim=extent)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend(figure, [(arm, style[arm]) for arm in curves])
        return figure
    panels = [arm for arm in curves if arm != results.reference]
    columns, rows = 2, math.ceil(len(panels) / 2)
    figure = Figure(figsize=(COLUMN, 0.85 + 1.05 * rows))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, arm in zip(grid.flat, panels, strict=False):
        if results.reference in curves:
            draw_curve(axes, curves[results.reference], style[results.reference], scale=100, band=False)
        draw_curve(axes, curves[arm], style[arm], scale=100, seeds=True)
        axes.set_title(wrapped(arm, 1.35), loc="left")
        axes.set_ylim(*extent)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    finish(grid, len(panels), "update")
    figure.supylabel(label, fontsize=mpl.rcParams["axes.labelsize"])
    if results.reference in curves:
        legend(figure, [(f"{results.reference} (mean, in every panel)", style[results.reference])])
    return figure


def before_after(results: Results, condition: str) -> Figure | None:
    """Success on the evaluation games before and after training: dots are seeds, bars the 95 % t interval."""
    rows = results.evaluation
    rows = rows[(rows["condition"] == condition) & (rows["task_type"] == ALL) & rows["phase"].isin(["before", "after"])]
    rows = rows[rows["run_id"].isin(results.done()["run_id"])]
    if rows.empty:
        return None
    style = looks(results.arms, results.reference)
    arms = [arm for arm, _ in by_arm(rows, results.arms)]
    names = [wrapped(arm, 1.15) for arm in arms]
    figure = Figure(figsize=(COLUMN, 1.0 + 0.14 * sum(max(2.4, name.count("\n") + 1.6) for name in names)))
    axes = figure.subplots()
    reference = rows["success"][(rows["arm"] == results.reference) & (rows["phase"] == "after")]
    if len(reference):
        axes.axvline(100 * reference.mean(), color="0.55", linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    shown: list[np.ndarray] = []
    for place, arm in enumerate(arms):
        look = style[arm]
        for phase, offset in (("before", -0.2), ("after", 0.2)):
            values = rows[(rows["arm"] == arm) & (rows["phase"] == phase)].sort_values("seed")["success"].to_numpy()
            if len(values) == 0:
                continue
            interval = t_interval(100 * values)
            shown += [100 * values, interval.mean + interval.half_width * np.array([-1, 1])]
            axes.plot(
                *(100 * values, np.full(len(values), place + offset + 0.14)),
                linestyle="",
                marker="o",
                markersize=2,
                markeredgewidth=0,
                color=look.colour,
                alpha=0.65,
            )
            axes.errorbar(
                *(interval.mean, place + offset),
                xerr=None if interval.gap else interval.half_width,
                color=look.colour,
                marker=look.marker,
                markersize=4.5,
                markerfacecolor=look.colour if phase == "after" else "white",
                markeredgewidth=0.9,
                elinewidth=0.9,
                capsize=1.8,
                zorder=3,
            )
    low, high = span(shown)
    axes.set(xlabel="evaluation success (%)", xlim=(max(low, -3), min(high, 103)), ylim=(len(arms) - 0.4, -0.6))
    axes.set_yticks(range(len(arms)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    sign = partial(Line2D, [], [], linestyle="", marker="o", color="0.2")
    handles = [
        sign(markerfacecolor="white", label="before RL, mean"),
        sign(label="after RL, mean"),
        sign(markersize=2, label="seeds"),
    ]
    if len(reference):
        label = wrapped(f"{results.reference} after RL", 1.2)
        handles.append(Line2D([], [], color="0.55", linewidth=0.8, linestyle=(0, (2, 2)), label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=1.6)
    return figure


class _Panel(NamedTuple):
    title: str
    column: str
    scale: float
    fixed: bool
    """On the fixed transitions; otherwise on the update's own."""
    only_trained: bool
    """Leave out arms without the term: they have no such quantity."""


_PANELS = (
    _Panel("WM loss (own form)", "wm.loss", 1, False, False),
    _Panel("accuracy, fixed set (%)", "accuracy", 100, True, False),
    _Panel("perplexity, fixed set", "perplexity", 1, True, False),
    _Panel("mean λ", "wm.lambda_mean", 1, False, True),
    _Panel("clipped share (%)", "wm.clipped_share", 100, False, True),
    _Panel("selected share (%)", "wm.selected_share", 100, False, True),
)


def world_model(results: Results, condition: str) -> Figure | None:
    """Dynamics of the world-model term, and next-observation prediction on the fixed transitions, by update."""
    metrics = results.metrics[results.metrics["condition"] == condition]
    if metrics.empty:
        return None
    fixed = results.fixed_transitions[results.fixed_transitions["condition"] == condition]
    style, window = looks(results.arms, results.reference), window_of(metrics)
    trained = set(results.runs["arm"][results.runs["world_model"].fillna(False).astype(bool)])
    bands = len(results.arms) <= TOGETHER
    drawn = [arm for arm, _ in by_arm(metrics, results.arms)]
    figure = Figure(figsize=(COLUMN, 4.1 + 0.08 * len(drawn)))
    grid = figure.subplots(3, 2, sharex=True)
    for axes, panel in zip(grid.flat, _PANELS, strict=True):
        curves = {
            arm: curve(rows, panel.column, 1 if panel.fixed else window)
            for arm, rows in by_arm(fixed if panel.fixed else metrics, results.arms)
            if arm in trained or not panel.only_trained
        }
        for arm, found in curves.items():
            draw_curve(axes, found, style[arm], scale=panel.scale, band=bands, marks=8 if panel.fixed else 3)
        axes.set_title(panel.title, loc="left")
        axes.set_ylim(*limits(curves.values(), scale=panel.scale, means=not bands))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    finish(grid, len(_PANELS), "update" + (f" (mean of {window})" if window > 1 else ""))
    legend(figure, [(arm, style[arm]) for arm in drawn])
    return figure


FIGURES: dict[str, Draw] = {
    "learning_curves": learning_curves,
    "before_after": before_after,
    "world_model": world_model,
}
