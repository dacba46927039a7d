"""Power at the detectable difference that the report prints, with and without the luck of the episodes as its floor.

python benchmarks/detectable.py [--sweeps 300]

In every simulated sweep two arms play the same 140 games, whose difficulty differs by 1.5 in log-odds, with seeds that
differ by normal noise in log-odds. The power is that of the paired t test at the true spread of the seeds' differences,
for a true difference of the size that this sweep would print. What is aimed at is 0.80.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy import special, stats

from analysis.statistics import SIGNIFICANCE
from analysis.statistics_power import detectable
from analysis.statistics_variance import crossed

GAMES = 140
DIFFICULTY = 1.5
SPREADS = (0.0, 0.2, 0.5)
SEEDS = (3, 5)
SWEEPS_FOR_TRUTH = 8_000


def differences(rng: np.random.Generator, seeds: int, spread: float) -> np.ndarray:
    """Success of the arm minus that of the reference, seeds x games: -1, 0 or 1."""
    games = rng.normal(0.0, DIFFICULTY, GAMES)
    chances = special.expit(games + rng.normal(0.0, spread, (2, seeds, 1)))
    arm, reference = (rng.random((2, seeds, GAMES)) < chances).astype(float)
    return arm - reference


def power(shift: float, df: int) -> float:
    """Of a two-sided t test, at a true difference of `shift` true standard errors."""
    critical = stats.t.ppf(1 - SIGNIFICANCE / 2, df)
    beyond = stats.nct(df, shift)
    found = float(beyond.sf(critical) + beyond.cdf(-critical))
    return 1.0 if math.isnan(found) else found  # scipy's answer in the far tail


def powers(seeds: int, spread: float, sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Power at what each sweep prints: by the spread that it found, and not below the luck of its episodes."""
    rng = np.random.default_rng([seeds, round(10 * spread)])
    means = [differences(rng, seeds, spread).mean(axis=1) for _ in range(SWEEPS_FOR_TRUTH)]
    truth = math.sqrt(np.mean([own.var(ddof=1) for own in means]) / seeds)
    factor = detectable(1.0, seeds - 1)
    by_spread, by_both = [], []
    for _ in range(sweeps):
        sample = differences(rng, seeds, spread)
        found, luck = stats.sem(sample.mean(axis=1)), crossed(sample).episode / math.sqrt(seeds)
        by_spread.append(power(factor * found / truth, seeds - 1))
        by_both.append(power(factor * max(found, luck) / truth, seeds - 1))
    return np.array(by_spread), np.array(by_both)


def main() -> None:
    """Print a Markdown table: mean power, and in brackets the share of sweeps in which it is below 0.5."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--sweeps", type=int, default=300)
    arguments = parser.parse_args()
    print("| seeds | spread of the seeds, log-odds | by the spread found | not below the luck of the episodes |")
    print("| --: | --: | --: | --: |")
    for seeds in SEEDS:
        for spread in SPREADS:
            both = powers(seeds, spread, arguments.sweeps)
            words = (f"{np.mean(own):.2f} ({np.mean(own < 0.5):.0%})" for own in both)
            print(f"| {seeds} | {spread} |", " | ".join(words), "|")


if __name__ == "__main__":
    main()
