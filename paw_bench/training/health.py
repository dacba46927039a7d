"""When training cannot go on or has lost its policy, and what it takes from the machine."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from paw_bench.config.schema import CollapseConfig
from paw_bench.rollout.episode import Episode


class TrainingStopped(RuntimeError):
    """Training ends here for a reason of its own, which more attempts would only meet again."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class TrainingDiverged(TrainingStopped):
    """Loss or gradients are no longer finite. Raised before the optimizer step, so the weights are still finite."""

    def __init__(self, reason: str, *, untouched: bool = False) -> None:
        super().__init__(reason)
        self.untouched = untouched
        """Whether the update had made no step yet: the weights that it began with are what fails."""


class PolicyCollapsed(TrainingStopped):
    """The policy wins nothing any more and is stuck, or writes what is no action (see `decline`)."""


class EngineParted(TrainingStopped):
    """What samples the episodes has other weights than what is trained (see `sync.py`)."""


class ProvenanceViolated(TrainingStopped):
    """A token is not what engine or environment gave (`rollout/provenance.py`). Raised before anything is trained."""

    def __init__(self, reason: str, *, episode: Episode | None = None) -> None:
        super().__init__(reason)
        self.episode = episode
        """Whose token it is, where it is one episode's."""


@dataclass(frozen=True, slots=True)
class Decline:
    """The latest updates of a run whose policy was well before: `updates` of them in a row, from `first` on."""

    first: int
    updates: int
    symptom: str
    """Of the last one, in words."""


def decline(metrics: Sequence[dict[str, Any]], limits: CollapseConfig) -> Decline | None:
    """The decline that the latest update is part of, or None. `metrics`: a run's records so far (docs/architecture.md).

    An update declines when none of its episodes succeeded and it shows a symptom:

    - at least `invalid_share` of its actions are invalid; or
    - the entropy of its action tokens is below `entropy`, and at least `repeated_share` of its turns repeat an
      earlier turn of their episode, action and answer.

    Only what was better can decline: an earlier update must have had a success and no symptom. A weak model that has
    yet to find its first reward, or its format, is left alone; so is a policy that is sure of itself and wins. With
    `limits.updates` = 0 nothing ever declines.
    """
    declining = 0
    for record in reversed(metrics if limits.updates else []):
        if record["success"] > 0 or not _symptom(record, limits):
            break
        declining += 1
    before = metrics[: len(metrics) - declining]
    if not declining or not any(record["success"] > 0 and not _symptom(record, limits) for record in before):
        return None
    return Decline(metrics[-declining]["update"], declining, _symptom(metrics[-1], limits))


def _symptom(record: dict[str, Any], limits: CollapseConfig) -> str:
    """What is wrong with the actions of an update, in words; empty where nothing is."""
    invalid = 1.0 - record["valid_share"]
    if invalid >= limits.invalid_share:
        return f"{invalid:.0%} of its actions are invalid ({record.get('cut_share', 0.0):.0%} cut off at the limit)"
    # Records of before these were measured have no repetitions.
    entropy, repeated = record["entropy"], record.get("repeated_share", 0.0)
    if entropy is not None and entropy < limits.entropy and repeated >= limits.repeated_share:
        return f"its actions have an entropy of {entropy:.2g} nats a token, and {repeated:.0%} of its turns repeat"
    return ""


def peak_memory_mb() -> float:
    """Peak memory of this process so far in MB: of the GPU where there is one, else resident memory."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
