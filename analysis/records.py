"""One run directory as columns: what it did, or one clear line on why its numbers cannot be used."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.files import check_run_files, one_line
from analysis.frames import EPISODES, EVALUATION, FIXED_TRANSITIONS, GRADIENTS, RUNS, Table, Texts, table
from analysis.gradients import gradients_table
from analysis.origins import ORIGIN, origin
from analysis.record_frames import (
    ALL,
    Row,
    check_result,
    episodes_table,
    evaluation_rows,
    evaluation_table,
    fixed_table,
    metrics_table,
)
from analysis.words import arm_at
from paw_bench.errors import StoreError
from paw_bench.store import jsonl
from paw_bench.store.documents import sha256_of
from paw_bench.store.jsonl import Record, TornLineWarning
from paw_bench.store.run_directory import RunDirectory, changed

_RECORDED = ("config.json", "metrics.jsonl", "episodes.jsonl", "fixed_transitions.jsonl", "samples.jsonl")
"""What a result may stand on."""


@dataclass(slots=True)
class RunRecords:
    """What one run contributes to the frames of `analysis.frames`: the columns beyond `RUN_KEY`, or none."""

    run: Row
    evaluation: Table = field(default_factory=dict)
    metrics: Table = field(default_factory=dict)
    episodes: Table = field(default_factory=dict)
    fixed_transitions: Table = field(default_factory=dict)
    gradients: Table = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def condition_of(axes: Mapping[str, Any]) -> str:
    """The values of the axes in one line, in the order of the experiment file."""
    return ", ".join(f"{key}={value}" for key, value in axes.items())


def read_run(path: Path, planned: Record, texts: Texts) -> RunRecords:
    """Everything the run folder at `path` tells about the planned run {run_id, arm, axes, seed}.

    A folder that is not there, cannot be read, or holds a result that its own files contradict, gives no records: the
    row's status and `problems` say so. `texts` encodes the texts of the tables.
    """
    run: Row = {key: planned[key] for key in ("run_id", "arm", "seed")}
    run |= {key: str(value) for key, value in planned["axes"].items()}
    run |= {"condition": condition_of(planned["axes"]), "planned": True, "status": "not started", "reason": ""}
    run |= dict.fromkeys(("games_source", *ORIGIN, "result_sha256"), "")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TornLineWarning)
        try:
            records = _read(RunDirectory(path), run, texts) if check_run_files(path) else RunRecords(run)
        except (StoreError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, OSError) as error:
            problem = _describe(error, path)
            unusable = {"status": "damaged" if _lies_there(path / "result.json") else "unreadable", "reason": problem}
            return RunRecords({**run, **unusable}, problems=[f"{_name(run)}: not used: {problem}"])
    # A running run may be caught in the middle of an append: its torn line is no damage.
    records.problems += [one_line(f"{_name(run)}: {warning.message}".replace(f"{path}/", "")) for warning in caught]
    return records


def _name(run: Row) -> str:
    return f"{arm_at(run['arm'], run['condition'])} seed {run['seed']} ({run['run_id']})"


def _lies_there(path: Path) -> bool:
    try:
        return path.is_symlink() or path.exists()
    except OSError:
        return False


def _describe(error: Exception, path: Path) -> str:
    match error:
        case StoreError():
            text = f"{error.problem} ({error.remedy})" if error.remedy else error.problem
        case KeyError():
            text = f"a record has no {error.args[0]!r}"
        case TypeError() | AttributeError():
            text = f"a record has not the form it should have ({error})"
        case OSError():
            text = f"{error.filename or path}: cannot be read: {error.strerror or error}"
        case _:
            text = str(error)
    return one_line(text.replace(f"{path}/", ""))


def _read(directory: RunDirectory, planned: Row, texts: Texts) -> RunRecords:
    run = dict(planned)
    info, experiment = directory.info, directory.config.experiment
    if (info.run_id, info.seed) != (run["run_id"], run["seed"]):
        raise ValueError(f"its config.json is of run {info.run_id} with seed {info.seed}: a copied folder?")
    # Result before records and lock before journal: what appears in between then only looks older than it is.
    result = directory.result(verify=False)
    if result is not None and not set(_RECORDED).issuperset(result["files"]):
        raise ValueError(f"result.json stands on other files than {', '.join(_RECORDED)}")
    contents = {name: _content(directory.path / name) for name in _RECORDED}
    for name, sha256 in (result or {"files": {}})["files"].items():
        if hashlib.sha256(contents[name]).hexdigest() != sha256:
            raise changed(directory.path / name)
    locked = directory.is_locked()
    ends = {"before": 0, "after": experiment.training.updates}

    metrics_file, episodes_file, fixed_file = (
        jsonl.parse(directory.path / name, contents[name])
        for name in ("metrics.jsonl", "episodes.jsonl", "fixed_transitions.jsonl")
    )
    metrics, metric_problems = metrics_table(metrics_file)
    episodes = episodes_table(episodes_file)
    fixed, fixed_problems = fixed_table(fixed_file, ends)
    gradients = gradients_table(fixed_file, ends)
    events = directory.events()
    from_where, origin_problems = origin(directory, events)
    run |= {
        "world_model": experiment.world_model.enabled,
        "updates": len(metrics["update"]),
        "updates_planned": experiment.training.updates,
        "games_source": experiment.environment.source,
        **from_where,
        **_state(events, locked),
        **(_outcome(result, directory.path) if result is not None else {}),
    }
    evaluation = evaluation_rows(episodes, ends)
    if result is not None:
        check_result(result, evaluation, run)
    overall = {row["phase"]: row["success"] for row in evaluation if row["task_type"] == ALL}
    run |= {f"success_{phase}": overall.get(phase) for phase in ends}
    table([run], RUNS, source="result.json or journal.jsonl")
    problems = [f"{_name(run)}: {problem}" for problem in (*metric_problems, *fixed_problems, *origin_problems)]
    rows = evaluation_table(evaluation, run["result_sha256"])
    return RunRecords(
        run,
        texts.encoded(rows, EVALUATION),
        metrics,
        texts.encoded(episodes, EPISODES),
        texts.encoded(fixed, FIXED_TRANSITIONS),
        texts.encoded(gradients, GRADIENTS),
        list(map(one_line, problems)),
    )


def _content(path: Path) -> bytes:
    """Read once: what is hashed is what is used. A file that is not there holds nothing."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _state(events: Iterable[Record], locked: bool) -> Row:
    """Status and reason of a run without a result, in the words of `paw-bench status`."""
    events = list(events)
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
    return state | {"status": outcome, "reason": one_line(last["reason"])}


def _duration(events: Iterable[Record], start: Record) -> float:
    """Seconds from an attempt's start to its last event."""
    times = [event["time"] for event in events if event.get("attempt") == start["attempt"]]
    return float(max(times) - start["time"])


def _outcome(result: Record, path: Path) -> Row:
    seconds = {f"seconds_{part}": result["seconds"][part] for part in ("training", "evaluation", "total")}
    published = {"attempts": result["attempts"], "published": result["published"]}
    return {"status": "done", "reason": "", **seconds, **published, "result_sha256": sha256_of(path / "result.json")}
