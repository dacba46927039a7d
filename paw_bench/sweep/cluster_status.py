"""The state of every run of a sweep on a cluster, derived from its files and the queue."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from paw_bench.store.jsonl import Record, TornLineWarning
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.causes import Cause, End, end_of
from paw_bench.sweep.finished import FinishedRuns
from paw_bench.sweep.queue import Task, read_queue, task_of
from paw_bench.sweep.status import RunStatus, State, progress_of, run_status
from paw_bench.sweep.submissions import Start, Submission, look_up, starts, submissions

GRACE_S = 60.0
"""A job that Slurm does not know counts as lost only so long after its last sign of life: files of another node may
be seen late."""

_STATES: dict[Cause, State] = {
    "preempted": "preempted",
    "time_limit": "preempted",
    "node_failure": "lost",
    "lost": "lost",
    "cancelled": "interrupted",
}


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """One run: what people see, and what decides whether it is submitted."""

    status: RunStatus
    planned: Record
    history: Sequence[Start]
    live: bool
    """Whether a process works on it, or a job of it waits or runs."""
    end: End | None
    """How its last job ended; None while `live`, when it is done, or when it is to be submitted in any case."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole sweep at one moment."""

    runs: list[ClusterRun]
    submissions: list[Submission]
    queue: Mapping[str, Task]


def snapshot(sweep: SweepDirectory) -> Snapshot:
    """Read the queue, then the files. Raises QueueError when Slurm does not answer."""
    found, queue = submitted(sweep)
    history = starts(found)
    finished = FinishedRuns(sweep.path)
    with warnings.catch_warnings():
        # A run that is at work may be in the middle of a line.
        warnings.simplefilter("ignore", TornLineWarning)
        runs = [_run(sweep, run, history.get(run["run_id"], []), queue, finished) for run in sweep.info["plan"]["runs"]]
    finished.save()
    return Snapshot(runs, found, queue)


def submitted(sweep: SweepDirectory) -> tuple[list[Submission], Mapping[str, Task]]:
    """All arrays of the sweep, and the queue. Raises QueueError when Slurm does not answer."""
    events = sweep.events()
    found = submissions(events)
    queue = read_queue(job for submission in found for job in submission.jobs if job)
    for submission in found:
        if submission.open:
            look_up(submission, queue)
    return found, {**_cancelled(events, found, queue), **queue}


def _run(
    sweep: SweepDirectory,
    planned: Record,
    history: Sequence[Start],
    queue: Mapping[str, Task],
    finished: FinishedRuns,
) -> ClusterRun:
    status = run_status(sweep, planned, finished=finished)
    if not history or status.settled:
        return ClusterRun(status, planned, history, status.active, None)
    directory = RunDirectory(status.path)
    events = directory.events()
    tasks = [task for task in (_task(start, queue) for start in history) if task is not None]
    live = next((task for task in reversed(tasks) if task.live), None)
    if not (status.active or live) and _was_published_by(history[-1].job, events):
        # Its result was removed to have it redone, or published while we looked.
        return ClusterRun(run_status(sweep, planned, finished=finished), planned, history, False, None)
    if status.active:
        node = live.node if live else status.hostname or ""
        return ClusterRun(replace(status, node=node), planned, history, True, None)
    if live is not None:
        return ClusterRun(_live(status, live, directory, events), planned, history, True, None)
    last = history[-1]
    task = _task(last, queue)
    # The sign may have a time to come, by the clock of another node or after ours was set back.
    if task is None and abs(time.time() - _last_sign(last, events)) < GRACE_S:
        waiting = replace(status, state="queued", reason="Slurm does not know its job: waiting for its files")
        return ClusterRun(waiting, planned, history, True, None)
    end = _end(task, last, events)
    ended = replace(status, state=_STATES.get(end.cause, "failed"), reason=end.reason, node=end.node, transient=False)
    return ClusterRun(ended, planned, history, False, end)


def _cancelled(events: list[Record], found: Sequence[Submission], queue: Mapping[str, Task]) -> dict[str, Task]:
    """Jobs that we cancelled and Slurm has forgotten: a task of an array that still waited leaves no trace there."""
    cancelled = {job for event in events if event["event"] == "cancelled" for job in event["jobs"]}
    jobs = ((job, submission.name) for submission in found for job in submission.jobs if job in cancelled)
    return {job: Task(job, name, "CANCELLED", "", "") for job, name in jobs if job and task_of(queue, job) is None}


def _task(start: Start, queue: Mapping[str, Task]) -> Task | None:
    """The job of a start. One of another name is not it: a controller that lost its state counts from an older id."""
    task = task_of(queue, start.job)
    return task if task is not None and task.name == start.submission else None


def _was_published_by(job: str | None, events: list[Record]) -> bool:
    """Whether an attempt of `job` published the run's result. By the order of events: clocks are set back at times."""
    attempts = {event["attempt"] for event in events if event["event"] == "published"}
    started = (event for event in events if event["event"] == "attempt_started" and event["attempt"] in attempts)
    return any(event.get("job") == job for event in started)


def _live(status: RunStatus, task: Task, directory: RunDirectory, events: list[Record]) -> RunStatus:
    """A run whose job is in the queue, and whose lock is not seen to be held."""
    if task.state == "PENDING":
        return replace(status, state="queued", reason=task.reason)
    opened, ended = _attempt(task.job_id, events)
    if opened is None or ended is not None:
        return replace(status, state="running", reason="ending" if ended else "starting", node=task.node)
    # The lock of another node may not be visible here: Slurm's word counts.
    return replace(status, **progress_of(directory, events), reason="", node=task.node)


def _end(task: Task | None, last: Start, events: list[Record]) -> End:
    return end_of(task, *_attempt(last.job, events))


def _attempt(job: str | None, events: list[Record]) -> tuple[Record | None, Record | None]:
    """(start or refusal, end) of the attempt that a job opened."""
    opened = [index for index, event in enumerate(events) if event.get("job") == job and job is not None]
    if not opened:
        return None, None
    start = events[opened[-1]]
    later = events[opened[-1] :]
    ends = (event for event in later if event["event"] == "attempt_ended" and event["attempt"] == start["attempt"])
    return start, next(ends, None)


def _last_sign(last: Start, events: list[Record]) -> float:
    times: list[float] = [event["time"] for event in events]
    return max([last.time, *times])
