"""What the sweep's journal knows of submitted arrays: which run went into the queue when, why, and as which job.

An intent is journalled before sbatch and the job ids after it. An intent without them is looked up in the queue by the
submission's name, which is why a driver that is killed in between loses and repeats nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from paw_bench.store.jsonl import Record
from paw_bench.sweep.queue import Task, array_tasks


@dataclass(slots=True)
class Submission:
    """One array. `runs` are {run_id, cause, avoid}; `jobs` their job ids in the same order."""

    name: str
    time: float
    runs: list[Record]
    jobs: list[str | None] = field(default_factory=list)
    """Empty while sbatch has not answered."""
    refused: bool = False

    @property
    def open(self) -> bool:
        """Whether nobody has noted how sbatch answered."""
        return not self.jobs and not self.refused


@dataclass(frozen=True, slots=True)
class Start:
    """A run in an array."""

    time: float
    job: str | None
    """None: sbatch took the array, but Slurm has forgotten this task."""
    cause: str
    """Why it was submitted: `first`, `retry` (asked for), or the cause of its last end."""
    avoid: tuple[str, ...]
    """Nodes that it must not use."""
    submission: str


def submissions(events: Iterable[Record]) -> list[Submission]:
    """All submissions in the sweep's journal, oldest first."""
    found: dict[str, Submission] = {}
    for event in events:
        match event["event"]:
            case "array_intent":
                found[event["submission"]] = Submission(event["submission"], event["time"], event["runs"])
            case "array_submitted":
                found[event["submission"]].jobs = event["jobs"]
            case "array_refused":
                found[event["submission"]].refused = True
    return list(found.values())


def look_up(submission: Submission, queue: Mapping[str, Task]) -> bool:
    """Fill the job ids of an open submission in from the queue; returns whether it is there."""
    jobs = array_tasks(queue, submission.name, len(submission.runs))
    if not any(jobs):
        return False
    submission.jobs = jobs
    return True


def starts(found: Iterable[Submission]) -> dict[str, list[Start]]:
    """Run id -> its starts, oldest first."""
    by_run: dict[str, list[Start]] = defaultdict(list)
    for submission in found:
        for run, job in zip(submission.runs, submission.jobs, strict=False):
            start = Start(submission.time, job, run["cause"], tuple(run["avoid"]), submission.name)
            by_run[run["run_id"]].append(start)
    return by_run


def spent(history: Iterable[Start]) -> Counter[str]:
    """How often the run was submitted for each cause since it was last granted a retry."""
    counted: Counter[str] = Counter()
    for start in history:
        if start.cause == "retry":
            counted.clear()
        counted[start.cause] += 1
    return counted
