"""Overhead and sensitivity: tables of what the paper shows in figures, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis import honesty
from analysis.costs import update_costs
from analysis.grid import Grid
from analysis.load import Results
from analysis.published import lookup, model_of, warning
from analysis.record_frames import ALL
from analysis.sensitivity import rest
from analysis.statistics import t_interval
from analysis.table_cells import Cell, apart, marks_note, measured, of_interval, printed
from analysis.table_settings import Setting
from analysis.table_variance import variance
from analysis.words import NOTHING, number

MISSING = Cell(NOTHING, math.nan)
_GIGABYTES = 2**20 / 1e9
"""Of a MiB."""


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
        costs = update_costs(pd.concat([results.metrics_of(one.condition, one.arm) for one in (setting, bare)]))
        own_costs, bare_costs = (costs[costs["arm"] == one.arm] for one in (setting, bare))
        time, rows_time = (
            _ratio(_by_seed(own_costs, column), _by_seed(bare_costs, column), marks=marks)
            for column in ("seconds.total", "seconds.train")
        )
        own, other = (_by_seed(part, "peak_memory_mb") for part in (own_costs, bare_costs))
        memory = t_interval([(own[seed] - other[seed]) * _GIGABYTES for seed in own if seed in other])
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
                    of_interval(t_interval(list(_by_seed(part, "seconds.total").values())), marks=marks)
                    for part in (bare_costs, own_costs)
                ),
                *(time, printed(paper[0], sign="+"), apart(time, printed(paper[0])), rows_time),
                *(gigabytes, printed(paper[1], sign="+"), apart(gigabytes, printed(paper[1]))),
            )
        )
    sources = set(results.done()["games_source"])
    notes = (
        warning([(setting.model, setting.benchmark) for setting in used], sources),
        "Seconds an update (mean over a run's updates) and peak memory in GB, mean over seeds ± half-width of the 95 % "
        "t interval. Overhead: ratio to the bare algorithm on the same seed in percent, with the t interval of its "
        "logarithm. Episodes differ between arms, and an arm that wins sooner plays fewer turns: these ratios are of "
        "whole runs, not of the term alone. Updates in which the gradients of both losses were measured apart count in "
        "the seconds of neither arm. The bare algorithm's rows hold the next observation too, to be measured: what its "
        "tokens cost in a forward and a backward pass is on both sides.",
        marks_note(doubts),
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
    against_reference = compared[compared["reference"] == results.reference].to_dict("records")
    pairs = {(row["condition"], row["arm"]): row for row in against_reference}
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
        "Under each key the runs differ in it alone (where alpha is 1, nothing need be scored). The paper shows its "
        "sweeps of alpha and rho as figures without printed values: there is nothing to set beside them.",
        marks_note(doubts),
    )
    columns = ("Value", "Arm", "Axes", "All", f"Against {results.reference}", "Seeds")
    caption = f"{results.name}: sensitivity"
    return Grid("sensitivity", caption, columns, tuple(rows), notes, headings, wide=True, runs=tuple(runs))


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


def _gap(gap: str) -> str:
    return "" if gap == "different games" else gap


BySeed = dict[int, float]
"""Seed -> its value, seeds in ascending order."""


def _by_seed(costs: pd.DataFrame, column: str) -> BySeed:
    """That column of an arm's `update_costs`; runs that did not record it are left out."""
    pairs = sorted(zip(costs["seed"].tolist(), costs[column].tolist(), strict=True))
    return {seed: value for seed, value in pairs if not math.isnan(value)}


def _ratio(own: BySeed, other: BySeed, *, marks: str) -> Cell:
    """How much longer in percent: geometric mean over the seeds of both, with the t interval of the logarithm."""
    shared = [(own[seed], other[seed]) for seed in own if seed in other and own[seed] > 0 and other[seed] > 0]
    longer, base = np.array(shared).reshape(-1, 2).T
    interval = t_interval(np.log(longer / base))
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
                families.setdefault(rest(own, key), {})[arm] = value
        for family in families.values():
            if len(set(family.values())) > 1:
                for condition in results.conditions:
                    for arm, value in sorted(family.items(), key=lambda item: item[1]):
                        yield key, condition, value, arm
