"""The engine's weights: those of the trainer, handed over between updates and compared after every time."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from paw_bench.config.schema import RunConfig
from paw_bench.evaluation.scoring import score_actions
from paw_bench.rollout.engine import Engine, Request
from paw_bench.rollout.episode import Source
from paw_bench.rollout.rows import Row
from paw_bench.rollout.sampling import noise_key
from paw_bench.training.health import EngineParted
from paw_bench.training.ranks import Ranks

PROBES = 8
"""Prompts whose replies are compared."""
_LIMITS = {"float32": 1e-3, "bfloat16": 0.1}
"""Two ways to compute the same differ by about 1e-6 and 0.01."""


@dataclass(slots=True)
class Synced:
    """What the last sync took and found, for the update's record."""

    gap: float | None = None
    """Mean difference of the log-probabilities of engine and trainer over the probes' tokens, nats."""
    seconds: float = 0.0


class WeightSync:
    """Hands weights to an engine, once for every state of them, and stops the run where the two part."""

    def __init__(self, config: RunConfig, engine: Engine, prompts: Sequence[list[int]], ranks: Ranks) -> None:
        """`prompts`: what is replied to for the comparison; the same on every rank."""
        self.engine = engine
        self.ranks = ranks
        self.limit = config.execution.logprob_gap or _LIMITS[config.experiment.model.dtype]
        self.requests = [Request(prompt, noise_key("sync", number)) for number, prompt in enumerate(prompts[:PROBES])]
        self.last = Synced()
        self._held: int | None = None

    def to(self, model: PreTrainedModel, update: int) -> None:
        """Give the engine the weights that `model` has after `update` updates, unless it has them already.

        Raises `EngineParted`, on every rank, where the engine's log-probabilities are not the trainer's then. What is
        compared is an answer to the same prompts every time, so that a prefix cache that outlived its weights shows.
        """
        if self._held == update:
            self.last = Synced(self.last.gap)
            return
        started = time.monotonic()
        self.engine.load_weights(model)
        found = self.ranks.gather(logprob_gap(self.engine, model, self.requests))
        gap = max((each for each in found if each is not None), default=None)
        self.last = Synced(gap, time.monotonic() - started)
        if gap is not None and gap > self.limit:
            raise EngineParted(
                f"after the sync for update {update + 1} the engine's log-probabilities part from the trainer's by "
                f"{gap:.2g} nats a token (execution.logprob_gap: {self.limit:g}): it samples from other weights"
            )
        self._held = update


def logprob_gap(engine: Engine, model: PreTrainedModel, requests: Sequence[Request]) -> float | None:
    """Mean |log p of the engine - log p of `model`| over the tokens of the engine's replies to `requests` (nats).

    Infinite where the engine's are not numbers. None where the model's own are not: then nothing parts from it, and
    its next step stops the run as diverged.
    """
    replies = engine.generate(requests, 1.0)
    rows = [
        Row(
            episode=number,
            group=0,
            turn=0,
            prompt_ids=request.prompt,
            completion_ids=reply.ids,
            sources=[Source.ACTION] * len(reply.ids),
            segments=[0] * len(reply.ids),
            logprobs=reply.logprobs,
            entropies=reply.entropies,
        )
        for number, (request, reply) in enumerate(zip(requests, replies, strict=True))
    ]
    own = torch.cat([scored.logps for scored in score_actions(model, rows, len(rows))]).cpu()
    said = torch.tensor([value for row in rows for value in row.logprobs], dtype=own.dtype)
    if not own.isfinite().all():
        return None
    return float((own - said).abs().mean().nan_to_num(math.inf))
