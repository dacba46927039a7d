"""Dynamics of the world-model term, by update."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.curves import curve, window_of
from analysis.drawing import by_arm, draw_curve, finish, legend, limits
from analysis.figure_subject import TOGETHER, Subject


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


def world_model(subject: Subject) -> Figure | None:
    """Dynamics of the world-model term, and next-observation prediction on the fixed transitions, by update."""
    results, style = subject.results, subject.looks
    metrics = subject.of("metrics")
    if metrics.empty:
        return None
    fixed, window = subject.finished("fixed_transitions"), window_of(metrics)
    trained = set(results.runs["arm"][results.runs["world_model"].fillna(False).astype(bool)])
    bands = len(results.arms) <= TOGETHER
    parts = {False: by_arm(metrics, results.arms), True: by_arm(fixed, results.arms)}
    drawn = [arm for arm, _ in parts[False]]
    rows, columns = (2, 3) if subject.wide else (3, 2)
    per_legend_row = 5 if subject.wide else 2
    figure = subject.figure(0.5 + 1.2 * rows + 0.16 * (1 + len(drawn) // per_legend_row))
    grid = figure.subplots(rows, columns, sharex=True)
    for axes, panel in zip(grid.flat, _PANELS, strict=True):
        curves = {
            arm: curve(rows, panel.column, 1 if panel.fixed else window)
            for arm, rows in parts[panel.fixed]
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
