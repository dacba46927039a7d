"""What the pool and its workers say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from paw_bench.envs.protocol import StepResult, Task


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the episode in `slot` (None: all). There is no answer."""

    slot: int | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """Start an episode of `task` in `slot` and play `actions`. The answer is the last result."""

    slot: int
    task: Task
    seed: int
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """Play one action in `slot`."""

    slot: int
    action: str


Request = Forget | Begin | Act


@dataclass(frozen=True, slots=True)
class Ready:
    """The first message of a worker: it can be asked now."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request, or the traceback of what went wrong. Answers come in the order of the requests."""

    slot: int
    result: StepResult | None
    seconds: float
    """What the worker needed for it."""
    error: str = ""
