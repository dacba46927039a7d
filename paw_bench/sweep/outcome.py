"""How an attempt failed, as its journal says it: the same of one process and of several."""

from __future__ import annotations

from typing import Any

from paw_bench.errors import UserError

_OUT_OF_MEMORY = {"MemoryError", "OutOfMemoryError"}


class RankFailed(RuntimeError):
    """One of several processes failed, by an exception of its own. `outcome` is `outcome_of` that exception."""

    def __init__(self, rank: int, outcome: dict[str, Any]) -> None:
        self.outcome = {**outcome, "rank": rank}
        super().__init__(f"process {rank}: {outcome['reason']}")


class RankLost(RuntimeError):
    """One of several processes was killed without a word, which ended the others too."""


def outcome_of(error: BaseException) -> dict[str, Any]:
    """The fields of `attempt_ended` that tell an exception: reason, transient, error (its type), refused."""
    if isinstance(error, RankFailed):
        return error.outcome
    return {
        "reason": str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}",
        "transient": isinstance(error, RankLost) or _ran_out_of_memory(error),
        "error": type(error).__name__,
        "refused": isinstance(error, UserError),
    }


def _ran_out_of_memory(error: BaseException) -> bool:
    """Memory that others held: the same attempt may well succeed at another moment."""
    return any(kind.__name__ in _OUT_OF_MEMORY for kind in type(error).__mro__)
