"""What every engine does: one reply a request, token-exact, with log-probabilities. Engines live in `engines/`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Request:
    """One reply to sample."""

    prompt: list[int]
    """Token ids that the policy reads; at least one."""
    key: int
    """Noise key of this episode and turn (`sampling.noise_key`): equal keys, equal noise, where the engine keeps it."""
    conversation: int | None = None
    """Names the episode: what was computed for its earlier turns may be kept until `forget` (None: it may not)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the policy sampled for one request; three lists of equal length."""

    ids: list[int]
    """Token ids, the end token included when it was sampled."""
    logprobs: list[float]
    """Log-probability of each token under the untempered policy."""
    entropies: list[float]
    """Full-vocabulary entropy (nats) of the untempered policy at each token; NaN where the engine does not take it."""


class EngineFailed(RuntimeError):
    """The engine gave no replies: its process or server is gone, or refused the request. The message says which."""


class Engine(Protocol):
    """Samples replies from the policy of the last `load_weights`."""

    def generate(self, requests: Sequence[Request], temperature: float) -> list[Reply]:
        """One reply a request, in their order; temperature 0 is greedy. Raises EngineFailed."""

    def forget(self, conversations: Iterable[int]) -> None:
        """These episodes have ended: free what is kept for them. Unknown names are ignored."""

    def load_weights(self, model: PreTrainedModel) -> None:
        """Sample from the weights that `model` has now; nothing computed with earlier ones is kept."""

    def close(self) -> None:
        """Free processes and memory. The engine cannot be used afterwards; a second call does nothing."""
