"""The tables of the PaW paper in its own layouts, each number beside the published one.

Which of them a sweep has follows from what its arms and axes are; a table without a row is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from analysis import honesty
from analysis.grid import Grid
from analysis.grouping import grouped
from analysis.load import Results
from analysis.published import is_published, lookup, model_of, warning
from analysis.record_frames import ALL, TASK_TYPES
from analysis.statistics import difference, t_interval
from analysis.table_cells import Cell, apart, measured, printed
from analysis.table_settings import Setting
from analysis.words import MARK_NOTE, NOTHING

MISSING = Cell(NOTHING, float("nan"))

_NOT_TESTED = (
    "Differences between arms stand here with an interval that is not adjusted for their number, whether they were "
    "planned or not: verdicts are those of the table of comparisons."
)

_Key = tuple[str, str, str, str]


class Column(NamedTuple):
    """One column of the paper's tables."""

    heading: str
    benchmark: str
    metric: str
    task: str


def _sets(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "search_qa", "score", name.lower()) for name in names)


COLUMNS: dict[str, tuple[Column, ...]] = {
    "alfworld": (
        *(Column(name.capitalize(), "alfworld", "success_rate", name) for name in TASK_TYPES.values()),
        Column("All", "alfworld", "success_rate", ALL),
    ),
    "webshop": (
        Column("WebShop score", "webshop", "score", ALL),
        Column("WebShop success", "webshop", "success_rate", ALL),
    ),
    "search_qa": (
        *_sets("NQ", "TriviaQA", "PopQA", "HotpotQA", "2WikiMultihopQA", "MuSiQue", "Bamboogle"),
        Column("All", "search_qa", "score", ALL),
    ),
    "textworld": (Column("TextWorld", "textworld", "success_rate", ALL),),
}
"""Benchmark -> its columns in the main tables; TextWorld is in no published one."""


def _overall(benchmark: str) -> Column:
    """The column over all episodes, of any environment."""
    return COLUMNS[benchmark][-1] if benchmark in COLUMNS else Column("All", benchmark, "success_rate", ALL)


class Numbers:
    """The cells of a sweep and of the published tables, by setting and column."""

    def __init__(self, results: Results, cells: pd.DataFrame, settings: Sequence[Setting]) -> None:
        self.results, self.settings = results, settings
        after = cells[cells["phase"] == "after"]
        self._rows = {(row["condition"], row["arm"], row["task_type"]): row for row in after.to_dict("records")}
        evaluation = results.evaluation[results.evaluation["run_id"].isin(results.done()["run_id"])]
        graded = evaluation[evaluation["phase"] == "after"]
        evaluation = graded[graded["task_type"] == ALL]
        self._seeds = {
            (str(condition), str(arm)): dict(zip(rows["seed"], rows["success"], strict=True))
            for (condition, arm), rows in evaluation.groupby(["condition", "arm"])
        }
        self._scores = grouped(graded[graded["score"].notna()], ("condition", "arm", "task_type"), ("score", "seed"))
        self._games = {
            (str(condition), str(arm)): set(zip(rows["panel_hash"], rows["games"], strict=True))
            for (condition, arm), rows in evaluation.groupby(["condition", "arm"])
        }

    def own(self, setting: Setting, column: Column) -> Cell:
        """What the sweep measured. A score is the mean of the episodes' scores; where search QA records none, it is
        success, which is what that benchmark's score says."""
        row = self._rows.get((setting.condition, setting.arm, column.task))
        if row is None:
            return MISSING
        if column.metric == "score" and (self.graded(setting, column) or column.benchmark != "search_qa"):
            part = self._scores.get((setting.condition, setting.arm, column.task))
            interval = t_interval(part["score"] if part else [])
            return measured(interval.mean, interval.half_width, interval.gap, marks=row["marks"])
        return measured(row["mean"], row["half_width"], row["gap"], marks=row["marks"])

    def graded(self, setting: Setting, column: Column) -> bool:
        """Whether a run of the setting records scores."""
        return (setting.condition, setting.arm, column.task) in self._scores

    def runs(self, *settings: Setting) -> tuple[str, ...]:
        """The finished runs of the settings."""
        return tuple(run_id for setting in settings for run_id in self.results.run_ids(setting.condition, setting.arm))

    def published(self, setting: Setting, column: Column, *, variant: str = "") -> Cell:
        """What is printed for the same method, of the same model or of the paper's smallest one."""
        found = lookup(
            model_of(setting.model, column.benchmark),
            algorithm=setting.algorithm,
            world_model=variant or setting.variant,
            benchmark=column.benchmark,
            metric=column.metric,
            task=column.task,
        )
        return printed(found.value, found.sd)

    def against(self, arm: Setting, reference: Setting) -> Cell:
        """Success of one arm minus another's, over all episodes, as `analysis.statistics.difference` has it."""
        places = [(setting.condition, setting.arm) for setting in (arm, reference)]
        same = len(self._games[places[0]] | self._games[places[1]]) == 1
        left, right = (self._seeds[place] if same else {} for place in places)
        found = difference(left, right)
        marks = "; ".join(self._rows[*place, ALL]["marks"] for place in places)
        return measured(found.mean, found.half_width, found.gap, marks=marks if same else "", sign="+")

    def notes(self, settings: Sequence[Setting], *, differences: bool = False) -> tuple[str, ...]:
        """What stands below every table of these settings; the warning first. `differences`: of arms stand in it."""
        runs = self.results.done()
        sources = set(runs["games_source"][runs["arm"].isin([setting.arm for setting in settings])])
        doubts = honesty.notes(self._rows[setting.condition, setting.arm, ALL]["marks"] for setting in settings)
        return (
            warning([(setting.model, setting.benchmark) for setting in settings], sources),
            "Success after training in percent: mean ± half-width of the 95 % t interval over seeds; All is over "
            "episodes. Published: mean, in brackets the standard deviation over seeds where it is printed. "
            "Differences to published numbers are bare numbers.",
            f"{doubts}; {MARK_NOTE}." if doubts else f"{MARK_NOTE}.",
            *([_NOT_TESTED] if differences else []),
        )


def methods(numbers: Numbers, name: str, benchmarks: Sequence[str]) -> Grid:
    """Models x methods (the paper's main table, and search QA): every method of its own in three rows.

    Measured, published, and the difference; the last two only where there is a published row.
    """
    used = [setting for setting in numbers.settings if setting.whole and setting.benchmark in benchmarks]
    columns = [column for benchmark in benchmarks for column in COLUMNS[benchmark] if _any(used, benchmark)]
    ungraded = [column for column in columns if _ungraded(numbers, used, column)]
    columns = [column for column in columns if column not in ungraded]
    blocks: dict[str, dict[tuple[str, str, str], dict[str, Setting]]] = {}
    for setting in used:
        model = ", ".join(_one_each(used)) or setting.model
        block = blocks.setdefault(", ".join(part for part in (model, setting.rest) if part), {})
        block.setdefault((setting.arm, setting.algorithm, setting.variant), {})[setting.benchmark] = setting
    rows: list[tuple[str, ...]] = []
    runs: list[tuple[str, ...]] = []
    headings = {}
    for heading, block in blocks.items():
        headings[len(rows)] = heading
        several = len({algorithm for _, algorithm, _ in block}) > 1
        for (arm, algorithm, _), by_benchmark in block.items():
            own, other = [], []
            for column in columns:
                played = by_benchmark.get(column.benchmark)
                own.append(numbers.own(played, column) if played else MISSING)
                other.append(numbers.published(played, column) if played else MISSING)
            runs += [numbers.runs(*by_benchmark.values())] * (3 if any(cell != NOTHING for cell in other) else 1)
            rows.append((f"{arm} ({algorithm})" if several else arm, *own))
            if any(cell != NOTHING for cell in other):
                known = [one for one in by_benchmark.values() if is_published(one.benchmark)]
                models = dict.fromkeys(model_of(one.model, one.benchmark) for one in known)
                rows.append((f"published, {', '.join(models)}", *other))
                rows.append(("difference", *(apart(*pair) for pair in zip(own, other, strict=True))))
    caption = f"{numbers.results.name}: {'search QA' if name == 'search_qa' else 'models and methods'}"
    heads = ("Method", *(column.heading for column in columns))
    notes = (*numbers.notes(used), *(f"{column.heading}: left out, no run records a score." for column in ungraded))
    return Grid(name, caption, heads, tuple(rows), notes, headings, wide=True, runs=tuple(runs))


def components(numbers: Numbers) -> Grid:
    """What each part of the method adds (the paper's component ablation): every arm against its bare algorithm."""
    blocks: dict[_Key, list[Setting]] = {}
    for setting in numbers.settings:
        key = (setting.model, setting.algorithm, setting.benchmark, setting.rest)
        blocks.setdefault(key, []).append(setting)
    rows: list[tuple[str, ...]] = []
    runs: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    used: list[Setting] = []
    for key, block in blocks.items():
        if all(setting.whole for setting in block):
            continue
        headings[len(rows)] = ", ".join(part for part in key if part)
        used += block
        bare = next((setting for setting in block if setting.variant == "none"), None)
        for setting in block:
            column = _overall(setting.benchmark)
            own, other = numbers.own(setting, column), numbers.published(setting, column)
            effect, printed_effect = MISSING, MISSING
            if bare is not None and setting is not bare:
                effect = numbers.against(setting, bare)
                printed_effect = apart(other, numbers.published(bare, column))
            rows.append((setting.arm, own, other, apart(own, other), effect, printed_effect))
            runs.append(numbers.runs(*dict.fromkeys((setting, bare or setting))))
    columns = ("Arm", "All", "Published", "Difference", "Against bare algorithm", "Published against it")
    caption = f"{numbers.results.name}: components of the method"
    notes = numbers.notes(used, differences=True)
    return Grid("components", caption, columns, tuple(rows), notes, headings, wide=True, runs=tuple(runs))


def gains(numbers: Numbers, by: str) -> Grid:
    """What PaW adds to each algorithm, or for each model (the two halves of the paper's generality table)."""
    pairs: dict[_Key, dict[str, Setting]] = {}
    for setting in numbers.settings:
        key = (setting.algorithm, setting.model, setting.benchmark, setting.rest)
        pairs.setdefault(key, {}).setdefault(setting.variant, setting)
    whole = {key: pair for key, pair in pairs.items() if {"none", "paw"} <= set(pair)}
    place = {"algorithm": 0, "model": 1}[by]
    rows: list[tuple[str, ...]] = []
    runs: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    used: list[Setting] = []
    blocks: dict[str, list[_Key]] = {}
    if len({key[place] for key in whole}) > 1:
        for key in whole:
            blocks.setdefault(", ".join(part for i, part in enumerate(key) if part and i != place), []).append(key)
    for heading, keys in blocks.items():
        if len(keys) < 2:
            continue
        headings[len(rows)] = heading
        for key in keys:
            bare, paw = whole[key]["none"], whole[key]["paw"]
            used += [bare, paw]
            runs.append(numbers.runs(paw, bare))
            column = _overall(bare.benchmark)
            printed_gain = apart(numbers.published(paw, column), numbers.published(bare, column))
            gain = numbers.against(paw, bare)
            rows.append(
                (
                    key[place],
                    *(numbers.own(setting, column) for setting in (bare, paw)),
                    gain,
                    *(numbers.published(setting, column) for setting in (bare, paw)),
                    printed_gain,
                    apart(gain, printed_gain),
                )
            )
    columns = (
        by.capitalize(),
        "Bare",
        "+ PaW",
        "Gain",
        "Published bare",
        "Published + PaW",
        "Published gain",
        "Difference",
    )
    caption = f"{numbers.results.name}: gain of PaW by {by}"
    notes = numbers.notes(used, differences=True)
    return Grid(f"{by}s", caption, columns, tuple(rows), notes, headings, wide=True, runs=tuple(runs))


def _ungraded(numbers: Numbers, settings: Sequence[Setting], column: Column) -> bool:
    """Whether the column is one of scores and nothing fills it: a score cannot be made of successes."""
    own = [setting for setting in settings if setting.benchmark == column.benchmark]
    return (column.benchmark, column.metric) == ("webshop", "score") and not any(
        numbers.graded(setting, column) for setting in own
    )


def _one_each(settings: Sequence[Setting]) -> tuple[str, ...]:
    """The models of the benchmarks where each benchmark has one of its own, so that they share a row; else none."""
    models = {(setting.benchmark, setting.model) for setting in settings}
    alone = len(models) == len({setting.benchmark for setting in settings})
    return tuple(dict.fromkeys(setting.model for setting in settings)) if alone else ()


def _any(settings: Sequence[Setting], benchmark: str) -> bool:
    return any(setting.benchmark == benchmark for setting in settings)


def paper_tables(results: Results, cells: pd.DataFrame, settings: Sequence[Setting]) -> Mapping[str, Grid]:
    """File name -> table, of those that have a row."""
    numbers = Numbers(results, cells, settings)
    found = {
        "main": methods(numbers, "main", ("alfworld", "webshop", "textworld")),
        "components": components(numbers),
        "algorithms": gains(numbers, "algorithm"),
        "models": gains(numbers, "model"),
        "search_qa": methods(numbers, "search_qa", ("search_qa",)),
    }
    return {name: grid for name, grid in found.items() if grid.rows}
