"""Intervals and tests whose replicates are seeds: what holds with three to ten of them.

t intervals, not bootstraps: a percentile bootstrap of three seeds covers about 74 % at a nominal 95 %. Nothing here
picks a method by its outcome: which test is used follows from which seeds there are. Values that do not vary over
the seeds have no interval and no p value, because a sample variance of zero says that the measurement is too coarse,
not that the seed does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy import special

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05

Gap = Literal["", "no seed", "one seed", "no variance", "few events"]
"""Why an interval is missing; empty where there is one. `few events`: see `analysis.inference`."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean over seeds with a t interval, in the unit of the values; what cannot be computed is NaN."""

    mean: float
    half_width: float
    sd: float
    """Standard deviation over seeds (n - 1)."""
    n: int
    gap: Gap
    """Why there is no interval; empty where there is one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Arm minus reference, with seeds as replicates. What cannot be computed is NaN."""

    mean: float
    """Mean of the differences of shared seeds; of the two means where the test is Welch's, or no seed is shared."""
    half_width: float
    """Half-width of the (not Holm-adjusted) t interval of `mean`."""
    p: float
    """Two-sided p value of `method`, not adjusted."""
    df: float
    method: Literal["paired t", "Welch t", ""]
    n: int
    """Seeds that both arms have (the pairs)."""
    correlation: float
    """Pearson correlation between the arms over the shared seeds: pairing gains where it is positive."""
    welch_half_width: float
    """Welch's interval over all seeds of both arms, for comparison."""
    welch_p: float
    gap: Gap


@cache
def t_quantile(share: float, df: float) -> float:
    """The value below which Student's t with `df` degrees of freedom lies with probability `share`.

    scipy.special's functions are those that scipy.stats wraps: the import takes a tenth of the time.
    """
    return float(special.stdtrit(df, share))


def _two_sided(statistic: float, df: float) -> float:
    """p value of a t statistic."""
    return float(2 * special.stdtr(df, -abs(statistic)))


def _spread(values: np.ndarray) -> float:
    """Sample standard deviation; differences that are only floating-point rounding count as none."""
    if len(values) < 2:
        return math.nan
    sd = float(np.std(values, ddof=1))
    return 0.0 if sd <= 1e-12 * max(1.0, float(np.max(np.abs(values)))) else sd


def _gap(values: np.ndarray, sd: float) -> Gap:
    if len(values) == 0:
        return "no seed"
    if len(values) == 1:
        return "one seed"
    return "no variance" if sd == 0.0 else ""


def _finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError("values must be finite: leave out the seeds that have none, so that n tells the truth")
    return array


def t_interval(values: Sequence[float] | np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """Mean and t interval over seeds: mean +- t(n - 1) * sd / sqrt(n).

    One seed, or seeds that all gave the same value, have a mean but no interval.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    array = _finite(values)
    n = len(array)
    mean = float(np.mean(array)) if n else math.nan
    sd = _spread(array)
    gap = _gap(array, sd)
    half_width = math.nan if gap else t_quantile(0.5 + confidence / 2, n - 1) * sd / math.sqrt(n)
    return Interval(mean=mean, half_width=half_width, sd=sd, n=n, gap=gap)


def t_intervals(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """Means and half-widths of many t intervals at once: `values` has a row for each, whose columns are the seeds.

    As `t_interval` of every row; a half-width is NaN where there is no interval. All values must be finite.
    """
    n = values.shape[1]
    means = values.mean(axis=1)
    if n < 2:
        return means, np.full(len(values), math.nan)
    sd = values.std(axis=1, ddof=1)
    varies = sd > 1e-12 * np.maximum(1.0, np.abs(values).max(axis=1))
    factor = t_quantile(0.5 + confidence / 2, n - 1) / math.sqrt(n)
    return means, np.where(varies, factor * sd, math.nan)


def _welch(arm: np.ndarray, reference: np.ndarray, confidence: float) -> tuple[float, float, float, Gap]:
    """Welch's half-width, p value, degrees of freedom (Welch 1947), and why there is none."""
    missing = math.nan, math.nan, math.nan
    if len(arm) == 0 or len(reference) == 0:
        return *missing, "no seed"
    if len(arm) == 1 or len(reference) == 1:
        return *missing, "one seed"
    if _spread(arm) == 0.0 and _spread(reference) == 0.0:
        return *missing, "no variance"
    parts = np.array([_spread(arm) ** 2 / len(arm), _spread(reference) ** 2 / len(reference)])
    error = math.sqrt(float(parts.sum()))
    df = float(parts.sum() ** 2 / (parts**2 / (np.array([len(arm), len(reference)]) - 1)).sum())
    statistic = (float(np.mean(arm)) - float(np.mean(reference))) / error
    half_width = t_quantile(0.5 + confidence / 2, df) * error
    return half_width, _two_sided(statistic, df), df, ""


def _unpaired_mean(arm: np.ndarray, reference: np.ndarray) -> float:
    return float(np.mean(arm) - np.mean(reference)) if len(arm) and len(reference) else math.nan


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    if len(left) < 2 or _spread(left) == 0.0 or _spread(right) == 0.0:
        return math.nan
    return float(np.corrcoef(left, right)[0, 1])


def difference(arm: Mapping[int, float], reference: Mapping[int, float], confidence: float = CONFIDENCE) -> Difference:
    """Difference between two arms, each given as seed -> value.

    Paired t over the seeds that both arms have when there are at least two of them: arms of a sweep share tasks,
    environment seeds and initial weights by construction. Welch's t otherwise. Welch's interval and p value over all
    seeds are always there for comparison: with three pairs a paired t has 2 degrees of freedom and can lose to it.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    arm_all, reference_all = _finite(list(arm.values())), _finite(list(reference.values()))
    shared = sorted(set(arm) & set(reference))
    left, right = _finite([arm[seed] for seed in shared]), _finite([reference[seed] for seed in shared])
    welch_half_width, welch_p, welch_df, welch_gap = _welch(arm_all, reference_all, confidence)
    if len(shared) >= 2:
        paired = t_interval(left - right, confidence)
        mean, half_width, gap = paired.mean, paired.half_width, paired.gap
        df = math.nan if gap else float(paired.n - 1)
        p = math.nan if gap else _two_sided(mean * math.sqrt(paired.n) / paired.sd, df)
    else:
        mean = _unpaired_mean(arm_all, reference_all)
        if welch_gap and shared:
            mean = float(np.mean(left - right))
        half_width, p, df, gap = welch_half_width, welch_p, welch_df, welch_gap
    return Difference(
        mean=mean,
        half_width=half_width,
        p=p,
        df=df,
        method="" if gap else "paired t" if len(shared) >= 2 else "Welch t",
        n=len(shared),
        correlation=_correlation(left, right),
        welch_half_width=welch_half_width,
        welch_p=welch_p,
        gap=gap,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979): controls the chance of any false rejection within a table.

    A NaN is a comparison that cannot be tested yet: it stays NaN and still counts in the size of the family, so that a
    verdict cannot be lost merely because the missing runs arrive.
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    floor = 0.0
    for rank, (p, i) in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p))
        adjusted[i] = floor
    return adjusted


def resolved(adjusted_p: float) -> bool:
    """Whether a Holm-adjusted test rejects at the 5 % level; an undefined p value does not."""
    return adjusted_p < SIGNIFICANCE
