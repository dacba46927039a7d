"""Where the gradient of CE, MAE and CMAE falls: the paper's diagnostic of noisy observation tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from analysis.drawing import BAND_SEEDS, Names, by_arm
from analysis.figure_subject import Subject
from analysis.gradients import LOSSES, by_probability, noisy_shares
from analysis.palette import LINE_STYLES, Dash, lighter
from analysis.statistics import t_interval


class _Style(NamedTuple):
    """How a loss is told from the others: its line, and how much lighter than the row's colour its bar is."""

    line: Dash
    light: float


_STYLES = {
    "ce": _Style(LINE_STYLES[0], 0.0),
    "mae": _Style(LINE_STYLES[1], 0.45),
    "cmae": _Style(LINE_STYLES[2], 0.75),
}
_TOKENS: Mapping[str, Any] = {"color": "0.6", "linewidth": 0.8, "linestyle": "-"}
_WHISKER: Mapping[str, Any] = {"color": "0.1", "elinewidth": 0.8, "capsize": 1.2, "zorder": 4}
_SEEDS: Mapping[str, Any] = {"color": "0.1", "markersize": 1.8, "markeredgewidth": 0, "alpha": 0.7, "zorder": 3}
_BEFORE = "before RL"
_LEAST = 1e-4
"""Where the axis of probabilities begins."""


def gradient_share(subject: Subject) -> Figure | None:
    """Share of the gradient by the token's probability before training, and on noisy tokens before and after."""
    gradients = subject.finished("gradients")
    if gradients.empty:
        return None
    before = gradients[gradients["phase"] == "before"]
    shares = noisy_shares(gradients[gradients["phase"].isin(["before", "after"])])
    after = by_arm(shares[shares["phase"] == "after"], subject.results.arms)
    first = shares[shares["phase"] == "before"]
    rows = [(_BEFORE, "#000000", first)] * (not first.empty)
    rows += [(arm, subject.looks[arm].colour, own) for arm, own in after]
    room = 0.5 if subject.wide else 1.0
    names = Names.of([name for name, _, _ in rows], room * subject.width)
    bars = 0.55 + names.height(2.5)
    panels = 1 if before.empty else 2
    if subject.wide:
        figure = subject.figure(0.3 + max(bars, 2.0))
        grid = figure.subplots(1, panels, squeeze=False)
    else:
        heights = [1.75, bars][-panels:]
        figure = subject.figure(0.3 + sum(heights))
        grid = figure.subplots(panels, 1, squeeze=False, height_ratios=heights)
    if panels == 2:
        _curves(grid.flat[0], before)
    _bars(grid.flat[-1], names, rows)
    _legend(figure)
    return figure


def _curves(axes: Axes, before: pd.DataFrame) -> None:
    """Cumulated over the probability; before training all arms are one policy."""
    mean = 100 * by_probability(before)
    axes.plot(mean.index, mean["weight"], gid="tokens", zorder=2, **_TOKENS)
    for loss, name in LOSSES.items():
        axes.plot(mean.index, mean[loss], gid=name, color="#000000", linestyle=_STYLES[loss].line, zorder=3)
    for rho in sorted(set(before["rho"])):
        axes.axvline(rho, color="0.75", linewidth=0.7, zorder=1)
        axes.text(rho, 104, "\N{GREEK SMALL LETTER RHO}", ha="center", va="bottom")
    axes.set_xscale("log")
    axes.set(
        xlim=(_LEAST, 1),
        ylim=(0, 103),
        ylabel="share of gradient (%)",
        xlabel=f"on tokens of probability ≤ p, {_BEFORE}",
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _bars(axes: Axes, names: Names, rows: list[tuple[str, str, pd.DataFrame]]) -> None:
    """A row before training and one for each arm after it; in each a bar a loss, with its seeds."""
    longest = 0.0
    for place, (name, colour, own) in enumerate(rows):
        for step, (loss, label) in enumerate(LOSSES.items()):
            values = 100 * own[loss].dropna().to_numpy()
            if len(values) == 0:
                continue
            height = place + 0.29 * (step - 1)
            shade = lighter(colour, _STYLES[loss].light)
            gid = f"{name}, {label}"
            axes.barh(height, values.mean(), height=0.27, color=shade, linewidth=0, zorder=1.5, gid=gid)
            longest = max(longest, float(values.max()))
            # Before training the seeds are one policy on one set: nothing to show beside the bar.
            if name == _BEFORE:
                continue
            interval = t_interval(values)
            if len(values) >= BAND_SEEDS and not math.isnan(interval.half_width):
                axes.errorbar(values.mean(), height, xerr=interval.half_width, gid=gid, **_WHISKER)
            axes.plot(values, np.full(len(values), height), "o", gid=f"{gid}, seeds", **_SEEDS)
    tokens = 100 * np.mean(np.concatenate([own["weight"].to_numpy() for _, _, own in rows]))
    axes.axvline(tokens, gid="tokens", zorder=5, **_TOKENS)
    # Observations without a name hold no noisy token at all: the axis then shows one percent.
    axes.set(xlim=(0, min(100.0, 1.08 * max(longest, tokens, 1.0))), xlabel="share of gradient on noisy tokens (%)")
    names.label(axes)


def _legend(figure: Figure) -> None:
    """A loss is a line in one panel and a shade in the other."""
    handles: list[Any] = [
        (
            Patch(color=lighter("#000000", _STYLES[loss].light), linewidth=0),
            Line2D([], [], color="#000000", linestyle=_STYLES[loss].line),
        )
        for loss in LOSSES
    ]
    figure.legend(
        [*handles, Line2D([], [], **_TOKENS)],
        [*LOSSES.values(), "tokens"],
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.4)},
        loc="outside lower center",
        ncols=4,
        handlelength=2.6,
        columnspacing=1.0,
    )
