"""Coverage of every interval that the report prints, at a nominal 95 %, by simulation.

python benchmarks/coverage.py [--tables 20000]

A table's seeds differ by normal noise in log-odds; a seed's success is binomial over its games. Coverage is over the
tables in which the interval is printed; the share that prints it stands in brackets where it is below 99 %.
`worst` is over success rates of 20 to 90 %: below 0.93 the interval is not printed at that number of seeds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special, stats

from analysis.inference import EVENTS, IMPROVEMENT_SEEDS, MINIMUM, success_interval
from analysis.statistics import difference, t_interval
from analysis.statistics_robust import improvement

RATES = (0.2, 0.5, 0.8, 0.9, 0.95, 0.98)
JUDGED = 4
"""The first so many of `RATES` are judged; the others are shown."""
SEEDS = (2, 3, 5, 10)
MANY = (3, 5, 10, 20, 50)
SPREADS = (0.0, 0.2, 0.4)
"""Standard deviation of the seeds' log-odds; 0.2 is 4 points at 70 %."""
TYPES = np.array([35, 13, 27, 16, 25, 24])
"""Games of the six types in ALFWorld's valid_seen."""
EASE = np.array([1.4, 0.3, 0.1, 0.0, 0.0, -1.6])
Covered = tuple[np.ndarray, np.ndarray]
"""Whether each table's interval is printed, and whether it holds the truth."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@dataclass(frozen=True)
class Case:
    """What is simulated: so many tables of `n` seeds with this mean success."""

    rng: np.random.Generator
    tables: int
    n: int
    rate: float
    spread: float
    """Standard deviation of the seeds' log-odds."""
    games: int

    def noise(self) -> np.ndarray:
        """Standard normal, tables x seeds."""
        return self.rng.standard_normal((self.tables, self.n))


def centre(rate: float, spread: float) -> float:
    """The log-odds around which seeds of this spread have this mean success."""
    return float(optimize.brentq(lambda at: WEIGHTS @ special.expit(at + spread * NODES) - rate, -15, 15))


def wins(case: Case, rate: float, noise: np.ndarray) -> np.ndarray:
    """Wins of each seed, of the same shape as `noise`, which is standard normal."""
    return case.rng.binomial(case.games, special.expit(centre(rate, case.spread) + case.spread * noise))


def by_t(values: np.ndarray, truth: float) -> Covered:
    """The t interval of each row."""
    n, sd = values.shape[1], values.std(axis=1, ddof=1)
    half_width = stats.t.ppf(0.975, n - 1) * sd / np.sqrt(n)
    return sd > 1e-12, np.abs(values.mean(axis=1) - truth) <= half_width


def success(case: Case) -> Covered:
    """The cell of a table: success over seeds, with the rule on wins and losses."""
    won = wins(case, case.rate, case.noise())
    printed, covered = by_t(won / case.games, case.rate)
    total = won.sum(axis=1)
    return printed & (np.minimum(total, case.n * case.games - total) >= EVENTS), covered


def band(case: Case) -> Covered:
    """The same without the rule: the band of a learning curve, of one update's episodes."""
    return by_t(wins(case, case.rate, case.noise()) / case.games, case.rate)


BELOW = 0.08
"""How far a reference's success lies below the arm's."""


def arms(case: Case, correlation: float) -> tuple[np.ndarray, np.ndarray]:
    """Success of an arm and of its reference, whose seeds' effects have this correlation."""
    common, own = np.sqrt(correlation) * case.noise(), np.sqrt(1 - correlation)
    arm = wins(case, case.rate, common + own * case.noise())
    return arm / case.games, wins(case, case.rate - BELOW, common + own * case.noise()) / case.games


def paired(case: Case) -> Covered:
    """Paired difference, and gain (after minus before); seeds' effects correlate by one half."""
    arm, reference = arms(case, 0.5)
    return by_t(arm - reference, BELOW)


def welch(case: Case) -> Covered:
    """Welch's interval of arms without common seeds."""
    arm, reference = arms(case, 0.0)
    total, df = _welch(arm.var(axis=1, ddof=1) / case.n, reference.var(axis=1, ddof=1) / case.n, case.n)
    error = np.abs(arm.mean(axis=1) - reference.mean(axis=1) - BELOW)
    return total > 1e-12, error <= stats.t.ppf(0.975, df) * np.sqrt(total)


def _welch(first: np.ndarray, second: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum of two squared standard errors, and its degrees of freedom."""
    total, squares = first + second, (first**2 + second**2) / (n - 1)
    return total, np.divide(total**2, squares, out=np.ones_like(total), where=squares > 0)


def score(case: Case) -> Covered:
    """A mean of graded scores in [0, 1] (WebShop): spread of an episode as of a Beta with concentration 2."""
    mean = special.expit(centre(case.rate, case.spread) + case.spread * case.noise())
    return by_t(mean + np.sqrt(mean * (1 - mean) / 3 / case.games) * case.noise(), case.rate)


def positive(case: Case) -> Covered:
    """A positive measurement (perplexity, memory): log-normal, seeds differ by 2, 10 and 20 % of its size."""
    size = max(case.spread / 2, 0.02)
    return by_t(np.exp(size * case.noise()), float(np.exp(size**2 / 2)))


def ratio(case: Case) -> Covered:
    """Overhead in percent: t on the logarithm of paired ratios."""
    return by_t(0.02 + (case.spread + 0.02) * case.noise(), 0.02)


def interquartile(case: Case) -> Covered:
    """Bootstrap of runs for the interquartile mean over seeds and six task types."""
    return _interquartile(case, np.zeros(1))


def interquartile_of_four(case: Case) -> Covered:
    """The same over four conditions of unequal difficulty, resampled within each."""
    return _interquartile(case, np.array([-0.6, -0.2, 0.2, 0.6]))


def _interquartile(case: Case, strata: np.ndarray) -> Covered:
    places = np.linspace(-8, 8, 800)
    mixed = (TYPES / TYPES.sum()) @ special.expit(EASE[:, None] + places)
    at = float(np.interp(case.rate, mixed, places)) + strata[:, None, None]

    def drawn(count: int) -> np.ndarray:
        noise = case.spread * case.rng.standard_normal((count, len(strata), case.n, 1))
        return np.asarray(case.rng.binomial(TYPES, special.expit(at + EASE + noise)) / TYPES, dtype=np.float32)

    def middle(scores: np.ndarray) -> np.ndarray:
        ordered = np.sort(scores.reshape(len(scores), -1), axis=1)
        cut = ordered.shape[1] // 4
        return np.asarray(ordered[:, cut : ordered.shape[1] - cut].mean(axis=1))

    truth = float(middle(drawn(200_000 // case.n).reshape(1, -1))[0])
    pick = case.rng.integers(0, case.n, (400, len(strata), case.n))
    inside = np.empty(case.tables, dtype=bool)
    for table, scores in enumerate(drawn(case.tables)):
        low, high = np.quantile(middle(scores[np.arange(len(strata))[:, None], pick]), (0.025, 0.975))
        inside[table] = low <= truth <= high
    return np.ones(case.tables, dtype=bool), inside


def beats(case: Case) -> Covered:
    """Brunner and Munzel's interval (logit scale): probability that a seed of the arm beats one of the reference."""
    many, rank = (values[0] for values in arms(replace(case, tables=1, n=20_000), 0.0))
    rank.sort()
    truth = float((np.searchsorted(rank, many, "left") + np.searchsorted(rank, many, "right")).mean() / 2 / len(rank))
    arm, reference = arms(case, 0.0)
    won = np.heaviside(arm[:, :, None] - reference[:, None, :], 0.5)
    value = won.mean(axis=(1, 2))
    total, df = _welch(*(won.mean(axis=axis).var(axis=1, ddof=1) / case.n for axis in (2, 1)), case.n)
    printed = (value > 0) & (value < 1) & (total > 0)
    inner = np.where(printed, value, 0.5)
    half_width = stats.t.ppf(0.975, df) * np.sqrt(total) / (inner * (1 - inner))
    return printed, np.abs(special.logit(inner) - special.logit(truth)) <= half_width


Simulation = Callable[[Case], Covered]
INTERVALS: tuple[tuple[str, Simulation, int, tuple[int, ...], int], ...] = (
    ("success, 140 games", success, 140, SEEDS, 1),
    ("success, 13 games", success, 13, SEEDS, 1),
    ("band, 64 episodes", band, 64, SEEDS[1:], 1),
    ("paired difference, gain", paired, 140, SEEDS, 1),
    ("Welch's difference", welch, 140, SEEDS, 1),
    ("score", score, 140, SEEDS, 1),
    ("positive measurement", positive, 140, SEEDS, 1),
    ("overhead", ratio, 140, SEEDS, 1),
    ("improvement", beats, 140, MANY, 10),
    ("IQM, bootstrap", interquartile, 140, MANY, 10),
    ("IQM of 4 conditions, bootstrap", interquartile_of_four, 140, MANY[:-1], 10),
)
"""Name, simulation, games a seed, numbers of seeds, and how many times fewer tables are simulated."""


def rows(tables: int, names: tuple[str, ...] = ()) -> Iterator[tuple[str, int, float, list[list[tuple[float, float]]]]]:
    """(interval, seeds, worst coverage, [spread][rate] -> (coverage, share printed)) of all, or of `names`."""
    for name, simulate, games, counts, fewer in INTERVALS:
        if names and name not in names:
            continue
        for n in counts:
            found = []
            for spread in SPREADS if fewer == 1 else SPREADS[1:2]:
                for number, rate in enumerate(RATES):
                    rng = np.random.default_rng([n, number, round(10 * spread)])
                    printed, covered = simulate(Case(rng, tables // fewer, n, rate, spread, games))
                    share = float(printed.mean())
                    found.append((float(covered[printed].mean()) if share else np.nan, share))
            by_spread = [found[start : start + len(RATES)] for start in range(0, len(found), len(RATES))]
            yield name, n, min(part[0] for own in by_spread for part in own[:JUDGED]), by_spread


def check() -> None:
    """The simulated formulas are those of the package: compared on a few tables."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        arm, reference = rng.binomial(140, 0.7, 20), rng.binomial(140, 0.6, 20)
        cell = success_interval(arm / 140, np.full(20, 140))
        assert by_t(arm[None] / 140, cell.mean + 0.999 * cell.half_width)[1][0]
        assert not by_t(arm[None] / 140, cell.mean + 1.001 * cell.half_width)[1][0]
        pair = difference(dict(enumerate(arm / 140)), dict(enumerate(reference / 140)))
        assert np.isclose(t_interval((arm - reference) / 140).half_width, pair.half_width)
        found = improvement(arm, reference)
        assert found.n >= IMPROVEMENT_SEEDS
        assert found.low < found.value < found.high


def main() -> None:
    """Print a Markdown table: one line an interval and number of seeds, one column a success rate (worst spread)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--tables", type=int, default=20_000)
    arguments = parser.parse_args()
    check()
    start = time.process_time()
    print("| interval | seeds |", *(f"{rate:.0%} |" for rate in RATES), "worst | printed |")
    print("| :-- |" + " --: |" * (len(RATES) + 2) + " :-- |")
    for name, n, worst, by_spread in rows(arguments.tables):
        cells = [min(own[number] for own in by_spread) for number in range(len(RATES))]
        words = [f"{value:.3f}" + (f" ({share:.0%})" if share < 0.99 else "") for value, share in cells]
        print(f"| {name} | {n} |", " | ".join(words), f"| {worst:.3f} | {'yes' if worst >= MINIMUM else 'no'} |")
    print(f"\n{time.process_time() - start:.0f} CPU s")


if __name__ == "__main__":
    main()
