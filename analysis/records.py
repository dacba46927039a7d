"""One run directory as rows: what it did, or one clear line on why its numbers cannot be used."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames import EPISODES, EVALUATION, FIXED_TRANSITIONS, METRICS, RUN_KEY, frame
from paw_bench.errors import StoreError
from paw_bench.store.documents import sha256_of
from paw_bench.store.jsonl import Record
from paw_bench.store.run_directory import RunDirectory

Row = dict[str, Any]

TASK_TYPES = {
    "pick_and_place_simple": "pick",
    "look_at_obj_in_light": "look",
    "pick_clean_then_place_in_recep": "clean",
    "pick_heat_then_place_in_recep": "heat",
    "pick_cool_then_place_in_recep": "cool",
    "pick_two_obj_and_place": "pick2",
}
"""ALFWorld's task types -> the column names of the published tables, in their order."""

ALL = "all"
"""The task type of a row over every episode."""


@dataclass(slots=True)
class RunRecords:
    """What one run contributes to the frames of `analysis.frames`."""

    run: Row
    evaluation: pd.DataFrame
    metrics: pd.DataFrame
    episodes: pd.DataFrame
    fixed_transitions: pd.DataFrame
    problems: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls, run: Row, problems: Iterable[str] = ()) -> RunRecords:
        """A run without records."""
        evaluation, metrics, episodes, fixed = (
            frame([], columns) for columns in (EVALUATION, METRICS, EPISODES, FIXED_TRANSITIONS)
        )
        return cls(run, evaluation, metrics, episodes, fixed, list(problems))


def condition_of(axes: Mapping[str, Any]) -> str:
    """The values of the axes in one line, in the order of the experiment file."""
    return ", ".join(f"{key}={value}" for key, value in axes.items())


def read_run(path: Path, planned: Record) -> RunRecords:
    """Everything the run folder at `path` tells about the planned run {run_id, arm, axes, seed}.

    A folder that is not there, cannot be read, or holds a result that its own files contradict, gives no records: the
    row's status and `problems` say so.
    """
    run: Row = {key: planned[key] for key in ("run_id", "arm", "seed")}
    run |= {key: str(value) for key, value in planned["axes"].items()}
    run |= {"condition": condition_of(planned["axes"]), "planned": True, "status": "not started", "reason": ""}
    run |= {"games_source": "", "commits": "", "result_sha256": ""}
    if not (path / "config.json").exists():
        return RunRecords.empty(run)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            records = _read(RunDirectory(path), run)
        except (StoreError, KeyError, ValueError, TypeError, OSError) as error:
            problem = _describe(error).replace(f"{path}/", "")
            finished = (path / "result.json").exists()
            unusable = {"status": "damaged" if finished else "unreadable", "reason": problem}
            return RunRecords.empty({**run, **unusable}, [f"{_name(run)}: not used: {problem}"])
    # A running run may be caught in the middle of an append: its torn line is no damage.
    records.problems += [f"{_name(run)}: {warning.message}".replace(f"{path}/", "") for warning in caught]
    return records


def _name(run: Row) -> str:
    condition = f" [{run['condition']}]" if run["condition"] else ""
    return f"{run['arm']}{condition} seed {run['seed']} ({run['run_id']})"


def _describe(error: Exception) -> str:
    match error:
        case StoreError():
            return f"{error.problem} ({error.remedy})" if error.remedy else error.problem
        case KeyError():
            return f"a record has no {error.args[0]!r}"
    return f"{error}"


def _read(directory: RunDirectory, run: Row) -> RunRecords:
    info, experiment = directory.info, directory.config.experiment
    if (info.run_id, info.seed) != (run["run_id"], run["seed"]):
        raise ValueError(f"its config.json is of run {info.run_id} with seed {info.seed}: a copied folder?")
    # Result before records and lock before journal: what appears in between then only looks older than it is.
    result = directory.result()
    locked = directory.is_locked()
    key = {name: run[name] for name in RUN_KEY}
    ends = {"before": 0, "after": experiment.training.updates}

    metrics, problems = _metrics(directory.metrics(), key)
    episodes = _episodes(directory.episodes(), key)
    run |= {
        "world_model": experiment.world_model.enabled,
        "updates": len(metrics),
        "updates_planned": experiment.training.updates,
        "games_source": experiment.environment.games.source,
        "commits": _commits(directory),
        **_state(directory.events(), locked),
    }
    if result is not None:
        run |= _outcome(result, directory.path)
        run |= {"status": "done", "reason": ""}
    evaluation = _evaluation(episodes, run, ends)
    fixed = [{**record, **key, "update": _update(record["phase"], ends)} for record in directory.fixed_transitions()]
    if result is not None:
        _check(result, evaluation, run)
    for phase in ends:
        overall = evaluation[(evaluation["phase"] == phase) & (evaluation["task_type"] == ALL)]
        run[f"success_{phase}"] = float(overall["success"].iloc[0]) if len(overall) else None
    return RunRecords(
        run,
        evaluation,
        metrics,
        episodes,
        frame(fixed, FIXED_TRANSITIONS),
        [f"{_name(run)}: {problem}" for problem in problems],
    )


def _state(events: list[Record], locked: bool) -> Row:
    """Status and reason of a run without a result, in the words of `paw-bench status`."""
    started = [event for event in events if event["event"] == "attempt_started"]
    state: Row = {"attempts": len(started), "started": started[0]["time"] if started else None}
    last = next((event for event in reversed(events) if event["event"].startswith("attempt_")), None)
    if locked:
        return state | {"status": "running"}
    if last is None:
        return state
    if last["event"] == "attempt_started":
        return state | {"status": "lost", "reason": "its process ended without a word"}
    return state | {"status": last.get("outcome", "failed"), "reason": last["reason"]}


def _outcome(result: Record, path: Path) -> Row:
    seconds = {f"seconds_{part}": result["seconds"][part] for part in ("training", "evaluation", "total")}
    published = {"attempts": result["attempts"], "published": result["published"]}
    return {**seconds, **published, "result_sha256": sha256_of(path / "result.json")}


def _commits(directory: RunDirectory) -> str:
    found = []
    for attempt in directory.attempts():
        git = attempt.provenance()["git"] if (attempt.path / "provenance.json").exists() else None
        if git is not None:
            found.append(git["commit"] + ("+" if git["dirty"] else ""))
    return " ".join(dict.fromkeys(found))


def _update(phase: str, ends: Mapping[str, int]) -> int:
    return ends[phase] if phase in ends else int(phase.removeprefix("update-"))


def _flat(record: Record) -> Row:
    flat: Row = {}
    for name, value in record.items():
        flat |= {f"{name}.{inner}": item for inner, item in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _metrics(records: list[Record], key: Row) -> tuple[pd.DataFrame, list[str]]:
    """The frame, and a line for the values that are missing in some updates only."""
    rows = [{**_flat(record), **key} for record in records]
    others = {
        name: "float64"
        for name in sorted({name for row in rows for name in row} - set(METRICS))
        if all(row.get(name) is None or isinstance(row[name], int | float) for row in rows)
    }
    metrics = frame(rows, {**METRICS, **others})
    if metrics["update"].tolist() != list(range(1, len(metrics) + 1)):
        raise ValueError("metrics.jsonl does not hold updates 1, 2, 3, ... once each")
    missing = metrics.isna()
    holes = [name for name in metrics if 0 < missing[name].sum() < len(metrics)]
    lines = [
        f"metrics.jsonl: {name} has no value in {missing[name].sum()} of {len(metrics)} updates "
        f"(first: update {metrics['update'][missing[name]].iloc[0]}); means leave these updates out"
        for name in holes
    ]
    return metrics, lines


def _episodes(records: list[Record], key: Row) -> pd.DataFrame:
    rows = [
        {
            **_flat(record),
            **key,
            "task_type": TASK_TYPES.get(record["task_type"], record["task_type"]),
            "episode_seed": record["seed"],
        }
        for record in records
    ]
    episodes = frame(rows, EPISODES)
    if episodes.duplicated(["phase", "task_id", "episode_seed"]).any():
        raise ValueError("episodes.jsonl holds an episode twice")
    return episodes


def _evaluation(episodes: pd.DataFrame, run: Row, ends: Mapping[str, int]) -> pd.DataFrame:
    """Success by phase and task type, from the episodes."""
    rows: list[Row] = []
    for phase, played in episodes.groupby("phase", sort=False):
        if played["panel_hash"].nunique() != 1:
            raise ValueError(f"episodes.jsonl: phase {phase!r} mixes panels")
        types = sorted(set(played["task_type"]))
        for task_type in (*types, ALL):
            wins = played["success"] if task_type == ALL else played["success"][played["task_type"] == task_type]
            rows.append(
                {
                    **{name: run[name] for name in RUN_KEY},
                    "phase": phase,
                    "update": _update(str(phase), ends),
                    "task_type": task_type,
                    "success": float(wins.mean()),
                    "games": len(wins),
                    "panel": played["panel"].iloc[0],
                    "panel_hash": played["panel_hash"].iloc[0],
                    "result_sha256": run["result_sha256"],
                }
            )
    return frame(rows, EVALUATION)


def _check(result: Record, evaluation: pd.DataFrame, run: Row) -> None:
    """Raise ValueError where the published numbers are not those of the episodes."""
    if run["updates"] != result["updates"] or run["updates"] != run["updates_planned"]:
        raise ValueError(f"result.json tells of {result['updates']} updates, metrics.jsonl of {run['updates']}")
    said: dict[tuple[str, str], float] = {}
    for phase, summary in result["evaluation"].items():
        if summary is None:
            continue
        said[phase, ALL] = summary["success"]
        for name, group in summary["by_type"].items():
            said[phase, TASK_TYPES.get(name, name)] = group["success"]
    games = evaluation[(evaluation["task_type"] == ALL)][["panel", "panel_hash", "games"]].drop_duplicates()
    if len(games) > 1:
        raise ValueError("episodes.jsonl: the phases were not played on the same games")
    if ("after", ALL) not in said:
        raise ValueError("result.json has no evaluation after training")
    played: dict[tuple[str, str], float] = defaultdict(lambda: math.nan)
    for row in evaluation.itertuples():
        played[str(row.phase), str(row.task_type)] = float(row.success)  # type: ignore[arg-type]
    for cell, success in said.items():
        if not isinstance(success, int | float) or not math.isclose(success, played[cell], abs_tol=1e-9):
            raise ValueError(
                f"result.json says success {success} for {' / '.join(cell)}, episodes.jsonl gives {played[cell]}"
            )
