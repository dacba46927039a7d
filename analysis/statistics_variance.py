"""Where the spread between runs comes from: the seed of the training, or the luck of the evaluation's episodes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Layout = Literal["crossed", "nested", ""]


@dataclass(frozen=True, slots=True)
class Variance:
    """Variance components of the mean success over seeds, as standard deviations; what cannot be computed is NaN."""

    total: float
    """Standard deviation over seeds of their mean success: what the t interval is made of."""
    seed: float
    """The part of it that more episodes would leave; 0 where the episodes explain all of it."""
    episode: float
    """The part of it that is luck of the episodes, at this number of them a seed."""
    share: float
    """Seed's share of the two variances."""
    layout: Layout
    """`crossed`: all seeds played the same games once each; `nested`: they did not."""


NONE = Variance(math.nan, math.nan, math.nan, math.nan, "")


def crossed(wins: np.ndarray) -> Variance:
    """Two-way layout without replication: `wins` is seeds x games, success (0 or 1) of each.

    With MS_seed and MS_rest of the analysis of variance (Scheffé 1959, section 4.2) the variance over seeds of their
    means is MS_seed / games, of which MS_rest / games is the episodes' (a game's difficulty is common to all seeds and
    in neither), and the difference, not below 0, the seeds'.
    """
    seeds, games = wins.shape
    if seeds < 2 or games < 2:
        return NONE
    grand, by_seed, by_game = wins.mean(), wins.mean(axis=1), wins.mean(axis=0)
    rest = wins - by_seed[:, None] - by_game[None, :] + grand
    return _split(
        float(((by_seed - grand) ** 2).sum() / (seeds - 1)),
        float((rest**2).sum() / ((seeds - 1) * (games - 1)) / games),
        "crossed",
    )


def nested(wins: list[np.ndarray]) -> Variance:
    """One-way layout: `wins` holds each seed's own episodes (0 or 1). A game's difficulty counts as episodes' luck."""
    if len(wins) < 2 or any(len(own) < 2 for own in wins):
        return NONE
    means = np.array([own.mean() for own in wins])
    noise = float(np.mean([own.var(ddof=1) / len(own) for own in wins]))
    return _split(float(means.var(ddof=1)), noise, "nested")


def _split(total: float, episode: float, layout: Layout) -> Variance:
    seed = max(0.0, total - episode)
    both = seed + episode
    return Variance(math.sqrt(total), math.sqrt(seed), math.sqrt(episode), seed / both if both else math.nan, layout)
