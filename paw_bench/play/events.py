"""What happens in an episode that is shown: its start, its turns, its end; each also as a record of `--json`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Started:
    """The opening of an episode."""

    environment: str
    panel: str
    task_id: str
    task_type: str
    seed: int
    policy: str
    max_turns: int
    observation: str
    admissible: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weighed:
    """Tokens with a number each: nats of entropy or of surprise; None where none was measured."""

    tokens: Sequence[str]
    nats: Sequence[float | None]

    @property
    def mean(self) -> float:
        """Nats a token, over those that were measured; NaN where none was."""
        known = [value for value in self.nats if value is not None]
        return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True, slots=True)
class Played:
    """One turn. The last three are there where a model plays."""

    turn: int
    action: str
    """As it was put to the environment."""
    accepted: bool
    observation: str
    reward: float
    penalty: float = 0.0
    reply: Weighed | None = None
    """What the model wrote, with the entropy (nats) where each token was sampled."""
    told: Weighed | None = None
    """The next observation, with the model's surprise -log p (nats) at each token."""
    selected: bool | None = None
    """Whether PaW's selection takes the transition."""


@dataclass(frozen=True, slots=True)
class Group:
    """The episodes that a model played of the task, of which the first is shown, and what PaW makes of them."""

    episodes: int
    successes: int
    mean_return: float
    weight: float
    """lambda of the world-model term for the shown episode's group."""
    enabled: bool
    """Whether the config trains that term at all."""
    alpha: float
    transitions: int
    """In the pool of which `selected` were selected."""
    selected: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an episode, reached or not."""

    turns: int
    success: bool
    reward: float
    """Sum over the turns, penalties not counted."""
    score: float | None
    stopped: bool = False
    """The one who played went away before the end."""
    group: Group | None = None


Event = Started | Played | Ended

_NAMES = {Started: "start", Played: "turn", Ended: "end"}


class Show(Protocol):
    """Shows an event at once."""

    def __call__(self, event: Event) -> None:
        """Show it."""
        ...


def as_record(event: Event) -> dict[str, Any]:
    """The event as plain data; what a policy has not is left out."""
    return {"event": _NAMES[type(event)], **{key: value for key, value in asdict(event).items() if value is not None}}
