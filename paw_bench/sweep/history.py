"""The whole history of a run in words: what drivers, Slurm and its attempts said, in the order of time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from paw_bench.store.jsonl import Record
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.progress import run_line
from paw_bench.sweep.status import RunStatus
from paw_bench.sweep.submissions import Start, starts, submissions

_UPDATES = {"checkpoint", "evaluation_started"}
"""Told by the events around them."""
_WORDS = {
    "attempt_started": "attempt {attempt} started on {hostname} (process {pid}{of_job})",
    "attempt_refused": "attempt refused: {reason}",
    "attempt_ended": "attempt {attempt} ended: {outcome}: {reason}",
    "execution_changed": "execution.{key}: {before} -> {after}, because: {cause}",
    "checkpoint_dropped": "the checkpoint of update {update} is not used: {reason}",
    "resumed": "resumed from the checkpoint of update {update}",
    "evaluation": "evaluation {phase} done",
    "retry": "granted new attempts",
}


def history_lines(sweep: SweepDirectory, run: RunDirectory, status: RunStatus) -> list[str]:
    """The run's state and everything that happened to it, one line each, oldest first."""
    events = sweep.events()
    own = starts(submissions(events)).get(run.path.name, [])
    told = [*_submissions(own), *_attempts(run.events()), *_driver(events, run.path.name, own)]
    lines = [f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(when))}  {what}" for when, what in sorted(told)]
    return [run_line(status), f"  {run.path}", *lines]


def _submissions(own: Sequence[Start]) -> Iterator[tuple[float, str]]:
    for start in own:
        because = "" if start.cause == "first" else f", because: {start.cause.replace('_', ' ')}"
        avoid = f", not on {', '.join(start.avoid)}" if start.avoid else ""
        yield start.time, f"submitted as job {start.job}{because}{avoid}"


def _driver(events: list[Record], run_id: str, own: Sequence[Start]) -> Iterator[tuple[float, str]]:
    """What drivers on this machine noted about the run, and cancellations of its jobs."""
    jobs = {start.job for start in own}
    for event in events:
        if event["event"] == "not_started" and event["run_id"] == run_id:
            yield event["time"], event["reason"]
        elif event["event"] == "cancelled" and jobs & set(event["jobs"]):
            yield (
                event["time"],
                f"cancelled: {event['reason']}" if "reason" in event else "cancelled with paw-bench cancel",
            )


def _attempts(events: list[Record]) -> Iterator[tuple[float, str]]:
    for event in events:
        if event["event"] not in _UPDATES:
            yield event["time"], _words(event)


def _words(event: Record) -> str:
    template = _WORDS.get(event["event"])
    if template is None:
        return str(event["event"]).replace("_", " ")
    words = {**event, "of_job": f", job {event['job']}" if event.get("job") else ""}
    return template.format(**words).removesuffix(": ")
