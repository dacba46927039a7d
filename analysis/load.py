"""A sweep directory as tidy frames. Reads files only; writes nothing."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pandas as pd

from analysis.files import check_file, strangers
from analysis.frames import (
    EPISODES,
    EVALUATION,
    FIXED_TRANSITIONS,
    GRADIENTS,
    METRICS,
    RUNS,
    Table,
    Texts,
    frame,
    joined,
    stacked,
)
from analysis.origins import ORIGIN
from analysis.parallel import in_parts
from analysis.plan import SweepPlan, read_plan
from analysis.record_frames import Row
from analysis.records import condition_of, read_run
from paw_bench.errors import StoreError
from paw_bench.store.jsonl import Record
from paw_bench.store.sweep_directory import SweepDirectory

_RECORDS = {
    "evaluation": EVALUATION,
    "metrics": METRICS,
    "episodes": EPISODES,
    "fixed_transitions": FIXED_TRANSITIONS,
    "gradients": GRADIENTS,
}
"""The frames that the runs' records fill, and their columns."""

_RUNS_A_PART = 100
"""Reading them takes longer than to start a process."""


@dataclass(frozen=True)
class Results:
    """Everything a sweep's files tell; the columns of the frames are documented in `analysis.frames`.

    The frames hold the planned runs only. Runs that are not there are rows of `runs` with NaN, never filled in.
    """

    path: Path
    name: str
    scale: str
    arms: tuple[str, ...]
    """In the order of the experiment file."""
    reference: str
    """The arm that the others are compared with."""
    comparisons: tuple[tuple[str, str], ...]
    """(arm, arm it is compared with): the family of tests, fixed in the plan."""
    conditions: tuple[str, ...]
    """Combinations of the axes' values, in the order of the plan; one empty string where there are no axes."""
    changes: dict[str, Record]
    """Arm -> dotted key -> {base, arm}: what the arm changes."""
    seconds_predicted: float
    """Predicted wall time of the whole sweep with `parallel` runs at a time (NaN: it could not be predicted)."""
    parallel: int
    runs: pd.DataFrame
    evaluation: pd.DataFrame
    metrics: pd.DataFrame
    episodes: pd.DataFrame
    fixed_transitions: pd.DataFrame
    gradients: pd.DataFrame
    problems: tuple[str, ...]
    """One line for each thing that could not be used as it is."""

    def done(self, condition: str | None = None) -> pd.DataFrame:
        """The planned runs whose result stands; of one condition, or of all."""
        return self._done if condition is None else self._done_under.get(condition, self._no_run)

    def run_ids(self, condition: str, arm: str) -> tuple[str, ...]:
        """The finished runs of one arm under one condition, in the order of the plan."""
        return tuple(self.done_of(condition, arm)["run_id"])

    def done_of(self, condition: str, arm: str) -> pd.DataFrame:
        """The finished runs of one arm under one condition."""
        return self._done_of.get((condition, arm), self._no_run)

    @cached_property
    def _no_run(self) -> pd.DataFrame:
        return self._done.iloc[:0]

    @cached_property
    def _done(self) -> pd.DataFrame:
        return self.runs[self.runs["planned"] & (self.runs["status"] == "done")]

    @cached_property
    def _done_under(self) -> dict[str, pd.DataFrame]:
        return {str(condition): rows for condition, rows in self._done.groupby("condition")}

    @cached_property
    def _done_of(self) -> dict[tuple[str, str], pd.DataFrame]:
        return {(str(condition), str(arm)): rows for (condition, arm), rows in self._done.groupby(["condition", "arm"])}

    def metrics_of(self, condition: str, arm: str) -> pd.DataFrame:
        """The metrics of an arm's finished runs."""
        return self._metrics_of.get((condition, arm), self._no_metrics)

    @cached_property
    def _no_metrics(self) -> pd.DataFrame:
        return self.metrics.iloc[:0]

    @cached_property
    def _metrics_of(self) -> dict[tuple[str, str], pd.DataFrame]:
        metrics = self.metrics[self.metrics["run_id"].isin(self._done["run_id"])]
        return {(str(condition), str(arm)): rows for (condition, arm), rows in metrics.groupby(["condition", "arm"])}

    def run_means(self, condition: str, arm: str) -> pd.DataFrame:
        """Mean of every metric over the updates that recorded it, one row a finished run of the arm, by run id."""
        return self._run_means.get((condition, arm), self._no_metrics)

    @cached_property
    def _run_means(self) -> dict[tuple[str, str], pd.DataFrame]:
        means = self.metrics.drop(columns=["arm", "condition"]).groupby("run_id", sort=False).mean()
        return {place: means.reindex(sorted(runs["run_id"])) for place, runs in self._done_of.items()}

    def under(self, name: str, condition: str) -> pd.DataFrame:
        """The rows of one condition in the frame of that name; rows of a large frame are told apart once."""
        whole: pd.DataFrame = getattr(self, name)
        if name not in self._under:
            self._under[name] = {str(own): rows for own, rows in whole.groupby("condition")}
        return self._under[name].get(condition, whole.iloc[:0])

    @cached_property
    def _under(self) -> dict[str, dict[str, pd.DataFrame]]:
        return {}

    def planned(self, condition: str, arm: str) -> int:
        """How many seeds of an arm the plan has."""
        return self._planned[condition, arm]

    @cached_property
    def _planned(self) -> Counter[tuple[str, str]]:
        runs = self.runs[self.runs["planned"]]
        return Counter(zip(runs["condition"], runs["arm"], strict=True))


def load(path: Path | str) -> Results:
    """Read the sweep directory at `path`.

    Raises StoreError where it holds no readable `sweep.json` of this schema version. Anything wrong with a single run
    becomes a line of `problems` instead.
    """
    sweep = SweepDirectory(Path(path))
    if not check_file(sweep.path / "sweep.json", str(sweep.path / "sweep.json")):
        raise StoreError(
            f"{sweep.path}: is no sweep directory (it has no sweep.json)",
            "give the folder of a sweep, results/runs/<experiment>-<scale>, or start one with: paw-bench sweep",
        )
    plan = read_plan(sweep)
    parts = in_parts(partial(_read, sweep, plan), plan.runs, least=_RUNS_A_PART)
    axes = tuple(dict.fromkeys(key for run in plan.runs for key in run["axes"]))
    unplanned, problems = _unplanned(sweep, plan.runs, axes)
    frames = {
        name: joined([(part.stacks[name], part.texts) for part in parts], columns) for name, columns in _RECORDS.items()
    }
    return Results(
        path=sweep.path,
        name=plan.name,
        scale=plan.scale,
        arms=plan.arms,
        reference=plan.reference,
        comparisons=plan.comparisons,
        conditions=tuple(dict.fromkeys(condition_of(run["axes"]) for run in plan.runs)),
        changes=plan.changes,
        seconds_predicted=math.nan if plan.seconds_total is None else plan.seconds_total,
        parallel=plan.parallel,
        runs=frame([*(run for part in parts for run in part.runs), *unplanned], RUNS, axes),
        **frames,
        problems=(*(problem for part in parts for problem in part.problems), *problems),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """What some of the planned runs tell."""

    runs: list[Row]
    stacks: dict[str, Table]
    """Name of a frame -> its rows, with codes in the place of texts."""
    texts: list[str]
    """Code -> text."""
    problems: list[str]


def _read(sweep: SweepDirectory, plan: SweepPlan, planned: Sequence[Record]) -> _Part:
    texts = Texts()
    with _without_collector():
        read = [read_run(sweep.run_path(run["run_id"]), run, texts) for run in planned]
    for records in read:
        records.run["seconds_predicted"] = plan.seconds_run[records.run["arm"]]
    keys = [records.run for records in read]
    stacks = {
        name: stacked(keys, [getattr(records, name) for records in read], columns, texts)
        for name, columns in _RECORDS.items()
    }
    return _Part(keys, stacks, texts.known(), [problem for records in read for problem in records.problems])


@contextmanager
def _without_collector() -> Iterator[None]:
    """Records make no cycles: looking for some in millions of new objects is a good part of the time to read them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _unplanned(sweep: SweepDirectory, planned: list[Record], axes: Iterable[str]) -> tuple[list[Row], list[str]]:
    """Rows for run folders that the plan does not hold (they belong to an earlier form of the experiment file), and a
    line for everything else that does not belong there."""
    folder = sweep.path / "runs"
    rows: list[Row] = []
    problems: list[str] = []
    for name in strangers(folder, (run["run_id"] for run in planned)):
        if not (folder / name / "config.json").is_file():
            problems.append(f"runs/{name}: is no run of this sweep; not used")
            continue
        row = {"run_id": name, "arm": "", "condition": "", "seed": -1, "planned": False}
        row |= {"status": "not planned", "reason": "", **dict.fromkeys(axes, "")}
        row |= dict.fromkeys(("games_source", *ORIGIN), "")
        rows.append(row | {"result_sha256": ""})
    return rows, problems
