"""Interquartile mean and probability of improvement (Agarwal et al. 2021, arXiv 2108.13264), for many seeds.

`analysis.inference` says from how many seeds on their intervals are printed. The bootstrap resamples whole runs within
each stratum (a condition of the sweep), never the task types of a run by themselves: one run plays all its types, and
drawing them apart would take its seed's effect for noise that averages out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.inference import IMPROVEMENT_SEEDS, IQM_SEEDS
from analysis.statistics import CONFIDENCE, t_quantile

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Range:
    """An estimate with an interval that need not be symmetric; NaN where it is not printed."""

    value: float
    low: float
    high: float
    n: int
    """Seeds: the smallest number of a stratum, or of the two arms."""


def iqm(strata: Sequence[np.ndarray]) -> Range:
    """Mean of the middle half of all scores. `strata`: seeds x task types each; unit of the scores.

    The interval is the percentile bootstrap's, with a fixed seed, so that the same scores give the same digits.
    """
    n = min((len(scores) for scores in strata), default=0)
    if n == 0:
        return Range(math.nan, math.nan, math.nan, 0)
    value = float(_middle(np.concatenate([scores.ravel() for scores in strata])))
    if n < IQM_SEEDS:
        return Range(value, math.nan, math.nan, n)
    low, high = np.quantile(resampled_iqm(strata, np.random.default_rng(0)), _TAILS)
    return Range(value, float(low), float(high), n)


_TAILS = (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2)


def resampled_iqm(strata: Sequence[np.ndarray], rng: np.random.Generator, resamples: int = RESAMPLES) -> np.ndarray:
    """The interquartile means of `resamples` bootstrap samples of runs, drawn within each stratum."""
    drawn = [scores[rng.integers(0, len(scores), (resamples, len(scores)))].reshape(resamples, -1) for scores in strata]
    return _middle(np.concatenate(drawn, axis=1))


def _middle(scores: np.ndarray) -> np.ndarray:
    """Mean of the middle half of the scores along the last axis."""
    n = scores.shape[-1]
    cut = n // 4
    return np.asarray(np.partition(scores, (cut, n - cut - 1))[..., cut : n - cut].mean(axis=-1))


def improvement(arm: np.ndarray, reference: np.ndarray) -> Range:
    """Probability that a new seed of `arm` beats a new seed of `reference`, ties counting one half: U / (n m).

    The interval is the t interval of Brunner and Munzel (2000) on the logit scale, where it cannot leave (0, 1).
    """
    n = min(len(arm), len(reference))
    if n == 0:
        return Range(math.nan, math.nan, math.nan, 0)
    wins = np.heaviside(arm[:, None] - reference[None, :], 0.5)
    value = float(wins.mean())
    if n < IMPROVEMENT_SEEDS or value in (0.0, 1.0):
        return Range(value, math.nan, math.nan, n)
    parts = np.array([wins.mean(axis=1).var(ddof=1) / len(arm), wins.mean(axis=0).var(ddof=1) / len(reference)])
    df = parts.sum() ** 2 / (parts**2 / (np.array([len(arm), len(reference)]) - 1)).sum()
    half_width = t_quantile(_TAILS[1], df) * math.sqrt(parts.sum()) / (value * (1 - value))
    low, high = special.expit(special.logit(value) + np.array([-half_width, half_width]))
    return Range(value, float(low), float(high), n)
