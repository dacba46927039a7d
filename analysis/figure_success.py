"""Success on the evaluation games: before and after training, by task type, and its distribution over runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.cells import task_types
from analysis.drawing import BAND_SEEDS, Names, by_arm, dots, finish, legend, span, wrapped
from analysis.figure_subject import Subject
from analysis.grouping import Part, grouped
from analysis.inference import success_interval
from analysis.palette import lighter
from analysis.record_frames import ALL

PROFILE_SEEDS = 10
"""Fewer runs than this an arm make no distribution worth drawing."""
_GREY, _DASHES = "0.55", (0, (2, 2))


def before_after(subject: Subject) -> Figure | None:
    """Success on the evaluation games before and after training: dots are seeds, bars the 95 % t interval."""
    results, style = subject.results, subject.looks
    rows = subject.finished("evaluation")
    rows = rows[(rows["task_type"] == ALL) & rows["phase"].isin(["before", "after"])]
    if rows.empty:
        return None
    arms = [arm for arm, _ in by_arm(rows, results.arms)]
    names = Names.of(arms, subject.width)
    figure = subject.figure(0.95 + names.height(2.4))
    axes = figure.subplots()
    reference = rows["success"][(rows["arm"] == results.reference) & (rows["phase"] == "after")]
    if len(reference):
        axes.axvline(100 * reference.mean(), color=_GREY, linewidth=0.8, linestyle=_DASHES, zorder=1)
    shown: list[np.ndarray] = []
    parts = _by_seed(rows)
    for place, arm in enumerate(arms):
        look = style[arm]
        for phase, offset in (("before", -0.2), ("after", 0.2)):
            values, half_width = _successes(parts, arm, phase, ALL)
            if len(values) == 0:
                continue
            mean = values.mean()
            shown += [values, mean + half_width * np.array([-1, 1])]
            dots(axes, values, place + offset + 0.14, look)
            axes.errorbar(
                *(mean, place + offset),
                xerr=None if math.isnan(half_width) else half_width,
                color=look.colour,
                gid=look.arm,
                marker=look.marker,
                markersize=4.5,
                markerfacecolor=look.colour if phase == "after" else "white",
                markeredgewidth=0.9,
                elinewidth=0.9,
                capsize=1.8,
                zorder=3,
            )
    low, high = span(shown)
    axes.set(xlabel="evaluation success (%)", xlim=(max(low, -3), min(high, 103)))
    names.label(axes)
    sign = partial(Line2D, [], [], linestyle="", marker="o", color="0.2")
    handles = [
        sign(markerfacecolor="white", label="before RL, mean"),
        sign(label="after RL, mean"),
        sign(markersize=2, label="seeds"),
    ]
    if len(reference):
        label = wrapped(f"{results.reference} after RL", 1.2)
        handles.append(Line2D([], [], color=_GREY, linewidth=0.8, linestyle=_DASHES, label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=4 if subject.wide else 2, handlelength=1.6)
    return figure


def task_bars(subject: Subject) -> Figure | None:
    """Success after training by task type: bars are means over seeds, whiskers 95 % t intervals, dots seeds."""
    results, style = subject.results, subject.looks
    rows = subject.finished("evaluation")
    after, parts = rows[rows["phase"] == "after"], _by_seed(rows)
    types = [name for name in task_types(results) if (after["task_type"] == name).any()]
    if not types:
        return None
    arms = [arm for arm, _ in by_arm(after, results.arms)]
    names = Names.of(arms, 0.8 * subject.width)
    columns = len(types) if subject.wide else 4
    lines = math.ceil(len(types) / columns)
    figure = subject.figure(0.6 + lines * (0.2 + names.height(1.35)))
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, task_type in zip(grid.flat, types, strict=False):
        for place, arm in enumerate(arms):
            look, (values, half_width) = style[arm], _successes(parts, arm, "after", task_type)
            if len(values) == 0:
                continue
            axes.barh(
                place, values.mean(), height=0.76, color=lighter(look.colour, 0.45), linewidth=0, zorder=1.5, gid=arm
            )
            if len(values) >= BAND_SEEDS and not math.isnan(half_width):
                axes.errorbar(
                    *(values.mean(), place - 0.1),
                    xerr=half_width,
                    color="0.1",
                    elinewidth=0.8,
                    capsize=1.4,
                    zorder=4,
                )
            dots(axes, values, place + 0.22, look)
            earlier, _ = _successes(parts, arm, "before", task_type)
            if len(earlier):
                axes.plot(2 * [earlier.mean()], [place - 0.38, place + 0.38], color="0.1", linewidth=1.1, zorder=3)
        axes.set_xlim(0, 100)
        axes.set_title(task_type, loc="left", fontweight="bold" if task_type == ALL else "normal")
        axes.set_xticks([0, 50, 100], ["0", "50", ""])
        names.label(axes)
    finish(grid, len(types), "")
    figure.supxlabel("evaluation success (%)", fontsize=mpl.rcParams["axes.labelsize"])
    stroke = Line2D([], [], color="0.1", linewidth=1.1, marker="|", linestyle="", markersize=7, label="before RL")
    figure.legend(handles=[stroke], loc="outside lower right", handlelength=1)
    return figure


Parts = Mapping[tuple[str, str, str], Part]
"""(arm, phase, task type) -> success and games of each seed."""


def _by_seed(rows: pd.DataFrame) -> Parts:
    return grouped(rows.sort_values("seed"), ("arm", "phase", "task_type"), ("success", "games"))


def _successes(parts: Parts, arm: str, phase: str, task_type: str) -> tuple[np.ndarray, float]:
    """Success of each seed in percent, and the half-width of the interval; NaN where the tables print none either."""
    own = parts.get((arm, phase, task_type))
    if own is None:
        return np.array([]), math.nan
    return 100 * own["success"], 100 * success_interval(own["success"], own["games"]).half_width


def profiles(subject: Subject) -> Figure | None:
    """Performance profiles (Agarwal et al. 2021, arXiv 2108.13264): the share of scores above each threshold.

    A score is one run's success on one task type. Only arms with `PROFILE_SEEDS` runs or more, and only where there
    are two of them. No band: at ten runs a bootstrap's covers less than it says.
    """
    results, style = subject.results, subject.looks
    rows = subject.finished("evaluation")
    rows = rows[(rows["phase"] == "after") & (rows["task_type"] != ALL)]
    scores = {
        arm: np.sort(100 * own["success"].to_numpy())
        for arm, own in by_arm(rows, results.arms)
        if own["seed"].nunique() >= PROFILE_SEEDS
    }
    if len(scores) < 2:
        return None
    figure = subject.figure(2.5)
    axes = figure.subplots()
    for arm, values in scores.items():
        look = style[arm]
        share = 100 * (1 - np.arange(1, len(values) + 1) / len(values))
        axes.step(
            *(np.array([0, *values, 100]), np.array([100, *share, 0])),
            where="post",
            color=look.colour,
            gid=look.arm,
            linestyle=look.line,
            marker=look.marker,
            markevery=max(1, len(values) // 5),
            markeredgewidth=0,
        )
    axes.set(xlabel="success τ on a task type (%)", ylabel="scores above τ (%)", xlim=(0, 100), ylim=(-2, 102))
    legend(figure, [(arm, style[arm]) for arm in scores])
    return figure
