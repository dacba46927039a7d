"""PPO's advantage (GAE, arXiv 1506.02438) over action tokens, and its clipped value loss (arXiv 1707.06347)."""

from __future__ import annotations

import torch
from torch import Tensor

from paw_bench.training.advantages.grpo import EPSILON


def gae(rewards: Tensor, values: Tensor, *, discount: float, trace: float) -> Tensor:
    """Advantages (A,) of an episode's action tokens, in the order they were sampled.

    A_t = sum over l >= 0 of (discount * trace)^l * delta_{t+l} with delta_t = r_t + discount * V_{t+1} - V_t (equation
    16) and V = 0 after the last token. `rewards` and `values` have shape (A,). Tokens that are no actions are no steps:
    the state after an action's last token is the one before the next action's first. The value targets are A + V.
    """
    advantages = torch.zeros_like(values)
    following = later = torch.zeros(())
    for step in reversed(range(len(values))):
        delta = rewards[step] + discount * following - values[step]
        later = delta + discount * trace * later
        advantages[step], following = later, values[step]
    return advantages


def whitened(advantages: Tensor) -> Tensor:
    """Advantages (A,) with mean 0 and standard deviation (n - 1) 1."""
    return (advantages - advantages.mean()) / (advantages.std() + EPSILON)


def value_loss(values: Tensor, old: Tensor, targets: Tensor, *, clip: float) -> Tensor:
    """max((V - R)^2, (V_clipped - R)^2) / 2 of each token, with V_clipped at most `clip` from the `old` value.

    All of one shape.
    """
    clipped = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.max((values - targets) ** 2, (clipped - targets) ** 2)


def explained_variance(values: Tensor, targets: Tensor) -> float:
    """1 - Var(R - V) / Var(R): 1 where the critic knows the targets, 0 where it knows their mean. All (A,)."""
    spread = targets.var()
    return float(1.0 - (targets - values).var() / spread) if spread > 0 else 0.0
