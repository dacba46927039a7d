"""One weight an observation token, fixed over the whole update before anything is split.

The world-model part of the paper's total loss,

    L_WM = mean over groups g of lambda_g * mean over the selected transitions of g of (1/|o|) sum_i l_i,

is linear in the token losses l_i, so it is sum_i w_i l_i with weights that only depend on the pool. Optimizer step s
of a pass takes the sum over its own rows; the factor k (steps of one pass) makes the mean over the steps L_WM. Hence
no micro-batch, accumulation or rank changes the gradient.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Normaliser = Literal["transition", "sequence"]


def observation_weights(
    *,
    selected: Tensor,
    group: Tensor,
    episode: Tensor,
    lengths: Tensor,
    lambdas: Tensor,
    steps: int,
    normaliser: Normaliser,
) -> Tensor:
    """Weight of each observation token of each transition, float64 of shape (N,); 0 where not selected.

    `selected` (bool), `group`, `episode` and `lengths` (observation tokens |o|, at least 1) have shape (N,);
    `lambdas` has shape (groups,); `steps` is k, the optimizer steps of one pass over the update.

    - `transition`: w = k * lambda_g / (groups * selected_g * |o|), selected_g the selected transitions of g.
      PaW section "total".
    - `sequence`: w = k * lambda_g / (groups * episodes_g * O_e), O_e all observation tokens of the episode,
      selected or not, and episodes_g the episodes of g with a selected transition. Echo (arXiv 2605.24517).

    The mean over groups counts every group: one without a selected transition adds nothing (it drops its term).
    """
    groups = len(lambdas)
    if normaliser == "transition":
        parts = torch.bincount(group[selected], minlength=groups)[group] * lengths
    else:
        episodes = int(episode.max()) + 1 if len(episode) else 0
        tokens = torch.zeros(episodes, dtype=torch.long).index_add_(0, episode, lengths)
        in_group = torch.unique(torch.stack([group[selected], episode[selected]]), dim=1)[0]
        parts = torch.bincount(in_group, minlength=groups)[group] * tokens[episode]
    weights = steps * lambdas[group] / (groups * parts.clamp(min=1))
    return weights * selected
