"""The weight lambda_g of the world-model loss of each group (PaW section "reward-adaptive balance")."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor


def reward_adaptive(returns: Tensor, group: Tensor, *, groups: int, max_return: float) -> Tensor:
    """lambda_g = 1 - mean over the group's episodes of R(tau) / R_max, clamped to [0, 1]; shape (groups,).

    PaW section "reward-adaptive balance"; the clamp is for returns below 0 (penalties) or above R_max.
    `returns` (E,) are the episodes' returns, `group` (E,) their groups. A group that always wins gets 0.
    """
    total = torch.zeros(groups, dtype=torch.float64).index_add_(0, group, returns.double())
    episodes = torch.bincount(group, minlength=groups).clamp(min=1)
    return (1.0 - total / episodes / max_return).clamp(0.0, 1.0)


def constant(value: float, *, groups: int) -> Tensor:
    """The same lambda for every group (Echo, arXiv 2605.24517: 0.05); shape (groups,)."""
    return torch.full((groups,), value, dtype=torch.float64)


def scheduled(kind: Literal["linear", "cosine"], *, first: float, last: float, update: int, updates: int) -> float:
    """lambda of an update (1-based) on the way from `first` in update 1 to `last` in update `updates`.

    With s = (update - 1) / (updates - 1): `linear` (1 - s) first + s last; `cosine` the same with (1 - cos(pi s)) / 2
    in place of s. A run of one update has `first`. These are comparisons of ours, not the paper's.
    """
    share = (update - 1) / max(updates - 1, 1)
    if kind == "cosine":
        share = (1.0 - math.cos(math.pi * share)) / 2.0
    return (1.0 - share) * first + share * last
