"""One run directory as rows: what it did, or one clear line on why its numbers cannot be used."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames import EPISODES, EVALUATION, FIXED_TRANSITIONS, METRICS, RUN_KEY, frame
from analysis.record_frames import (
    ALL,
    Row,
    check_result,
    episodes_frame,
    evaluation_frame,
    fixed_frame,
    metrics_frame,
)
from paw_bench.errors import StoreError
from paw_bench.store.documents import sha256_of
from paw_bench.store.jsonl import Record, TornLineWarning
from paw_bench.store.run_directory import RunDirectory


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
        warnings.simplefilter("always", TornLineWarning)
        try:
            records = _read(RunDirectory(path), run)
        except (StoreError, KeyError, ValueError, TypeError, AttributeError, OSError) as error:
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

    metrics, metric_problems = metrics_frame(directory.metrics(), key)
    episodes = episodes_frame(directory.episodes(), key)
    fixed, fixed_problems = fixed_frame(directory.fixed_transitions(), key, ends)
    run |= {
        "world_model": experiment.world_model.enabled,
        "updates": len(metrics),
        "updates_planned": experiment.training.updates,
        "games_source": experiment.environment.games.source,
        "commits": _commits(directory),
        **_state(directory.events(), locked),
        **(_outcome(result, directory.path) if result is not None else {}),
    }
    evaluation = evaluation_frame(episodes, run, ends)
    if result is not None:
        check_result(result, evaluation, run)
    for phase in ends:
        overall = evaluation[(evaluation["phase"] == phase) & (evaluation["task_type"] == ALL)]
        run[f"success_{phase}"] = float(overall["success"].iloc[0]) if len(overall) else None
    problems = [f"{_name(run)}: {problem}" for problem in (*metric_problems, *fixed_problems)]
    return RunRecords(run, evaluation, metrics, episodes, fixed, problems)


def _state(events: list[Record], locked: bool) -> Row:
    """Status and reason of a run without a result, in the words of `paw-bench status`."""
    started = [event for event in events if event["event"] == "attempt_started"]
    state: Row = {"attempts": len(started), "started": started[0]["time"] if started else None}
    state["seconds_wall"] = sum(_duration(events, event) for event in started) if started else None
    last = next((event for event in reversed(events) if event["event"].startswith("attempt_")), None)
    if locked:
        return state | {"status": "running"}
    if last is None:
        return state
    if last["event"] == "attempt_started":
        return state | {"status": "lost", "reason": "its process ended without a word"}
    outcome = last.get("outcome", "failed")
    if outcome == "done":
        return state | {"status": "unfinished", "reason": "its result was removed: it will be redone"}
    return state | {"status": outcome, "reason": last["reason"]}


def _duration(events: list[Record], start: Record) -> float:
    """Seconds from an attempt's start to its last event."""
    times = [event["time"] for event in events if event.get("attempt") == start["attempt"]]
    return float(max(times) - start["time"])


def _outcome(result: Record, path: Path) -> Row:
    seconds = {f"seconds_{part}": result["seconds"][part] for part in ("training", "evaluation", "total")}
    published = {"attempts": result["attempts"], "published": result["published"]}
    return {"status": "done", "reason": "", **seconds, **published, "result_sha256": sha256_of(path / "result.json")}


def _commits(directory: RunDirectory) -> str:
    found = []
    for attempt in directory.attempts():
        git = attempt.provenance()["git"] if (attempt.path / "provenance.json").exists() else None
        if git is not None:
            found.append(git["commit"] + ("+" if git["dirty"] else ""))
    return " ".join(dict.fromkeys(found))
