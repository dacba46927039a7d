"""Why an attempt on the cluster ended, and whether that is a reason to try again by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paw_bench.config.profile import Retries
from paw_bench.store.jsonl import Record
from paw_bench.sweep.queue import Task

Cause = Literal[
    "preempted", "time_limit", "node_failure", "out_of_memory", "lost", "not_started", "error", "diverged",
    "collapsed", "config", "cancelled",
]  # fmt: skip

_BY_STATE: dict[str, Cause] = {
    "PREEMPTED": "preempted",
    "TIMEOUT": "time_limit",
    "DEADLINE": "time_limit",
    "NODE_FAIL": "node_failure",
    "BOOT_FAIL": "node_failure",
    "OUT_OF_MEMORY": "out_of_memory",
    "CANCELLED": "cancelled",
}
_BY_ERROR: dict[str, Cause] = {"TrainingDiverged": "diverged", "PolicyCollapsed": "collapsed", "RankLost": "lost"}
"""By the name of the exception that stopped training (`training/health.py`), or its processes (`outcome.py`)."""
_WORDS: dict[Cause, str] = {
    "preempted": "a job with a higher priority took its place",
    "time_limit": "it reached its time limit",
    "node_failure": "its node failed",
    "out_of_memory": "out of memory",
    "lost": "it was killed without a word",
    "not_started": "its job ended before the run began",
    "cancelled": "its job was cancelled",
}


@dataclass(frozen=True, slots=True)
class End:
    """How a job's work on a run ended."""

    cause: Cause
    reason: str
    node: str = ""


def end_of(task: Task | None, opened: Record | None, ended: Record | None) -> End:
    """The end of a job that is not in the queue any more.

    `task` is what Slurm remembers of it, `opened` the journal's record of the attempt that it opened (or was refused),
    `ended` the record of that attempt's end; None where there is no such record. Slurm's word on itself comes first:
    an attempt cannot know who stopped it.
    """
    state, node = (task.state, task.node) if task else ("", "")
    if opened is not None and opened["event"] == "attempt_refused":
        return End("config", opened["reason"], node)
    cause = _BY_STATE.get(state) or _own_word(opened, ended)
    told = ended is not None and (cause not in _WORDS or cause == "lost")
    reason = ended["reason"] if ended is not None and told else _WORDS[cause]
    if cause == "node_failure" and node:
        reason = f"its node {node} failed"
    if cause == "not_started" and state:
        reason += f" ({state.lower()})"
    return End(cause, reason, node)


def _own_word(opened: Record | None, ended: Record | None) -> Cause:
    if opened is None:
        return "not_started"
    if ended is None:
        return "lost"
    if ended["outcome"] == "interrupted":
        return "time_limit" if "SIGUSR2" in ended["reason"] else "preempted"
    if ended.get("refused"):
        return "config"
    own = _BY_ERROR.get(ended.get("error", ""))
    return own or ("out_of_memory" if ended.get("transient") else "error")


def retries_left(retries: Retries, cause: Cause, spent: int) -> int:
    """How often a run that ended by `cause` may still be tried again by itself, `spent` times tried because of it."""
    return max(0, int(getattr(retries, cause, 0)) - spent)
