from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from analysis.power import SEED_NOISE, expected, model_sd, power_lines

TABLES = 4000


def simulated(rng: np.random.Generator, *, games: int, seeds: int, shift: float = 0.0) -> np.ndarray:
    """Success of `TABLES` cells x seeds, around 50 % + `shift`."""
    rate = np.clip(special.expit(rng.normal(0, SEED_NOISE, (TABLES, seeds))) + shift, 0, 1)
    return rng.binomial(games, rate) / games


@pytest.mark.parametrize(("seeds", "games"), [(3, 140), (5, 140), (10, 140), (5, 30)])
def test_the_expected_half_width_is_that_of_simulated_cells(seeds: int, games: int) -> None:
    cells = simulated(np.random.default_rng(0), games=games, seeds=seeds)
    widths = stats.t.ppf(0.975, seeds - 1) * cells.std(axis=1, ddof=1) / math.sqrt(seeds)
    assert expected(seeds=seeds, games=games, tests=1).half_width == pytest.approx(widths.mean(), rel=0.03)


@pytest.mark.parametrize(("seeds", "tests"), [(3, 1), (5, 1), (5, 8), (10, 8)])
def test_a_difference_of_that_size_is_found_in_80_percent_of_simulated_sweeps(seeds: int, tests: int) -> None:
    rng = np.random.default_rng(1)
    difference = expected(seeds=seeds, games=140, tests=tests).difference
    arm = simulated(rng, games=140, seeds=seeds, shift=difference / 2)
    reference = simulated(rng, games=140, seeds=seeds, shift=-difference / 2)
    p = stats.ttest_rel(arm, reference, axis=1).pvalue
    # Away from 50 % success varies less: the figure is on the safe side.
    assert 0.78 < np.mean(p < 0.05 / tests) < 0.90


def test_finished_runs_replace_the_model() -> None:
    found = expected(seeds=5, games=140, tests=1, finished=[[0.1, 0.3], [0.5, 0.5, 0.8], [0.9]])
    assert found.sd == pytest.approx(math.sqrt((0.02 + 0.06) / 3))
    assert found.runs == 5
    assert "from the spread over seeds of 5 finished runs" in "\n".join(power_lines(found))


@pytest.mark.parametrize("finished", [[], [[0.3]], [[0.3, 0.3]]])
def test_without_a_spread_to_measure_the_model_stands(finished: list[list[float]]) -> None:
    found = expected(seeds=5, games=140, tests=1, finished=finished)
    assert (found.sd, found.runs) == (model_sd(140), 0)


def test_words() -> None:
    five = power_lines(expected(seeds=5, games=140, tests=8))
    assert five[0] == "resolves: success to about ± 7.6 points (5 seeds x 140 games a cell)"
    assert five[1] == "          arms that differ by 27.6 points (power 80 %, 8 tests)"
    assert five[2] == "  assuming 50 % success and seeds that differ by 0.2 in log-odds"
    one = power_lines(expected(seeds=1, games=140, tests=8))
    assert one == ["resolves nothing: 1 seed x 140 games a cell; an interval needs two seeds"]
    two = "\n".join(power_lines(expected(seeds=2, games=140, tests=8)))
    assert "over 100 points: none" in two
    assert len(power_lines(expected(seeds=5, games=140, tests=0))) == 2
