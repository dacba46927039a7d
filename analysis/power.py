"""What a sweep can resolve, worked out before it runs: how wide its intervals will be, which differences it can find.

The model is that of `docs/statistics.md`: a seed's success is binomial over its games, and seeds differ by normal noise
in log-odds. It is taken at a success of 50 %, where intervals are widest, with a noise of 0.2, and with arms that are
not correlated over their seeds. As soon as runs have finished, their own spread over seeds takes the model's place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics import CONFIDENCE, t_quantile
from analysis.statistics_power import POWER, detectable

SUCCESS = 0.5
SEED_NOISE = 0.2
"""Standard deviation between seeds, in log-odds."""


@dataclass(frozen=True, slots=True)
class Power:
    """What one cell and one comparison of a sweep can show; fractions, NaN where there is no interval or test."""

    seeds: int
    games: int
    """Evaluation games of a run."""
    tests: int
    """Planned comparisons, over all axis points: the family that Holm's method adjusts for."""
    sd: float
    """Standard deviation over seeds of a run's success."""
    runs: int
    """Finished runs that `sd` was measured on; 0: it is the model's."""
    half_width: float
    """Mean half-width of the 95 % t interval of a cell's success."""
    difference: float
    """The smallest true difference between two arms that is found with probability 80 %."""


def expected(*, seeds: int, games: int, tests: int, finished: Iterable[Sequence[float]] = ()) -> Power:
    """What cells of `seeds` runs with `games` evaluation games each will show.

    `finished`: for each cell the success of its finished runs. Where two seeds of a cell are among them, the spread is
    the root of their pooled variance.
    """
    cells = [np.asarray(cell, dtype=np.float64) for cell in finished if len(cell) > 1]
    runs = sum(map(len, cells))
    pooled = sum(float(((cell - cell.mean()) ** 2).sum()) for cell in cells) / max(1, runs - len(cells))
    measured = pooled > 0
    sd = math.sqrt(pooled) if measured else model_sd(games)
    half_width = difference = math.nan
    if seeds > 1:
        half_width = t_quantile(0.5 + CONFIDENCE / 2, seeds - 1) * _mean_of_sample_sd(seeds) * sd / math.sqrt(seeds)
        difference = detectable(sd * math.sqrt(2 / seeds), seeds - 1, tests=max(1, tests))
    return Power(seeds, games, tests, sd, runs if measured else 0, half_width, difference)


def model_sd(games: int) -> float:
    """Standard deviation over seeds of the success in `games` games: the games' luck, and the noise between seeds."""
    variance = SUCCESS * (1 - SUCCESS)
    return math.sqrt(variance / games + (variance * SEED_NOISE) ** 2)


def power_lines(power: Power) -> list[str]:
    """In words: what is resolved, and what that stands on."""
    what = f"{power.seeds} seed{'s' * (power.seeds != 1)} x {power.games} games a cell"
    if math.isnan(power.half_width):
        return [f"resolves nothing: {what}; an interval needs two seeds"]
    lines = [f"resolves: success to about ± {100 * power.half_width:.1f} points ({what})"]
    if power.tests:
        chance = f"power {100 * POWER:.0f} %, {power.tests} test{'s' * (power.tests != 1)}"
        lines.append(f"          arms that differ by {_points(power.difference)} ({chance})")
    source = (
        f"from the spread over seeds of {power.runs} finished runs"
        if power.runs
        else f"assuming {100 * SUCCESS:.0f} % success and seeds that differ by {SEED_NOISE} in log-odds"
    )
    return [*lines, f"  {source}"]


def _points(difference: float) -> str:
    return f"{100 * difference:.1f} points" if difference < 1 else "over 100 points: none"


def _mean_of_sample_sd(n: int) -> float:
    """E[s] / sigma of `n` normal values (c4)."""
    return math.sqrt(2 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))
