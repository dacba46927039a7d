"""What the policy gives the tokens of rows, without gradient and without drawing a random number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True, slots=True)
class ScoredActions:
    """The action tokens of some rows, row by row: N of them."""

    logps: Tensor
    """Log-probability of each token, shape (N,), float64."""
    entropies: Tensor
    """Full-vocabulary entropy (nats) where each was chosen, shape (N,), float64."""


def score(model: PreTrainedModel, rows: Sequence[Row], batch: int) -> list[Scored]:
    """The observation tokens of `rows`, in their order, `batch` rows at a time."""
    return [
        Scored(logps.gather(-1, labels[:, None])[:, 0].double(), logps.argmax(-1) == labels)
        for logps, labels in _distributions(model, rows, batch, Source.OBSERVATION)
    ]


def score_actions(model: PreTrainedModel, rows: Sequence[Row], batch: int) -> list[ScoredActions]:
    """The action tokens of `rows`, in their order, `batch` rows at a time."""
    return [
        ScoredActions(
            logps.gather(-1, labels[:, None])[:, 0].double(), -(logps.exp() * logps).sum(-1, dtype=torch.double)
        )
        for logps, labels in _distributions(model, rows, batch, Source.ACTION)
    ]


@torch.no_grad()
def _distributions(
    model: PreTrainedModel, rows: Sequence[Row], batch: int, source: Source
) -> Iterator[tuple[Tensor, Tensor]]:
    """Log-probabilities (N, V) and labels (N,) at the tokens of one source, `batch` rows at a time."""
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(rows), batch):
            logits, labels = _logits_at(model, rows[start : start + batch], source)
            yield logits.float().log_softmax(-1), labels
    finally:
        model.train(was_training)


def _logits_at(model: PreTrainedModel, rows: Sequence[Row], source: Source) -> tuple[Tensor, Tensor]:
    """Logits (N, V) and labels (N,) at the tokens of one source of right-padded rows; no (B, T, V) tensor is made."""
    longest = max(len(row.prompt_ids) + len(row.completion_ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    attention = torch.zeros_like(ids)
    target = torch.zeros(len(rows), longest, dtype=torch.bool)
    for index, row in enumerate(rows):
        tokens = row.prompt_ids + row.completion_ids
        ids[index, : len(tokens)] = torch.tensor(tokens)
        attention[index, : len(tokens)] = 1
        start = len(row.prompt_ids)
        target[index, start : len(tokens)] = torch.tensor([each == source for each in row.sources])
    ids, attention, target = ids.to(model.device), attention.to(model.device), target.to(model.device)
    hidden = model.base_model(input_ids=ids, attention_mask=attention).last_hidden_state[:, :-1]
    kept = target[:, 1:]
    return model.get_output_embeddings()(hidden[kept]), ids[:, 1:][kept]
