"""GiGPO's step-level advantage (arXiv 2505.10978, section 4.2): actions from one state against each other.

Its episode-level advantage is GRPO's; the sum A_E + omega * A_S is taken where both meet, in the trainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import torch
from torch import Tensor

from paw_bench.config.algorithm import AlgorithmConfig
from paw_bench.rollout.episode import Episode
from paw_bench.training.advantages.grpo import group_relative


def discounted_returns(rewards: Sequence[float], discount: float) -> list[float]:
    """R_t = sum over k >= t of discount^(k - t) * r_k (equation 7), one a turn."""
    returns: list[float] = []
    later = 0.0
    for reward in reversed(rewards):
        later = reward + discount * later
        returns.append(later)
    return returns[::-1]


def anchor_groups(states: Sequence[str], groups: Sequence[int], similarity: float) -> list[int]:
    """The number of each turn's anchor state (equation 6): equal states of one group share one.

    With `similarity` < 1 a state joins the first anchor of its group whose text is at least that similar (the ratio of
    `difflib.SequenceMatcher`), in the order of the turns.
    """
    anchors: list[tuple[int, str]] = []
    numbers: dict[tuple[int, str], int] = {}
    for key in zip(groups, states, strict=True):
        if key not in numbers:
            near = _similar(key, anchors, similarity) if similarity < 1.0 else None
            if near is None:
                near = len(anchors)
                anchors.append(key)
            numbers[key] = near
    return [numbers[key] for key in zip(groups, states, strict=True)]


def step_advantages(episodes: Sequence[Episode], algorithm: AlgorithmConfig) -> list[Tensor]:
    """A_S of each turn of each episode (equation 8): its discounted return against those of its anchor state.

    Divided by their standard deviation unless `scale_advantages` is `none`; a state that was met once has none and
    gets 0. A turn's state is what the environment said before it; all episodes of a group open alike. A penalty counts
    in the rewards that are discounted, or (`penalty_credit: turn`) in its own turn's return alone, as in verl-agent.
    """
    returns: list[float] = []
    states: list[str] = []
    groups: list[int] = []
    own_turn = algorithm.penalty_credit == "turn"
    for episode in episodes:
        penalties = [turn.penalty for turn in episode.turns]
        rewards = [turn.reward for turn in episode.turns]
        if own_turn:
            discounted = discounted_returns(rewards, algorithm.gigpo.discount)
            returns += [value - penalty for value, penalty in zip(discounted, penalties, strict=True)]
        else:
            paid = [reward - penalty for reward, penalty in zip(rewards, penalties, strict=True)]
            returns += discounted_returns(paid, algorithm.gigpo.discount)
        states += ["", *(turn.observation_text for turn in episode.turns[:-1])]
        groups += [episode.group] * len(episode.turns)
    anchors = torch.tensor(anchor_groups(states, groups, algorithm.gigpo.similarity))
    advantages = group_relative(torch.tensor(returns), anchors, scale=algorithm.scale_advantages)
    return list(advantages.split([len(episode.turns) for episode in episodes]))


def _similar(key: tuple[int, str], anchors: Sequence[tuple[int, str]], similarity: float) -> int | None:
    group, state = key
    for number, (other, anchor) in enumerate(anchors):
        if other == group and SequenceMatcher(None, anchor, state).ratio() >= similarity:
            return number
    return None
