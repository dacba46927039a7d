"""Which intervals are printed at how many seeds: the rule, and the simulation that it rests on.

An interval that covers its target less often than `MINIMUM` at a nominal 95 % is not printed at that number of seeds.

The figures are the table of docs/statistics.md, which `python benchmarks/coverage.py` prints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.statistics import Interval, t_interval

MINIMUM = 0.93
"""Coverage below which an interval is not printed."""

EVENTS = 5
"""Wins, and losses, that a success rate needs over all its episodes before its t interval is printed. With fewer, the
seeds' means take two or three values, and their spread says little: without this rule 10 seeds of 13 games at 95 %
success cover 0.90, with it 0.99."""

IMPROVEMENT_SEEDS = 20
"""Seeds of each arm from which on the interval of the probability of improvement is printed. Below, it is never too
short but says little: at 10 seeds it covers 0.98, at 3 always, and in half of the tables there is none."""

IQM_SEEDS = 50
"""Seeds of each condition from which on the bootstrap interval of the interquartile mean is printed."""


def success_interval(rates: Sequence[float] | np.ndarray, games: Sequence[int] | np.ndarray) -> Interval:
    """Mean success over seeds with its t interval; the gap is `few events` where that would not cover.

    `rates`: success of each seed, a fraction; `games`: its episodes. Raises ValueError where a rate is not finite.
    """
    interval = t_interval(rates)
    wins = float(np.dot(rates, games))
    losses = float(np.sum(games)) - wins
    if interval.gap == "" and min(wins, losses) < EVENTS - 0.5:
        return replace(interval, half_width=math.nan, gap="few events")
    return interval
