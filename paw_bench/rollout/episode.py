"""Episodes as tokens: every token is labelled with its source once, when it is made, and never re-tokenised."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from zlib import crc32


class Source(IntEnum):
    """Where a token comes from. Masks are derived from this label and from nothing else."""

    PROMPT = 0
    """Instructions, task and opening: what the policy reads before its first action, or a window's prompt."""
    ACTION = 1
    """Sampled by the policy (its end token included when it sampled one)."""
    OBSERVATION = 2
    """Written by the environment."""
    TEMPLATE = 3
    """Glue between turns: chat-template tokens, the admissible list when it is not a target, forced end tokens."""


def receipt_of(ids: Sequence[int], logprobs: Sequence[float]) -> int:
    """A number that says what was sampled, with which log-probabilities; the same in every process."""
    return crc32(array("q", ids).tobytes() + array("d", logprobs).tobytes())


@dataclass(slots=True)
class Turn:
    """One transition (h_t, a_t, r_t, o_{t+1}) of an episode, in text and tokens."""

    context_ids: list[int]
    """Tokens of h_t as the policy saw them (with `full` contexts: everything up to this action)."""
    action_ids: list[int]
    """What the engine sampled."""
    action_logprobs: list[float]
    action_entropies: list[float]
    """Full-vocabulary entropies (nats), where selection scores by them (else NaN)."""
    action_text: str
    observation_text: str
    """o_{t+1}, the environment's own text (the terminal observation included)."""
    observation_ids: list[int]
    """Encoded `observation_text`: the world-model targets."""
    separator_ids: list[int]
    """Template tokens between the action and the observation."""
    reward: float
    penalty: float
    """Invalid-action penalty of this turn (>= 0)."""
    valid: bool
    accepted: bool
    receipt: int | None = None
    """`receipt_of` the engine's reply, taken when it came (None: nothing was sampled)."""
    listed_text: str = ""
    """What `observation_ids` say after `observation_text`: the admissible actions, where they are a target."""
    closing_ids: list[int] = field(default_factory=list)
    """Template tokens after an observation of which `unread_tokens` did not fit: the mark in their place."""
    unread_tokens: int = 0
    dropped_turns: int = 0
    """Turns of history that the window should have shown and had no room for."""
    cut_tokens: int = 0
    """Tokens of the prompt that had no room even then; a mark stands in their place."""


@dataclass(slots=True)
class Episode:
    """A whole game. `group` indexes the task within the update, `index` the episode within its group."""

    task_id: str
    task_type: str
    group: int
    index: int
    seed: int
    turns: list[Turn] = field(default_factory=list)
    success: bool = False
    score: float | None = None
    """The environment's grade of the whole episode, 0 to 1, where it gives one."""
    redone: int = 0
    """How often a lost environment worker made the episode be replayed."""
    outgrown: bool = False
    """Whether it was ended because its context left no room for another turn."""

    @property
    def env_return(self) -> float:
        """Sum of the environment's rewards, R(tau), without penalties."""
        return sum(turn.reward for turn in self.turns)

    @property
    def penalty(self) -> float:
        """Sum of the invalid-action penalties (>= 0)."""
        return sum(turn.penalty for turn in self.turns)
