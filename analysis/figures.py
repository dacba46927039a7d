"""The report's figures: which there are, what they say, and their files.

Each is drawn at the width of one column and of two, legible in greyscale (line style, marker and name tell the arms
apart without colour), and without any global state. Means and intervals come from `analysis.curves` and
`analysis.statistics`, so a figure shows the numbers of the tables. The same run files give the same bytes with the same
version of matplotlib.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.style
import pandas as pd
from matplotlib.figure import Figure

from analysis.cells import comparisons
from analysis.drawing import BAND_SEEDS, wrapped
from analysis.figure_comparisons import differences
from analysis.figure_cost import cost
from analysis.figure_curves import efficiency, learning_curves
from analysis.figure_gradients import gradient_share
from analysis.figure_sensitivity import sensitivity
from analysis.figure_subject import COLUMN, PAGE, Draw, Subject
from analysis.figure_success import PROFILE_SEEDS, before_after, profiles, task_bars
from analysis.figure_world_model import world_model
from analysis.load import Results
from analysis.recorded import RecordedFigure

STYLE = Path(__file__).with_name("paw_bench.mplstyle")
WIDE = "-wide"
"""What the stem of a two-column file ends with."""


class Drawing(NamedTuple):
    """One figure of the report."""

    draw: Draw
    title: str
    caption: str
    whole: bool = False
    """One for the whole sweep, instead of one for each condition."""


class Shown(NamedTuple):
    """One figure that was drawn."""

    stem: str
    """File name of the one-column form, without its ending."""
    title: str
    caption: str
    condition: str


def draw(results: Results, folder: Path) -> list[Path]:
    """Write every figure for every condition of the sweep as PDF and PNG, at both widths, into `folder`.

    Returns the paths. A figure that would be empty, because nothing was measured yet, is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    compared = comparisons(results)
    with mpl.rc_context(), matplotlib.style.context(STYLE):
        for name, condition, stem in planned(results):
            for width, ending in ((COLUMN, ""), (PAGE, WIDE)):
                figure = make(name, results, condition, width, compared)
                if figure is None:
                    break
                # The layout is solved once for both forms: it takes longer than drawing.
                figure.draw_without_rendering()
                figure.set_layout_engine("none")
                path = folder / f"{stem}{ending}.pdf"
                figure.savefig(path, metadata={"CreationDate": None})
                figure.savefig(path.with_suffix(".png"), metadata={"Software": None})
                written += [path, path.with_suffix(".png")]
    return written


def make(
    name: str,
    results: Results,
    condition: str,
    width: float = COLUMN,
    compared: pd.DataFrame | None = None,
    *,
    canvas: type[Figure] | type[RecordedFigure] = Figure,
) -> Figure | None:
    """The figure of that name in `FIGURES`, under the condition's title; to be called with the style in force.

    `compared`: the frame of `analysis.cells.comparisons`, where it is at hand; `canvas`: see `Subject`.
    """
    compared = comparisons(results) if compared is None else compared
    figure = FIGURES[name].draw(Subject(results, condition, compared, width, canvas))
    if figure is not None and condition and not FIGURES[name].whole:
        figure.suptitle(wrapped(condition, width - 0.1), fontsize=mpl.rcParams["font.size"])
    return figure


def shown(results: Results, written: Iterable[Path]) -> list[Shown]:
    """The figures among `written`, in the order of the report."""
    stems = {path.stem for path in written}
    return [
        Shown(stem, FIGURES[name].title, FIGURES[name].caption, "" if FIGURES[name].whole else condition)
        for name, condition, stem in planned(results)
        if stem in stems
    ]


def planned(results: Results) -> Iterable[tuple[str, str, str]]:
    """Name, condition and stem of every figure that there can be."""
    for name, drawing in FIGURES.items():
        if drawing.whole:
            yield name, "", name
            continue
        for number, condition in enumerate(results.conditions, start=1):
            yield name, condition, f"{name}-{number}" if condition else name


FIGURES: dict[str, Drawing] = {
    "learning_curves": Drawing(
        learning_curves,
        "Learning curves",
        "Success of the training episodes by update. Thin lines: seeds; thick line: their mean, as far as all seeds of "
        f"the arm have come; band: 95 % t interval over seeds, of each update by itself, from {BAND_SEEDS} seeds on "
        "(with two it is 13 standard errors wide and would hide the panel).",
    ),
    "before_after": Drawing(
        before_after,
        "Success before and after training",
        "Success on the evaluation games. Large signs: mean over seeds with the 95 % t interval; dots: seeds; dashed: "
        "the reference arm after training.",
    ),
    "differences": Drawing(
        differences,
        "Differences",
        "Arm minus reference over all evaluation games after training, with the 95 % t interval over seeds (not "
        "adjusted; an arrow where it runs out of the panel). Filled: the test rejects after Holm's correction.",
    ),
    "task_bars": Drawing(
        task_bars,
        "Success by task type",
        "Success on the evaluation games after training. Bars: mean over seeds; whiskers: 95 % t interval, "
        f"from {BAND_SEEDS} seeds on; dots: seeds; upright stroke: mean before training.",
    ),
    "profiles": Drawing(
        profiles,
        "Performance profiles",
        "Share of scores above a threshold; a score is one run's success on one task type. Arms with "
        f"{PROFILE_SEEDS} finished runs or more.",
    ),
    "sensitivity": Drawing(
        sensitivity,
        "Sensitivity",
        "Success on the evaluation games after training against a number that was varied with nothing else. Lines: "
        f"mean over seeds; whiskers: 95 % t interval, from {BAND_SEEDS} seeds on; dots: seeds.",
        whole=True,
    ),
    "world_model": Drawing(
        world_model,
        "World model",
        "Mean over seeds by update. WM loss is each arm's own form of it (clipped or not, true or shuffled targets) on "
        "its own episodes; accuracy and perplexity are on the fixed transitions, the same for all arms. λ, clipped "
        "and selected share only where the term is trained.",
    ),
    "gradient_share": Drawing(
        gradient_share,
        "Gradient on noisy tokens",
        "Where the gradient of each token loss (with respect to the label's logit) falls, on the fixed transitions and "
        "one and the same probabilities. Curves: on tokens of a probability of at most p, before training; CMAE has "
        "none above \N{GREEK SMALL LETTER RHO}. Bars: on noisy tokens, names that the context does not hold and no "
        f"policy could foretell; mean over seeds, dots: seeds, whiskers: 95 % t interval, from {BAND_SEEDS} seeds on. "
        "Grey: the share of the tokens themselves. The two need not agree: CMAE takes weight off tokens of very low p, "
        "but its share on new names can be above CE's: it also drops every token above \N{GREEK SMALL LETTER RHO}.",
    ),
    "efficiency": Drawing(
        efficiency,
        "Success against tokens and device time",
        "Success of the training episodes against the training tokens processed so far (a prompt counts in every row "
        "that repeats it) and the time for which a device was held, evaluation apart. Mean over seeds, as far as all "
        f"have come; band: 95 % t interval, from {BAND_SEEDS} seeds on.",
    ),
    "cost": Drawing(
        cost,
        "Time and memory",
        "Finished runs. Bars: mean over seeds, split by part of the update; dots: seeds; whiskers: 95 % t interval. "
        "Numbers: the reference arm's own, and how far the others are from it. Runs that share a machine slow each "
        "other.",
    ),
}
