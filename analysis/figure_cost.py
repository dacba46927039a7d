"""Seconds an update and peak memory, by arm."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.costs import update_costs
from analysis.drawing import Names, by_arm, dots
from analysis.figure_subject import Subject
from analysis.palette import lighter
from analysis.statistics import t_interval
from analysis.words import number

_PARTS = (("rollout", 0.0), ("train", 0.4), ("rest", 0.75))
"""Part of an update's time, and how much lighter than the arm's colour it is drawn."""


def cost(subject: Subject) -> Figure | None:
    """Mean seconds an update by part, and peak memory, of finished runs; dots are seeds, whiskers 95 % t intervals.

    Beside each bar: its length, and how far it is from the reference arm's.
    """
    results = subject.results
    costs = update_costs(subject.finished("metrics")).sort_values(["arm", "seed"])
    runs = costs.assign(
        rest=costs["seconds.total"] - costs["seconds.rollout"] - costs["seconds.train"],
        rollout=costs["seconds.rollout"],
        train=costs["seconds.train"],
        total=costs["seconds.total"],
        memory=costs["peak_memory_mb"] / 1024,
    )
    panels = [column for column in ("total", "memory") if runs[column].notna().any()]
    if not panels:
        return None
    arms = [arm for arm, _ in by_arm(runs, results.arms)]
    names = Names.of(arms, 0.85 * subject.width)
    figure = subject.figure(0.85 + names.height(1.5))
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, column in zip(grid.flat, panels, strict=True):
        for place, arm in enumerate(arms):
            own = runs[runs["arm"] == arm]
            colour = subject.looks[arm].colour
            parts = [(own[name].mean(), light) for name, light in _PARTS] if column == "total" else []
            start = 0.0
            for length, light in parts or [(own[column].mean(), 0.4)]:
                if length > 0:
                    axes.barh(place, length, left=start, height=0.7, color=lighter(colour, light), linewidth=0)
                    start += length
            _seeds(axes, own[column].dropna().to_numpy(), place, subject, arm)
        _lengths(axes, runs, arms, column, results.reference)
        axes.set_xlabel("seconds an update" if column == "total" else "peak memory (GiB)")
        names.label(axes)
    if "total" in panels:
        handles = [Patch(color=lighter("#000000", light), label=name) for name, light in _PARTS]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=1.2)
    return figure


def _seeds(axes: Axes, values: np.ndarray, place: float, subject: Subject, arm: str) -> None:
    interval = t_interval(values)
    if not interval.gap:
        axes.errorbar(
            interval.mean, place, xerr=interval.half_width, color="0.45", elinewidth=0.8, capsize=1.6, zorder=4
        )
    dots(axes, values, place + 0.44, subject.looks[arm])


def _lengths(axes: Axes, runs: pd.DataFrame, arms: list[str], column: str, reference: str) -> None:
    """The numbers, at the right edge of the panel: a bar's length, or its distance from the reference's in percent."""
    means = runs.groupby("arm")[column].mean()
    longest = float(runs[column].max())
    axes.set_xlim(0, 1.5 * longest)
    base = means.get(reference, float("nan"))
    for place, arm in enumerate(arms):
        if np.isnan(means[arm]):
            continue
        words = number(means[arm], 1)
        if arm != reference and base > 0:
            words = number(100 * (means[arm] / base - 1), 1, sign="+") + " %"
        axes.text(1.48 * longest, place, words, ha="right", va="center")
