"""The advantage of each row, for algorithms that compare returns."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from paw_bench.config.algorithm import AlgorithmConfig
from paw_bench.rollout.episode import Episode
from paw_bench.rollout.rows import Row
from paw_bench.training.advantages.grpo import group_relative
from paw_bench.training.advantages.rloo import leave_one_out


def row_advantages(rows: Sequence[Row], episodes: Sequence[Episode], algorithm: AlgorithmConfig) -> Tensor:
    """RLOO's or GRPO's (GiGPO's episode-level) advantage of each windowed row, float32 (N,).

    With `penalty_credit: episode` returns are the episodes', penalties included, as TRL computes it from rewards; with
    `turn` they are the rows': the episode's reward less the penalty of that row's own action. `episodes` are sorted by
    (group, index).
    """
    if algorithm.penalty_credit == "episode":
        returns = torch.tensor([episode.env_return - episode.penalty for episode in episodes])
        groups = torch.tensor([episode.group for episode in episodes])
        return _advantages(returns, groups, torch.arange(len(episodes)), algorithm)[[row.episode for row in rows]]
    rewards = [episode.env_return for episode in episodes]
    returns = torch.tensor([rewards[row.episode] - episodes[row.episode].turns[row.turn].penalty for row in rows])
    groups = torch.tensor([row.group for row in rows])
    return _advantages(returns, groups, torch.tensor([row.episode for row in rows]), algorithm)


def _advantages(returns: Tensor, groups: Tensor, episodes: Tensor, algorithm: AlgorithmConfig) -> Tensor:
    """Advantages (N,) of returns (N,) by their groups and episodes (N,)."""
    if algorithm.name == "rloo":
        return leave_one_out(returns, groups, episodes, standardise=algorithm.scale_advantages == "batch")
    return group_relative(returns, groups, scale=algorithm.scale_advantages)
