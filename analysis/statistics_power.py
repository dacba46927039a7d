"""What a comparison could have shown: the smallest difference it resolves, and when pairing pays."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

from analysis.statistics import CONFIDENCE, SIGNIFICANCE, Difference, t_quantile

POWER = 0.8
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


def detectable(error: float, df: float, *, tests: int = 1, power: float = POWER) -> float:
    """The smallest true difference that a two-sided t test rejects with probability `power`; unit of `error`.

    `error`: standard error of the difference, as estimated with `df` degrees of freedom; `tests`: size of the family.
    The level is that of Holm's first step, 5 % / `tests`, which a difference passes alone (noncentral t).
    NaN where there is no test.
    """
    if not (error > 0 and df > 0):
        return math.nan
    critical = t_quantile(1 - SIGNIFICANCE / tests / 2, df)

    # P(|Z + shift| > critical * chi / sqrt(df)), by quadrature over the quantiles of chi: scipy's noncentral t gives
    # NaN in the far tail.
    bounds = critical * np.sqrt(2 * special.gammaincinv(df / 2, _NODES) / df)

    def missing(shift: float) -> float:
        return float(_WEIGHTS @ (special.ndtr(shift - bounds) + special.ndtr(-bounds - shift))) - power

    upper = 2.0 * critical
    while missing(upper) < 0:
        upper *= 2
    return error * _root(missing, upper)


def _root(function: Callable[[float], float], upper: float) -> float:
    """Where an increasing function that is negative at 0 crosses zero, to the last digit: by halving.

    Importing scipy.optimize for it takes longer than most commands that ask this take altogether.
    """
    lower = 0.0
    while lower < (middle := (lower + upper) / 2) < upper:
        lower, upper = (lower, middle) if function(middle) >= 0 else (middle, upper)
    return middle


def detectable_difference(result: Difference, *, tests: int, luck: float = math.nan) -> float:
    """`detectable` for a comparison that was made, with the spread that it found.

    `luck`: the standard error that the episodes alone give the difference, if known. Few seeds may find less by chance;
    the true spread is not below it, unless what a seed gains in some games it loses in others of the panel.
    """
    if result.gap:
        return math.nan
    found = result.half_width / t_quantile(0.5 + CONFIDENCE / 2, result.df)
    return detectable(float(np.fmax(found, luck)), result.df, tests=tests)


def break_even_correlation(n: int) -> float:
    """The correlation between two arms of `n` seeds from which on pairing gives the shorter interval.

    Paired: t(n - 1) sd sqrt(2 (1 - r) / n); Welch's at equal spread: t(2 n - 2) sd sqrt(2 / n). NaN below two seeds.
    """
    if n < 2:
        return math.nan
    quantile = 0.5 + CONFIDENCE / 2
    return 1.0 - (t_quantile(quantile, 2 * n - 2) / t_quantile(quantile, n - 1)) ** 2
