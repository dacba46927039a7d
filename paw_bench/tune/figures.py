"""The figures of a study: history, slices, parallel coordinates, importance; PDF and PNG in the project's style."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import optuna
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

import analysis
from analysis.drawing import legend
from analysis.palette import Look, lighter, looks
from paw_bench.config.keys import short_names
from paw_bench.store.atomic import writing
from paw_bench.tune.space import Parameter
from paw_bench.tune.study_plan import StudyPlan
from paw_bench.tune.table import searched, shown
from paw_bench.tune.trials import ArmStudy

_STYLE = Path(analysis.__file__).with_name("paw_bench.mplstyle")
_COLUMN, _PAGE = 3.3, 6.9
"""Widths of a paper's column and page (inches)."""
_ENOUGH = 4
"""Complete trials from which on importances are computed."""
_BESIDE: dict[str, Any] = {
    "xytext": (4, 0),
    "textcoords": "offset points",
    "va": "center",
    "color": "#444444",
    "bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
}
"""How a value is written at the right of its axis."""
_SUCCESS = "success on the tune panel (%)"


def write_figures(plan: StudyPlan, arms: Sequence[ArmStudy], folder: Path) -> list[Path]:
    """Draw every figure of which there is something to show; returns the files."""
    files = []
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # No pyplot: a figure of one's own needs no backend and leaves nothing behind.
    with mpl.rc_context(), warnings.catch_warnings():
        style.use(_STYLE)
        for name, figure in _figures(plan, arms):
            FigureCanvasAgg(figure)
            for ending in ("pdf", "png"):
                path = folder / f"{name}.{ending}"
                with writing(path):
                    figure.savefig(path, metadata={"CreationDate": None} if ending == "pdf" else None)
                files.append(path)
    return files


def _figures(plan: StudyPlan, arms: Sequence[ArmStudy]) -> Iterator[tuple[str, Figure]]:
    chosen = looks([arm.arm for arm in arms], plan.study.trial.reference)
    scored = [arm for arm in arms if _complete(arm)]
    if not scored:
        return
    yield "history", _history(scored, chosen)
    yield "slice", _slice(plan, scored, chosen)
    yield "parallel_coordinate", _parallel(plan, scored)
    important = [arm for arm in scored if len(_complete(arm)) >= _ENOUGH]
    if important:
        yield "importance", _importance(plan, important, chosen)


def _history(arms: Sequence[ArmStudy], chosen: dict[str, Look]) -> Figure:
    """Score by trial, with the best so far as a line; pruned trials hollow."""
    figure = Figure()
    axes = figure.subplots()
    for arm in arms:
        look = chosen[arm.arm]
        for state, colour in ((TrialState.COMPLETE, look.colour), (TrialState.PRUNED, "none")):
            trials = [trial for trial in arm.trials() if trial.state == state and trial.value is not None]
            axes.plot(
                *([trial.number + 1 for trial in trials], [100 * (trial.value or 0.0) for trial in trials]),
                linestyle="none",
                marker=look.marker,
                color=look.colour,
                markerfacecolor=colour,
                markeredgewidth=0.6,
                alpha=0.8,
            )
        complete = _complete(arm)
        best = np.maximum.accumulate([100 * (trial.value or 0.0) for trial in complete])
        numbers = [trial.number + 1 for trial in complete]
        axes.step(numbers, best, where="post", color=look.colour, linestyle=look.line, zorder=1)
    axes.set_xlabel("trial (hollow: pruned; line: best so far)")
    axes.set_ylabel(_SUCCESS)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.margins(x=0.04, y=0.08)
    legend(figure, [(arm.arm, chosen[arm.arm]) for arm in arms])
    return figure


def _slice(plan: StudyPlan, arms: Sequence[ArmStudy], chosen: dict[str, Look]) -> Figure:
    """Score over each searched key."""
    keys = searched(plan)
    names = short_names(keys)
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    figure = Figure(figsize=(_PAGE if columns > 1 else _COLUMN, 0.35 + 1.75 * rows))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in list(grid.flat)[len(keys) :]:
        axes.set_visible(False)
    for key, axes in zip(keys, grid.flat, strict=False):
        scale = _Scale(_parameter(plan, key))
        for arm in arms:
            look = chosen[arm.arm]
            trials = [trial for trial in _complete(arm) if key in trial.params]
            values = [100 * (trial.value or 0.0) for trial in trials]
            axes.plot(
                *([scale.place(trial.params[key]) for trial in trials], values),
                linestyle="none",
                marker=look.marker,
                color=look.colour,
                markeredgewidth=0,
                alpha=0.75,
            )
        axes.margins(0.06, 0.08)
        scale.label_x(axes)
        axes.set_xlabel(names[key])
    for axes in grid[:, 0]:
        axes.set_ylabel(_SUCCESS if rows == 1 else "success (%)")
    legend(figure, [(arm.arm, chosen[arm.arm]) for arm in arms])
    return figure


def _parallel(plan: StudyPlan, arms: Sequence[ArmStudy]) -> Figure:
    """Every complete trial as a line over the keys of its arm, coloured by its score."""
    figure = Figure(figsize=(_PAGE, 0.2 + 1.9 * len(arms)))
    panels = figure.subplots(len(arms), 1, squeeze=False)[:, 0]
    most = max(len(plan.study.spaces[arm.arm].parameters) for arm in arms)
    scores = [100 * (trial.value or 0.0) for arm in arms for trial in _complete(arm)]
    colours = ScalarMappable(Normalize(min(scores), max(scores) + 1e-9), "viridis")
    for arm, axes in zip(arms, panels, strict=True):
        parameters = plan.study.spaces[arm.arm].parameters
        names = short_names(searched(plan))
        for trial in sorted(_complete(arm), key=lambda trial: trial.value or 0.0):
            heights = [_Scale(each).share(trial.params.get(each.key)) for each in parameters]
            colour = colours.to_rgba(np.array(100 * (trial.value or 0.0)))
            axes.plot(range(len(parameters)), heights, color=colour, marker="o", markersize=2.5, markeredgewidth=0)
        axes.set_title(arm.arm, loc="left")
        axes.set_xticks(range(len(parameters)), [names[each.key] for each in parameters])
        axes.set_xlim(-0.15, most - 0.75)
        axes.set_ylim(-0.08, 1.08)
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        for place, each in enumerate(parameters):
            for height, text in _Scale(each).marks():
                axes.annotate(text, (place, height), **_BESIDE)
    figure.colorbar(colours, ax=list(panels), label=_SUCCESS, pad=0.01, aspect=30)
    return figure


def _importance(plan: StudyPlan, arms: Sequence[ArmStudy], chosen: dict[str, Look]) -> Figure:
    """How much each key decides whether a trial is among the best tenth (PED-ANOVA, arXiv 2304.10255)."""
    keys = searched(plan)
    names = short_names(keys)
    figure = Figure(figsize=(_COLUMN, 0.75 + 0.17 * len(keys) * len(arms)))
    axes = figure.subplots()
    height = 0.8 / len(arms)
    for order, arm in enumerate(arms):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = optuna.importance.get_param_importances(arm.optuna, evaluator=PedAnovaImportanceEvaluator())
        places = [place + (order - (len(arms) - 1) / 2) * height for place, key in enumerate(keys) if key in found]
        shares = [found[key] for key in keys if key in found]
        look = chosen[arm.arm]
        axes.barh(places, shares, 0.9 * height, color=lighter(look.colour, 0.25), edgecolor=look.colour, label=arm.arm)
    axes.set_yticks(range(len(keys)), [names[key] for key in keys])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("importance (shares of each arm)")
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=len(arms))
    return figure


class _Scale:
    """Where a key's values lie on an axis: as they are, by their logarithm, or choices side by side."""

    def __init__(self, parameter: Parameter) -> None:
        self._choices = [str(choice) for choice in parameter.choices]
        self._log = bool(getattr(parameter.distribution, "log", False))
        self._low = 0.0 if self._choices else float(parameter.distribution.low)  # type: ignore[attr-defined]
        last = max(1, len(self._choices) - 1)
        self._high = float(last if self._choices else parameter.distribution.high)  # type: ignore[attr-defined]

    def place(self, value: object) -> float:
        """On an axis that `label_x` has prepared."""
        return float(self._choices.index(str(value))) if self._choices else float(value)  # type: ignore[arg-type]

    def share(self, value: object) -> float:
        """From 0 at the low end to 1 at the high end; NaN where the key was not searched."""
        if value is None and "None" not in self._choices:
            return float("nan")
        low, high, here = self._low, self._high, self.place(value)
        if self._log:
            low, high, here = (float(np.log(each)) for each in (low, high, here))
        return (here - low) / (high - low)

    def marks(self) -> list[tuple[float, str]]:
        """(share, text) of the ends, or of every choice."""
        if self._choices:
            return [(self.share(choice), choice) for choice in self._choices]
        return [(0.0, shown(self._low)), (1.0, shown(self._high))]

    def label_x(self, axes: Axes) -> None:
        """Prepare the x axis."""
        if self._choices:
            axes.set_xticks(range(len(self._choices)), self._choices)
            axes.set_xlim(-0.5, len(self._choices) - 0.5)
        elif self._log:
            axes.set_xscale("log")
            narrow = self._high < 100 * self._low
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())


def _parameter(plan: StudyPlan, key: str) -> Parameter:
    return next(each for space in plan.study.spaces.values() for each in space.parameters if each.key == key)


def _complete(arm: ArmStudy) -> list[FrozenTrial]:
    return [trial for trial in arm.trials() if trial.state == TrialState.COMPLETE]
