"""What every environment offers: reset with a task and a seed, step with text.

The observation text is kept apart from the admissible actions, and the environment's reward apart from the
invalid-action penalty (which the collector applies), so that each can enter the prompt, the world-model target and
the return on its own terms.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Task:
    """One game of a panel. `location` is what the environment needs to load it: a path, a number, a text."""

    task_id: str
    task_type: str
    location: str


@dataclass(frozen=True, slots=True)
class StepResult:
    """The environment's answer to a reset or an action."""

    observation: str
    """The environment's own text, without the admissible actions."""
    admissible: tuple[str, ...]
    """Actions that the environment lists for the next turn. `<...>` in one stands for free text."""
    reward: float
    """Reward of this step (0 for a reset)."""
    done: bool
    success: bool
    accepted: bool
    """Whether the action was in the previous admissible list (True for a reset)."""
    score: float | None = None
    """How well the episode ended, 0 to 1, where the environment grades it; success is 1."""


class Environment(Protocol):
    """One episode at a time. An implementation is deterministic in (task, seed, actions)."""

    def reset(self, task: Task, seed: int) -> StepResult:
        """Start an episode of `task`."""
        ...

    def step(self, action: str) -> StepResult:
        """Play one action, as the policy wrote it."""
        ...

    def close(self) -> None:
        """Free what the environment holds; it is not used again."""
        ...


class Player(Protocol):
    """Plays one episode from what it reads."""

    def choices(self, admissible: tuple[str, ...]) -> Sequence[str]:
        """Actions that it would play now; any of them will do."""
        ...

    def read(self, action: str, observation: str) -> None:
        """Take note of a played action (its own or another) and its answer."""
        ...


class Demonstrator(Player, Protocol):
    """A player to learn from: what it does follows from text that the policy could read as well."""

    def slips(self, rng: random.Random) -> Sequence[str]:
        """Actions that mostly fail now; played in its place now and then, so that the policy learns to go on."""
        ...
