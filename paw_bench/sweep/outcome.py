"""How an attempt failed, as its journal says it: the same of one process and of several."""

from __future__ import annotations

from typing import Any

from paw_bench.errors import UserError
from paw_bench.sweep.causes import cause_of

_MAY_PASS = {"out_of_memory", "hung_environment", "lost"}
"""Causes that the same attempt may well not meet at another moment: what others held, a filesystem that stood still."""


class RankFailed(RuntimeError):
    """One of several processes failed, by an exception of its own. `outcome` is `outcome_of` that exception."""

    def __init__(self, rank: int, outcome: dict[str, Any]) -> None:
        self.outcome = {**outcome, "rank": rank}
        super().__init__(f"process {rank}: {outcome['reason']}")


class RankLost(RuntimeError):
    """One of several processes was killed without a word, which ended the others too."""


def outcome_of(error: BaseException) -> dict[str, Any]:
    """The fields of `attempt_ended` that tell an exception: reason, cause, transient, error (its type), refused."""
    if isinstance(error, RankFailed):
        return error.outcome
    cause = cause_of(error)
    return {
        "reason": str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}",
        "cause": cause,
        "transient": cause in _MAY_PASS,
        "error": type(error).__name__,
        "refused": isinstance(error, UserError),
    }
