"""Overhead, sensitivity and where the spread comes from: tables of what the paper shows in figures, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis import honesty
from analysis.grid import Grid
from analysis.grouping import Part, grouped
from analysis.inference import IQM_SEEDS, success_interval
from analysis.load import Results
from analysis.published import lookup, model_of, warning
from analysis.record_frames import ALL
from analysis.statistics import t_interval
from analysis.statistics_robust import iqm
from analysis.statistics_variance import Variance, crossed, nested
from analysis.table_cells import Cell, apart, measured, of_interval, printed
from analysis.table_settings import Setting
from analysis.words import MARK_NOTE, NOTHING, TO, number

MISSING = Cell(NOTHING, math.nan)
_MARKED = ("condition", "arm", "marks")


def overhead(results: Results, settings: Sequence[Setting]) -> Grid:
    """Time and memory of an update with the world-model term, against the bare algorithm on the same seeds."""
    origins, doubts = honesty.Origins(results), []
    rows: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    used: list[Setting] = []
    runs: list[tuple[str, ...]] = []
    for setting in settings:
        bare = next(
            (
                other
                for other in settings
                if (other.condition, other.algorithm, other.variant) == (setting.condition, setting.algorithm, "none")
            ),
            None,
        )
        if bare is None or setting.variant == "none":
            continue
        if setting.condition and setting.condition not in headings.values():
            headings[len(rows)] = setting.condition
        used.append(setting)
        runs.append((*results.run_ids(setting.condition, setting.arm), *results.run_ids(bare.condition, bare.arm)))
        planned = sum(results.planned(part.condition, part.arm) for part in (setting, bare))
        marks = origins.marks(runs[-1], planned=planned, mixed_games=False)
        doubts.append(marks)
        time, rows_time = (
            _ratio(results, setting, bare, column, marks=marks) for column in ("seconds.total", "seconds.train")
        )
        own, other = (_by_seed(results, part, "peak_memory_mb") / 1000 for part in (setting, bare))
        memory = t_interval((own - other).dropna().to_numpy())
        paper = [
            lookup(
                model_of(setting.model, setting.benchmark),
                algorithm=setting.algorithm,
                world_model=setting.variant,
                benchmark=setting.benchmark,
                metric=f"overhead_{metric}",
                task=ALL,
            ).value
            for metric in ("step_time_percent", "peak_memory_gb")
        ]
        gigabytes = of_interval(memory, digits=2, marks=marks)
        rows.append(
            (
                setting.arm,
                *(
                    of_interval(t_interval(_by_seed(results, part, "seconds.total").to_numpy()), marks=marks)
                    for part in (bare, setting)
                ),
                *(time, printed(paper[0], sign="+"), apart(time, printed(paper[0])), rows_time),
                *(gigabytes, printed(paper[1], sign="+"), apart(gigabytes, printed(paper[1]))),
            )
        )
    sources = set(results.done()["games_source"])
    beside = {model_of(setting.model, setting.benchmark) for setting in used}
    notes = (
        warning({setting.model for setting in used}, beside, sources),
        "Seconds an update (mean over a run's updates) and peak memory in GB, mean over seeds ± half-width of the 95 % "
        "t interval. Overhead: ratio to the bare algorithm on the same seed in percent, with the t interval of its "
        "logarithm. Episodes differ between arms, and an arm that wins sooner plays fewer turns: these ratios are of "
        "whole runs, not of the term alone.",
        _marks_note(doubts),
    )
    columns = (
        *("Arm", "Bare s/update", "s/update", "Overhead %", "Published %", "Difference %", "Training phase %"),
        *("Memory + GB", "Published GB", "Difference GB"),
    )
    caption = f"{results.name}: overhead"
    return Grid("overhead", caption, columns, tuple(rows), notes, headings, wide=True, runs=tuple(runs))


def sensitivity(results: Results, cells: pd.DataFrame, compared: pd.DataFrame) -> Grid:
    """Success under each value of every number that alone differs: an axis, or a key of a family of arms."""
    after = cells[(cells["phase"] == "after") & (cells["task_type"] == ALL)]
    found = {(row["condition"], row["arm"]): row for row in after.to_dict("records") if row["n"]}
    pairs = {(row["condition"], row["arm"]): row for row in compared.to_dict("records")}
    doubts: list[str] = []
    rows: list[tuple[str, ...]] = []
    runs: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    for key, condition, value, arm in (*_of_axes(results), *_of_arms(results)):
        row = found.get((condition, arm))
        if row is None:
            continue
        if key not in headings.values():
            headings[len(rows)] = key
        pair = pairs.get((condition, arm))
        against = (
            MISSING
            if pair is None
            else measured(pair["mean"], pair["half_width"], _gap(pair["gap"]), marks=pair["marks"], sign="+")
        )
        own = measured(row["mean"], row["half_width"], row["gap"], marks=row["marks"])
        doubts += [row["marks"], pair["marks"] if pair else ""]
        rows.append((str(value), arm, condition or NOTHING, own, against, f"{row['n']}/{row['planned']}"))
        arms = dict.fromkeys((arm, results.reference if pair else arm))
        runs.append(tuple(run_id for one in arms for run_id in results.run_ids(condition, one)))
    notes = (
        "Success over all episodes after training in percent: mean ± half-width of the 95 % t interval over seeds. "
        "Under each key the runs differ in it alone. The paper shows its sweeps of alpha and rho as figures without "
        "printed values: there is nothing to set beside them.",
        _marks_note(doubts),
    )
    columns = ("Value", "Arm", "Axes", "All", f"Against {results.reference}", "Seeds")
    caption = f"{results.name}: sensitivity"
    return Grid("sensitivity", caption, columns, tuple(rows), notes, headings, wide=True, runs=tuple(runs))


def variance(results: Results, cells: pd.DataFrame) -> Grid:
    """How much of the spread over seeds is the seeds', and how much is luck of the evaluation's episodes."""
    after = cells[(cells["phase"] == "after") & (cells["task_type"] == ALL)]
    marks = {(condition, arm): own for condition, arm, own in zip(*(after[k] for k in _MARKED), strict=True)}
    episodes = results.episodes[results.episodes["phase"] == "after"]
    episodes = episodes[episodes["run_id"].isin(results.done()["run_id"])]
    rows: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    runs: list[tuple[str, ...]] = []
    groups = grouped(episodes, ("condition", "arm"), ("seed", "task_id", "task_type", "success"))
    for condition in results.conditions:
        for arm in results.arms:
            own = groups.get((condition, arm))
            if own is None:
                continue
            if condition and condition not in headings.values():
                headings[len(rows)] = condition
            runs.append(results.run_ids(condition, arm))
            found = components_of(own)
            wins = wins_by_seed(own)
            interval = success_interval([seed.mean() for seed in wins], [len(seed) for seed in wins])
            robust = iqm([_by_type(own)])
            words = number(100 * robust.value, 1)
            if not math.isnan(robust.low):
                words += f" ({number(100 * robust.low, 1)}{TO}{number(100 * robust.high, 1)})"
            rows.append(
                (
                    arm,
                    of_interval(interval, marks=marks[condition, arm], factor=100),
                    *(_points(part) for part in (found.total, found.seed, found.episode)),
                    Cell(number(100 * found.share, 0), 100 * found.share),
                    found.layout or NOTHING,
                    Cell(words, 100 * robust.value, 100 * robust.low, 100 * robust.high),
                    str(len(wins)),
                )
            )
    notes = (
        "Success over all episodes after training, in percent. SD over seeds: of the seeds' means; it is made of "
        "what the seeds differ in (seed) and of luck of the episodes (episode), which more episodes a seed would "
        "shrink. Crossed: all seeds played the same games, whose difficulty is in neither; nested: they did not, and "
        "it counts as luck. With few seeds the parts are rough: a seed part of 0.0 says that the episodes alone "
        "explain the spread.",
        "IQM: interquartile mean over seeds and task types; its bootstrap interval is printed from "
        f"{IQM_SEEDS} seeds on, because it covers too little below (docs/statistics.md).",
        _marks_note(marks.values()),
    )
    columns = ("Arm", "All", "SD over seeds", "Seed", "Episode", "Seed's share %", "Layout", "IQM", "Seeds")
    caption = f"{results.name}: seeds and episodes"
    return Grid("variance", caption, columns, tuple(rows), notes, headings, wide=True, runs=tuple(runs))


def components_of(episodes: Part) -> Variance:
    """The variance components of one arm's evaluation: crossed where every seed played each game once.

    `episodes`: the columns seed, task_id and success.
    """
    wins = wins_by_seed(episodes, order="task_id")
    tasks = [frozenset(episodes["task_id"][own]) for own in _places(episodes["seed"])]
    if len(set(tasks)) == 1 and all(len(own) == len(tasks[0]) for own in wins):
        return crossed(np.array(wins))
    return nested(wins_by_seed(episodes))


def wins_by_seed(episodes: Part, order: str = "") -> list[np.ndarray]:
    """Success (0 or 1) of each seed's episodes, seeds in ascending order; episodes as they come, or in that order."""
    places = _places(episodes["seed"])
    if order:
        places = [own[np.argsort(episodes[order][own], kind="stable")] for own in places]
    return [episodes["success"][own].astype("float64") for own in places]


def _places(values: np.ndarray) -> list[np.ndarray]:
    """Where each distinct value stands, in the order of the values."""
    found, codes = np.unique(values, return_inverse=True)
    return [np.flatnonzero(codes == code) for code in range(len(found))]


def _by_type(episodes: Part) -> np.ndarray:
    """Success of each seed (rows) on each task type (columns); seeds that did not play all types are left out."""
    seeds, row = np.unique(episodes["seed"], return_inverse=True)
    types, column = np.unique(episodes["task_type"], return_inverse=True)
    played, won = np.zeros((2, len(seeds), len(types)))
    np.add.at(played, (row, column), 1)
    np.add.at(won, (row, column), episodes["success"])
    return np.asarray((won / np.maximum(played, 1))[(played > 0).all(axis=1)])


def measure_tables(
    results: Results, cells: pd.DataFrame, compared: pd.DataFrame, settings: Sequence[Setting]
) -> Mapping[str, Grid]:
    """File name -> table, of those that have a row."""
    found = {
        "overhead": overhead(results, settings),
        "sensitivity": sensitivity(results, cells, compared),
        "variance": variance(results, cells),
    }
    return {name: grid for name, grid in found.items() if grid.rows}


def _marks_note(doubts: Iterable[str]) -> str:
    """What the signs in a table mean; `doubts`: the names of marks that stand in it."""
    found = honesty.notes(doubts)
    return f"{found}; {MARK_NOTE}." if found else f"{MARK_NOTE}."


def _points(sd: float) -> Cell:
    return Cell(number(100 * sd, 1), 100 * sd)


def _gap(gap: str) -> str:
    return "" if gap == "different games" else gap


def _by_seed(results: Results, setting: Setting, column: str) -> pd.Series:
    """Mean over a run's updates, by seed; runs that did not record it are left out."""
    means = results.run_means(setting.condition, setting.arm)
    values = pd.Series(means[column].to_numpy(), index=means["seed"].to_numpy()).sort_index()
    return values.dropna()


def _ratio(results: Results, setting: Setting, bare: Setting, column: str, *, marks: str) -> Cell:
    """How much longer in percent: geometric mean over the seeds of both, with the t interval of the logarithm."""
    own, other = (_by_seed(results, part, column) for part in (setting, bare))
    shared = [seed for seed in own.index if seed in other.index and own[seed] > 0 and other[seed] > 0]
    interval = t_interval(np.log(own[shared].to_numpy() / other[shared].to_numpy()))
    value, low, high = (
        100 * math.expm1(interval.mean + sign * (interval.half_width if sign else 0.0)) for sign in (0, -1, 1)
    )
    if interval.gap:
        return measured(value, math.nan, interval.gap, marks=marks, sign="+", factor=1)
    words = f"{number(value, 1, sign='+')} ({number(low, 1, sign='+')} to {number(high, 1, sign='+')})"
    return Cell(honesty.signed(words, marks), value, low, high, marks)


Point = tuple[str, str, object, str]
"""Key, condition, value, arm."""


def _of_axes(results: Results) -> Iterable[Point]:
    runs = results.runs[results.runs["planned"]]
    places = ("model.name", "algorithm.name", "environment.name")
    for key in [str(name) for name in runs if "." in str(name) and name not in places]:
        if runs[key].nunique() > 1:
            points = (
                runs[[key, "condition", "arm"]].drop_duplicates().sort_values(key, key=_first_places, kind="stable")
            )
            for value, condition, arm in zip(*(points[name].tolist() for name in points), strict=True):
                yield key, condition, value, arm


def _first_places(values: pd.Series) -> pd.Series:
    """Where each value of an axis first stands in the plan."""
    return pd.Series(pd.factorize(values)[0], index=values.index)


def _of_arms(results: Results) -> Iterable[Point]:
    changes = results.changes
    for key in dict.fromkeys(key for own in changes.values() for key in own):
        base = next(own[key]["base"] for own in changes.values() if key in own)
        families: dict[str, dict[str, float]] = {}
        for arm, own in changes.items():
            value = own[key]["arm"] if key in own else base
            if isinstance(value, int | float) and not isinstance(value, bool):
                rest = repr(sorted((name, repr(change["arm"])) for name, change in own.items() if name != key))
                families.setdefault(rest, {})[arm] = value
        for family in families.values():
            if len(set(family.values())) > 1:
                for condition in results.conditions:
                    for arm, value in sorted(family.items(), key=lambda item: item[1]):
                        yield key, condition, value, arm
