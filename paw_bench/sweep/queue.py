"""What Slurm knows of our jobs: squeue, and sacct where there is one."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from paw_bench.errors import UserError

_TIMEOUT_S = 60
_ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}


class QueueError(UserError):
    """Slurm did not answer."""


@dataclass(frozen=True, slots=True)
class Task:
    """One job, or one task of an array, as the queue shows it."""

    job_id: str
    """`123`, or `123_4` for a task of an array."""
    name: str
    state: str
    """Slurm's own word, such as PENDING."""
    node: str
    reason: str
    """Why it waits."""

    @property
    def live(self) -> bool:
        """Whether it waits or runs: Slurm may still start it, or is ending it."""
        return self.state not in _ENDED


def read_queue(job_ids: Iterable[str] = ()) -> dict[str, Task]:
    """Job id -> task: what squeue shows of this user's jobs, and what sacct remembers of those in `job_ids`.

    Raises QueueError when squeue fails: not finding a job then means nothing.
    """
    command = ["squeue", "-h", "-r", "-t", "all", "-u", getpass.getuser(), "-o", "%i|%j|%T|%N|%r"]
    tasks = {task.job_id: task for task in map(_task, _lines(slurm(command)))}
    forgotten = sorted({job_id.partition("_")[0] for job_id in job_ids if job_id not in tasks})
    return {**_remembered(forgotten), **tasks} if forgotten else tasks


def task_of(queue: Mapping[str, Task], job_id: str | None) -> Task | None:
    """What the queue knows of a job; of the task of an array that was cancelled as a whole, the array's own entry."""
    if job_id is None:
        return None
    whole = queue.get(job_id.partition("_")[0])
    return queue.get(job_id) or (whole if whole is not None and not whole.live else None)


def array_tasks(queue: Mapping[str, Task], name: str, count: int) -> list[str | None]:
    """Job ids of the `count` runs of the submission called `name`, in order; None for what Slurm does not know.

    Tasks that were cancelled before they started stand together under the array's own id. One run is no array.
    """
    parts = [task.job_id.partition("_") for task in queue.values() if task.name == name]
    if count == 1:
        return [next(("".join(part) for part in parts), None)]
    whole = next((array for array, _, index in parts if not index), None)
    tasks = {int(index): f"{array}_{index}" for array, _, index in parts if index}
    return [tasks.get(index, f"{whole}_{index}" if whole else None) for index in range(count)]


def slurm(command: list[str]) -> str:
    """Output of one of Slurm's commands. Raises QueueError when it fails, is not there or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise QueueError(f"{command[0]} is not installed here", "use a login node of your cluster") from None
    except subprocess.TimeoutExpired:
        raise QueueError(f"{command[0]} did not answer within {_TIMEOUT_S} s", "try again later") from None
    if done.returncode:
        problem = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[0]
        raise QueueError(f"{command[0]} failed: {problem}", "is Slurm up? try: scontrol ping")
    return done.stdout


def _remembered(job_ids: list[str]) -> dict[str, Task]:
    command = ["sacct", "-n", "-P", "-X", "-j", ",".join(job_ids), "-o", "JobID,JobName,State,NodeList"]
    try:
        lines = _lines(slurm(command))
    except QueueError:
        return {}  # most small clusters have no accounting
    return {task.job_id: task for task in (_task(f"{line}|") for line in lines)}


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _task(line: str) -> Task:
    job_id, name, state, node, reason = line.split("|", 4)
    # Tasks that never started stand together: squeue writes the array's id, sacct 7_[3-9].
    job_id = job_id.partition("_[")[0]
    # sacct writes "CANCELLED by 1000".
    return Task(job_id, name, state.split()[0], node, reason)
