"""A few evaluation episodes word by word: what was said, how sure the policy was, how the next observation took it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers import PreTrainedModel

from paw_bench.evaluation.scoring import score
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.episode import Episode, Turn
from paw_bench.rollout.rows import rows_of

PHASES = ("before", "after")
"""The evaluations that leave samples."""
_DIGITS = 3
"""Of surprises and entropies: a thousandth of a nat is finer than anybody reads."""


def choose(episodes: list[Episode]) -> list[tuple[str, Episode]]:
    """The first episode of the panel, and the first won and the first lost one among the others, each with its reason.

    `episodes`: in the order of the panel, which the result keeps.
    """
    reasons = {0: "first of the panel"}
    for success, reason in ((True, "first won of the others"), (False, "first lost of the others")):
        found = next((place for place, one in enumerate(episodes) if place and one.success == success), None)
        if found is not None:
            reasons[found] = reason
    return [(reasons[place], episodes[place]) for place in sorted(reasons)]


def records(
    episodes: list[Episode], phase: str, *, model: PreTrainedModel, codec: TurnCodec, mode: str, batch: int
) -> list[dict[str, Any]]:
    """One record an episode that `choose` takes, as in the run directory's `samples.jsonl`.

    `model`: the policy that played; `batch`: rows a forward pass. Surprise is -log p of an observation's token and
    entropy the full vocabulary's where an action's token was sampled, both in nats and untempered.
    """
    chosen = choose(episodes)
    told = word_by_word([episode for _, episode in chosen], model=model, codec=codec, mode=mode, batch=batch)
    return [{"phase": phase, "chosen": reason, **record} for (reason, _), record in zip(chosen, told, strict=True)]


def word_by_word(
    episodes: list[Episode], *, model: PreTrainedModel, codec: TurnCodec, mode: str, batch: int
) -> list[dict[str, Any]]:
    """One record an episode: its turns, token by token. `episodes` are sorted by (group, index)."""
    scored = score(model, rows_of(episodes, mode), batch)
    surprises = iter((-torch.cat([part.logps for part in scored])).tolist())
    return [
        {
            "task_id": episode.task_id,
            "task_type": episode.task_type,
            "seed": episode.seed,
            "success": episode.success,
            "reward": episode.env_return,
            "prompt": codec.decode(episode.turns[0].context_ids),
            "turns": [_turn(turn, surprises, codec) for turn in episode.turns],
        }
        for episode in episodes
    ]


def _turn(turn: Turn, surprises: Iterator[float], codec: TurnCodec) -> dict[str, Any]:
    """`surprises`: those of this turn's observation come next."""
    return {
        "action": turn.action_text,
        "valid": turn.valid,
        "accepted": turn.accepted,
        "reward": turn.reward,
        "penalty": turn.penalty,
        "reply": {
            "tokens": codec.pieces(turn.action_ids),
            "entropy": [_rounded(entropy) for entropy in turn.action_entropies],
        },
        "observation": {
            "tokens": codec.pieces(turn.observation_ids),
            "surprise": [_rounded(next(surprises)) for _ in turn.observation_ids],
        },
    }


def _rounded(nats: float) -> float:
    return abs(round(nats, _DIGITS))
