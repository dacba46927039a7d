"""Why an attempt on the cluster ended, and whether that is a reason to try again by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from paw_bench.config.profile import Retries
from paw_bench.store.atomic import NO_SPACE
from paw_bench.store.jsonl import Record
from paw_bench.sweep.queue import Task

Cause = Literal[
    "preempted", "time_limit", "node_failure", "hung_environment", "out_of_memory", "lost", "not_started", "storage",
    "error", "engine", "diverged", "collapsed", "engine_parted", "provenance", "config", "cancelled",
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
_BY_ERROR: Mapping[str, Cause] = {
    "MemoryError": "out_of_memory",
    "OutOfMemoryError": "out_of_memory",
    "EnvironmentHung": "hung_environment",
    "TrainingDiverged": "diverged",
    "PolicyCollapsed": "collapsed",
    "EngineParted": "engine_parted",
    "ProvenanceViolated": "provenance",
    "EngineFailed": "engine",
    "RankLost": "lost",
    "WriteError": "storage",
    "UserError": "config",
}
"""By name: torch, which has an OutOfMemoryError of its own, is not imported here."""
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


def cause_of(error: BaseException) -> Cause:
    """What an exception that ended an attempt says about its end."""
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return "storage"
    return next((_BY_ERROR[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _BY_ERROR), "error")


def end_of(task: Task | None, opened: Record | None, ended: Record | None) -> End:
    """The end of a job that is not in the queue any more.

    `task` is what Slurm remembers of it, `opened` the journal's record of the attempt that it opened (or was refused),
    `ended` the record of that attempt's end; None where there is no such record. Slurm's word on itself comes first:
    an attempt cannot know who stopped it.
    """
    state, node = (task.state, task.node) if task else ("", "")
    if opened is not None and opened["event"] == "attempt_refused":
        return End(opened.get("cause", "config"), opened["reason"], node)
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
    cause: Cause = ended.get("cause", "error")
    return cause


def retries_left(retries: Retries, cause: Cause, spent: int) -> int:
    """How often a run that ended by `cause` may still be tried again by itself, `spent` times tried because of it."""
    return max(0, int(getattr(retries, cause, 0)) - spent)
