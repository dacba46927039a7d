"""RLOO's advantage (arXiv 2402.14740, equation 8): a return against the mean of the others in its group."""

from __future__ import annotations

import torch
from torch import Tensor

from paw_bench.training.advantages.grpo import EPSILON


def leave_one_out(returns: Tensor, groups: Tensor, episodes: Tensor, *, standardise: bool) -> Tensor:
    """Returns (N,) of rows less the mean over the rows of the group's other episodes; shape (N,).

    `groups` and `episodes` (N,) name the group and the episode of each row. A row is not compared with rows of its own
    episode, so the baseline does not depend on the action it judges. `standardise`: less the mean of all advantages,
    divided by their standard deviation (n - 1) + 1e-4, as TRL's `normalize_advantages`.
    """
    exact = returns.double()  # As in `group_relative`.
    advantages = torch.empty_like(exact)
    for row in range(len(exact)):
        others = (groups == groups[row]) & (episodes != episodes[row])
        advantages[row] = exact[row] - exact[others].mean()
    if standardise:
        advantages = (advantages - advantages.mean()) / (advantages.std() + EPSILON)
    return advantages.to(returns.dtype)
