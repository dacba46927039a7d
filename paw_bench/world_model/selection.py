"""Which transitions the world-model loss covers (PaW section "action-entropy selection").

The score of a transition is taken from its action tokens under the policy that sampled them; the highest-scored
fraction alpha of the whole update's pool is kept, over all groups and before anything is split.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from paw_bench.world_model.keyed import keyed_generator

ScoreKind = Literal["entropy", "sampled", "surprisal", "random", "none"]


def transition_scores(
    kind: ScoreKind,
    *,
    logprobs: Tensor,
    entropies: Tensor,
    transition: Tensor,
    count: int,
    seed: int,
    update: int,
) -> Tensor:
    """Score of each of the pool's `count` transitions, float64 of shape (count,).

    PaW section "action-entropy selection", and controls of ours.

    `logprobs` and `entropies` (nats) are those of the pool's A action tokens, `transition` the transition that each
    belongs to; all of shape (A,). With n action tokens of probability q_i and full-vocabulary entropy H_i:

    - `entropy`: (1/n) sum_i H_i, the paper's prose and our default;
    - `sampled`: -(1/n) sum_i q_i log q_i, the formula as the paper's first version prints it;
    - `surprisal`: -(1/n) sum_i log q_i;
    - `random`: uniform noise keyed by the run's seed and the update (control);
    - `none`: all equal, so that alpha = 1 keeps everything.
    """
    if kind == "none":
        return torch.zeros(count, dtype=torch.float64)
    if kind == "random":
        noise = keyed_generator("selection", seed=seed, update=update).random(count)
        return torch.from_numpy(noise)
    logs = logprobs.double()
    per_token = {"entropy": entropies.double(), "sampled": -logs.exp() * logs, "surprisal": -logs}[kind]
    total = torch.zeros(count, dtype=torch.float64).index_add_(0, transition, per_token)
    length = torch.bincount(transition, minlength=count)
    return total / length.clamp(min=1)


def select(scores: Tensor, alpha: float) -> Tensor:
    """Mask (N,) of the ceil(alpha * N) highest scores; equal scores are kept in the pool's order.

    `scores` has shape (N,), in the pool's order (group, episode, turn). PaW section "action-entropy selection": the
    top fraction alpha of P.
    """
    # The allowance keeps 0.1 * 30 = 3.0000000000000004 from becoming 4.
    keep = math.ceil(alpha * len(scores) - 1e-9)
    order = torch.sort(scores, descending=True, stable=True).indices
    selected = torch.zeros(len(scores), dtype=torch.bool)
    selected[order[:keep]] = True
    return selected
