"""What the policy gives the environment's own tokens, without gradient and without drawing a random number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from paw_bench.rollout.episode import Source
from paw_bench.rollout.rows import Row


@dataclass(frozen=True, slots=True)
class Scored:
    """The observation tokens of some rows, row by row: N of them."""

    logps: Tensor
    """Log-probability of each token, shape (N,), float64."""
    hits: Tensor
    """Whether it was the most probable one, shape (N,)."""


@torch.no_grad()
def score(model: PreTrainedModel, rows: Sequence[Row], batch: int) -> list[Scored]:
    """The observation tokens of `rows`, in their order, `batch` rows at a time."""
    was_training = model.training
    model.eval()
    try:
        return [_scored(model, rows[start : start + batch]) for start in range(0, len(rows), batch)]
    finally:
        model.train(was_training)


def _scored(model: PreTrainedModel, rows: Sequence[Row]) -> Scored:
    logits, labels = _observation_logits(model, rows)
    logps = logits.float().log_softmax(-1)
    return Scored(logps.gather(-1, labels[:, None])[:, 0].double(), logps.argmax(-1) == labels)


def _observation_logits(model: PreTrainedModel, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """Logits (N, V) and labels (N,) at the observation tokens of right-padded rows; no (B, T, V) tensor is made."""
    longest = max(len(row.prompt_ids) + len(row.completion_ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    attention = torch.zeros_like(ids)
    target = torch.zeros(len(rows), longest, dtype=torch.bool)
    for index, row in enumerate(rows):
        tokens = row.prompt_ids + row.completion_ids
        ids[index, : len(tokens)] = torch.tensor(tokens)
        attention[index, : len(tokens)] = 1
        start = len(row.prompt_ids)
        target[index, start : len(tokens)] = torch.tensor([source == Source.OBSERVATION for source in row.sources])
    ids, attention, target = ids.to(model.device), attention.to(model.device), target.to(model.device)
    hidden = model.base_model(input_ids=ids, attention_mask=attention).last_hidden_state[:, :-1]
    kept = target[:, 1:]
    return model.get_output_embeddings()(hidden[kept]), ids[:, 1:][kept]
