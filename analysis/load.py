"""A sweep directory as tidy frames. Reads files only; writes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from analysis.frames import EPISODES, EVALUATION, FIXED_TRANSITIONS, METRICS, RUNS, Columns, frame
from analysis.record_frames import Row
from analysis.records import condition_of, read_run
from paw_bench.errors import StoreError
from paw_bench.store.jsonl import Record
from paw_bench.store.sweep_directory import SweepDirectory


@dataclass(frozen=True, slots=True)
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
    problems: tuple[str, ...]
    """One line for each thing that could not be used as it is."""

    def done(self, condition: str | None = None) -> pd.DataFrame:
        """The planned runs whose result stands; of one condition, or of all."""
        runs = self.runs[self.runs["planned"] & (self.runs["status"] == "done")]
        return runs if condition is None else runs[runs["condition"] == condition]


def load(path: Path | str) -> Results:
    """Read the sweep directory at `path`.

    Raises StoreError where it holds no readable `sweep.json` of this schema version. Anything wrong with a single run
    becomes a line of `problems` instead.
    """
    sweep = SweepDirectory(Path(path))
    if not sweep.exists():
        raise StoreError(
            f"{sweep.path}: is no sweep directory (it has no sweep.json)",
            "give the folder of a sweep, results/runs/<experiment>-<scale>, or start one with: paw-bench sweep",
        )
    plan = _plan(sweep)
    read = [read_run(sweep.run_path(run["run_id"]), run) for run in plan.runs]
    for records in read:
        records.run["seconds_predicted"] = plan.seconds_run[records.run["arm"]]
    axes = tuple(dict.fromkeys(key for run in plan.runs for key in run["axes"]))
    return Results(
        path=sweep.path,
        name=sweep.info["name"],
        scale=sweep.info["scale"] or "",
        arms=plan.arms,
        reference=plan.reference,
        comparisons=plan.comparisons,
        conditions=tuple(dict.fromkeys(condition_of(run["axes"]) for run in plan.runs)),
        changes=plan.changes,
        seconds_predicted=math.nan if plan.seconds_total is None else plan.seconds_total,
        parallel=plan.parallel,
        runs=frame([*(records.run for records in read), *_unplanned(sweep, plan.runs, axes)], RUNS, axes),
        evaluation=_joined((records.evaluation for records in read), EVALUATION),
        metrics=_joined((records.metrics for records in read), METRICS),
        episodes=_joined((records.episodes for records in read), EPISODES),
        fixed_transitions=_joined((records.fixed_transitions for records in read), FIXED_TRANSITIONS),
        problems=tuple(problem for records in read for problem in records.problems),
    )


class _Plan(NamedTuple):
    runs: list[Record]
    """{run_id, arm, axes, seed} of every run."""
    arms: tuple[str, ...]
    reference: str
    comparisons: tuple[tuple[str, str], ...]
    changes: dict[str, Record]
    seconds_total: float | None
    seconds_run: dict[str, float | None]
    """Arm -> predicted seconds of one run."""
    parallel: int


def _plan(sweep: SweepDirectory) -> _Plan:
    """What `sweep.json` plans. Raises StoreError where it lacks what every plan has."""
    file = sweep.path / "sweep.json"
    try:
        plan = sweep.info["plan"]
        runs = [{key: run[key] for key in ("run_id", "arm", "axes", "seed")} for run in plan["runs"]]
        found = _Plan(
            runs=runs,
            arms=tuple(plan["arms"]),
            reference=plan["reference"],
            comparisons=tuple((arm, against) for arm, against in plan["comparisons"]),
            changes={arm: dict(plan["changes"][arm]) for arm in plan["arms"]},
            seconds_total=plan["cost"]["total_seconds"],
            seconds_run={arm: plan["cost"]["run_seconds"][arm] for arm in plan["arms"]},
            parallel=plan["cost"]["parallel"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{file}: its plan lacks what every plan has ({type(error).__name__}: {error})",
            "plan it again: paw-bench sweep EXPERIMENT (finished runs are kept)",
        ) from None
    strangers = {found.reference, *(run["arm"] for run in runs), *chain(*found.comparisons)} - set(found.arms)
    if strangers or not runs:
        problem = f"names {', '.join(sorted(strangers))}, which is no arm of it" if strangers else "holds no run"
        raise StoreError(f"{file}: its plan {problem}", "plan it again: paw-bench sweep EXPERIMENT")
    return found


def _unplanned(sweep: SweepDirectory, planned: list[Record], axes: Iterable[str]) -> list[Row]:
    """Rows for run folders that the plan does not hold: they belong to an earlier form of the experiment file."""
    known = {run["run_id"] for run in planned}
    rows: list[Row] = []
    for path in sorted((sweep.path / "runs").glob("*/config.json")):
        if path.parent.name in known:
            continue
        row = {"run_id": path.parent.name, "arm": "", "condition": "", "seed": -1, "planned": False}
        row |= {"status": "not planned", "reason": ""}
        row |= {"games_source": "", "commits": "", "result_sha256": "", **dict.fromkeys(axes, "")}
        rows.append(row)
    return rows


def _joined(frames: Iterable[pd.DataFrame], columns: Columns) -> pd.DataFrame:
    """One frame of all; columns beyond `columns` follow in alphabetical order."""
    full = [part for part in frames if len(part)]
    if not full:
        return frame([], columns)
    joined = pd.concat(full, ignore_index=True)
    return joined[[*columns, *sorted(str(name) for name in joined if name not in columns)]]
