"""GRPO's advantage (arXiv 2402.03300, section 4.1): a return against those of its group."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

EPSILON = 1e-4
"""Added to every standard deviation, as TRL does."""


def group_relative(returns: Tensor, groups: Tensor, *, scale: Literal["group", "batch", "none"]) -> Tensor:
    """Returns (N,) less the mean of their group, over the standard deviation (n - 1) of its returns, or of all.

    `groups` (N,) names the group of each. A group of one has no spread and gets 0.
    """
    # The mean of equal float32 returns may round away from them, which the division would blow up to an advantage.
    exact = returns.double()
    advantages = exact.clone()
    for group in groups.unique():
        members = groups == group
        advantages[members] -= exact[members].mean()
        if scale == "group" and members.sum() > 1:
            advantages[members] /= exact[members].std() + EPSILON
    return (advantages / (exact.std() + EPSILON) if scale == "batch" else advantages).to(returns.dtype)
