"""The state of every run, derived from its files and its lock; nothing here is stored twice."""

from __future__ import annotations

import os
import statistics
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from paw_bench.store.jsonl import Record, TornLineWarning
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.finished import Finished, FinishedRuns

State = Literal[
    "planned", "queued", "running", "evaluating", "done", "failed", "interrupted", "preempted", "lost", "pruned"
]

_RECENT = 5
"""Updates over which success and speed are averaged."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One run in one line. `success` is a share (training episodes; the final evaluation once done)."""

    run_id: str
    arm: str
    axes: dict[str, Any]
    seed: int
    path: Path
    state: State = "planned"
    update: int = 0
    updates: int = 0
    success: float | None = None
    seconds_left: float | None = None
    """Of a running run: what its recent updates and its first evaluation suggest."""
    seconds_taken: float | None = None
    """Of a finished run."""
    reason: str = ""
    failures: int = 0
    """Attempts that failed or were lost since the run began, started over or was granted a retry."""
    transient: bool = False
    """Whether the last failure may pass by itself."""
    log: Path | None = None
    pid: int | None = None
    hostname: str | None = None
    node: str = ""
    """Where its job runs or ran, by Slurm's word."""

    @property
    def label(self) -> str:
        """Arm, axes and seed, for people."""
        axes = "".join(f" {value}" for value in self.axes.values())
        return f"{self.arm}{axes} seed {self.seed}"

    @property
    def settled(self) -> bool:
        """Whether nobody has to work on it any more."""
        return self.state in {"done", "pruned"}

    @property
    def active(self) -> bool:
        """Whether a process works on it now."""
        return self.state in {"running", "evaluating"}


def sweep_status(sweep: SweepDirectory) -> list[RunStatus]:
    """Every planned run of the sweep, in the order of the plan."""
    refusals = refused_starts(sweep)
    finished = FinishedRuns(sweep.path)
    runs = sweep.info["plan"]["runs"]
    statuses = [run_status(sweep, planned, refusals.get(planned["run_id"]), finished) for planned in runs]
    finished.save()
    return statuses


def refused_starts(sweep: SweepDirectory) -> dict[str, Record]:
    """Run id -> the driver's event about a process that ended before it opened an attempt, the last one of each run."""
    return {event["run_id"]: event for event in sweep.events() if event["event"] == "not_started"}


def run_status(
    sweep: SweepDirectory, planned: Record, refusal: Record | None = None, finished: FinishedRuns | None = None
) -> RunStatus:
    """State of one planned run ({run_id, arm, axes, seed}); `refusal` is what `refused_starts` knows of it.

    `finished` is looked up and filled. Raises StoreError for files of another schema version.
    """
    with warnings.catch_warnings():
        # A run that is at work may be in the middle of a line.
        warnings.simplefilter("ignore", TornLineWarning)
        return _derive(sweep, planned, refusal, finished)


def _derive(sweep: SweepDirectory, planned: Record, refusal: Record | None, finished: FinishedRuns | None) -> RunStatus:
    path = sweep.run_path(planned["run_id"])
    known: dict[str, Any] = {key: planned[key] for key in ("run_id", "arm", "axes", "seed")} | {"path": path}
    if not os.path.exists(f"{path}/config.json"):
        return RunStatus(**known, state="failed", reason=refusal["reason"]) if refusal else RunStatus(**known)
    done = _done(path, finished)
    if done is not None:
        return RunStatus(**known, **done)
    directory = RunDirectory(path)
    known["updates"] = directory.planned_updates
    # Before the journal is read: an attempt that ends in between must not look lost.
    locked = directory.is_locked()
    events = directory.events()
    if any(event["event"] == "published" for event in events):
        # Published while we looked, or removed since.
        done = _done(path, finished) if directory.has_result() else None
        removed = "its result was removed: it will be redone"
        return RunStatus(**known, reason=removed) if done is None else RunStatus(**(known | done))
    known |= _attempts(directory, events)
    metrics = directory.metrics()
    if metrics:
        known["update"] = metrics[-1]["update"]
        known["success"] = statistics.fmean(record["success"] for record in metrics[-_RECENT:])
    if locked:
        return RunStatus(**known, **progress_of(directory, events))
    pruned = directory.pruned()
    if pruned is not None:
        return RunStatus(**known, state="pruned", reason=pruned["reason"])
    return RunStatus(**known, **_end(events, refusal))


def _done(path: Path, finished: FinishedRuns | None) -> dict[str, Any] | None:
    """The state of a run whose result stands; None where there is none."""
    try:
        file = os.stat(f"{path}/result.json")
    except FileNotFoundError:
        return None
    found = finished.get(path.name, file) if finished is not None else None
    if found is None:
        found = _read_result(RunDirectory(path), file)
        if found is None:
            return None
        if finished is not None:
            finished.add(path.name, found)
    return {
        "state": "done",
        "updates": found.updates_planned,
        "update": found.updates,
        "success": found.success,
        "seconds_taken": found.seconds,
    }


def _read_result(directory: RunDirectory, file: os.stat_result) -> Finished | None:
    """What the run's result says; `file` is what it was before it is read."""
    result = directory.result(verify=False)
    if result is None:
        return None
    return Finished(
        inode=file.st_ino,
        size=file.st_size,
        changed_ns=file.st_mtime_ns,
        updates_planned=directory.planned_updates,
        updates=result["updates"],
        success=result["evaluation"]["after"]["success"],
        seconds=result["seconds"]["total"],
        training_s=result["seconds"]["training"],
        evaluation_s=result["seconds"]["evaluation"],
        attempts=result["attempts"],
    )


def _attempts(directory: RunDirectory, events: list[Record]) -> dict[str, Any]:
    """Process, log and number of failures, from the journal."""
    known: dict[str, Any] = {"failures": 0}
    for event in events:
        match event["event"]:
            case "attempt_started":
                known["failures"] += 1  # until it ends otherwise
                known |= {"pid": event["pid"], "hostname": event["hostname"], "log": directory.path / event["log"]}
            case "attempt_ended" if event["outcome"] != "failed":
                known["failures"] -= 1
            case "attempt_refused":
                known |= {"failures": known["failures"] + 1, "log": None}
            case "retry":
                known["failures"] = 0
    return known


def progress_of(directory: RunDirectory, events: list[Record]) -> dict[str, Any]:
    """State and time left of a run that is being worked on."""
    steps = {"attempt_started", "resumed", "evaluation_started", "evaluation", "checkpoint"}
    last = next((event for event in reversed(events) if event["event"] in steps), None)
    metrics = directory.metrics()
    state = "evaluating" if last is not None and last["event"] == "evaluation_started" else "running"
    if last is None or not metrics:
        return {"state": state}
    experiment = directory.config.experiment
    updates, every, done = experiment.training.updates, experiment.evaluation.every, metrics[-1]["update"]
    evaluations = [event["seconds"] for event in events if event["event"] == "evaluation"]
    ahead = (updates - 1) // every - done // every + 1 if every else 1
    update_s = statistics.fmean(record["seconds"]["total"] for record in metrics[-_RECENT:])
    evaluation_s = statistics.fmean(evaluations) if evaluations else 0.0
    since = time.time() - max(metrics[-1]["time"], last["time"])
    return {"state": state, "seconds_left": max(0.0, update_s * (updates - done) + evaluation_s * ahead - since)}


def _end(events: list[Record], refusal: Record | None) -> dict[str, Any]:
    """Why nobody works on an unfinished run."""
    last = next((event for event in reversed(events) if event["event"].startswith("attempt_")), None)
    if refusal is not None and (last is None or last["time"] < refusal["time"]):
        return {"state": "failed", "reason": refusal["reason"]}
    if last is None:
        return {"state": "planned"}
    if last["event"] == "attempt_refused":
        return {"state": "failed", "reason": last["reason"]}
    if last["event"] == "attempt_started":
        reason = "its process ended without a word: killed, out of memory, or the machine went down"
        return {"state": "lost", "reason": reason, "transient": True}
    return {
        "state": last["outcome"],
        "reason": last["reason"],
        "transient": last["outcome"] == "interrupted" or last.get("transient", False),
    }
