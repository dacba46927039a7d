"""Variance components, detectable differences, robust estimates and the rule on intervals, against other formulas."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from analysis.grouping import Part
from analysis.inference import EVENTS, IMPROVEMENT_SEEDS, IQM_SEEDS, MINIMUM, success_interval
from analysis.luck import components_of, error_of_difference
from analysis.statistics import difference, t_interval
from analysis.statistics_power import break_even_correlation, detectable, detectable_difference
from analysis.statistics_robust import improvement, iqm, resampled_iqm
from analysis.statistics_variance import crossed, nested
from benchmarks import coverage

# Variance components


def test_crossed_against_a_table_worked_by_hand() -> None:
    # Seeds' means 1/2 and 1; games' means 1, 1/2; grand 3/4. Residuals all +-1/4: sum of squares 4/16, 1 degree of
    # freedom, so MS_rest = 1/4 and the episodes' variance of a mean of two games 1/8. Variance of the means: 1/8.
    found = crossed(np.array([[1.0, 0.0], [1.0, 1.0]]))
    assert found.total == pytest.approx(math.sqrt(1 / 8))
    assert found.episode == pytest.approx(math.sqrt(1 / 8))
    assert found.seed == pytest.approx(0.0)
    assert found.layout == "crossed"


def test_crossed_agrees_with_least_squares_on_dummies() -> None:
    rng = np.random.default_rng(3)
    wins = (rng.random((4, 30)) < np.linspace(0.2, 0.9, 30)).astype(float)
    seeds, games = wins.shape
    by_seed = np.repeat(np.eye(seeds), games, axis=0)
    by_game = np.tile(np.eye(games), (seeds, 1))
    design, flat = np.hstack([by_seed, by_game]), wins.ravel()
    rest = flat - design @ np.linalg.lstsq(design, flat, rcond=None)[0]
    within = rest @ rest / ((seeds - 1) * (games - 1)) / games
    total = wins.mean(axis=1).var(ddof=1)
    found = crossed(wins)
    assert found.episode == pytest.approx(math.sqrt(within))
    assert found.seed == pytest.approx(math.sqrt(max(0.0, total - within)))
    assert found.share == pytest.approx(max(0.0, total - within) / (max(0.0, total - within) + within))


def test_the_components_are_those_the_episodes_were_drawn_with() -> None:
    """2,000 sweeps of 5 seeds and 60 games of unequal difficulty: the mean variances are the true ones."""
    rng = np.random.default_rng(4)
    ease = np.linspace(-0.35, 0.35, 60)
    seed, episode, apart = [], [], []
    for effect in rng.normal(0, 0.05, (2000, 5)):
        chance = np.clip(0.5 + ease[None, :] + effect[:, None], 0, 1)
        wins = (rng.random(chance.shape) < chance).astype(float)
        found = crossed(wins)
        seed.append(found.total**2 - found.episode**2)
        episode.append(found.episode**2)
        apart.append(nested(list(wins)).episode ** 2)
    assert np.mean(seed) == pytest.approx(0.05**2, rel=0.12)
    assert np.mean(episode) == pytest.approx(np.mean((0.5 + ease) * (0.5 - ease)) / 60, rel=0.05)
    assert np.mean(apart) > 1.15 * np.mean(episode)  # it takes the games' difficulty for luck


def test_components_that_cannot_be_told_apart_are_missing() -> None:
    assert math.isnan(crossed(np.ones((1, 9))).seed)
    assert nested([np.ones(3)]).layout == ""
    assert nested([np.array([1.0, 0.0]), np.array([1.0])]).layout == ""
    same = crossed(np.ones((3, 5)))
    assert (same.total, same.seed, same.episode) == (0.0, 0.0, 0.0)
    assert math.isnan(same.share)


# Detectable differences


def test_detectable_against_an_integral_over_the_variance() -> None:
    """Power of |Z + shift| > critical * sqrt(chi2 / df), integrated by hand."""
    df, tests, error = 4.0, 3, 0.02
    critical = stats.t.ppf(1 - 0.05 / tests / 2, df)
    shift = detectable(error, df, tests=tests) / error

    def rejected(v: float) -> float:
        bound = critical * math.sqrt(v / df)
        return float((stats.norm.sf(bound - shift) + stats.norm.cdf(-bound - shift)) * stats.chi2.pdf(v, df))

    assert integrate.quad(rejected, 0, 200)[0] == pytest.approx(0.8, abs=1e-6)
    assert stats.nct.sf(critical, df, shift) == pytest.approx(0.8, abs=1e-6)  # the other tail is empty


def test_detectable_of_many_seeds_is_the_textbook_formula_and_grows_with_the_family() -> None:
    textbook = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert detectable(1.0, 1e6) == pytest.approx(textbook, rel=1e-4)
    assert detectable(1.0, 2.0, tests=8) > detectable(1.0, 2.0) > detectable(1.0, 4.0) > textbook
    assert math.isnan(detectable(math.nan, 2.0))


def test_a_difference_of_the_detectable_size_is_found_in_four_sweeps_of_five() -> None:
    rng = np.random.default_rng(5)
    size = detectable(1 / math.sqrt(5), 4.0)
    draws = rng.normal(size, 1.0, (20_000, 5))
    assert np.mean(stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.01)


def test_the_detectable_difference_of_a_comparison_takes_its_own_standard_error() -> None:
    arm, reference = [0.5, 0.6, 0.52, 0.7], [0.4, 0.55, 0.5, 0.6]
    result = difference(dict(enumerate(arm)), dict(enumerate(reference)))
    error = stats.sem(np.array(arm) - np.array(reference))
    assert detectable_difference(result, tests=2) == pytest.approx(detectable(error, 3.0, tests=2))
    assert math.isnan(detectable_difference(difference({0: 0.1}, {0: 0.2}), tests=1))


def test_luck_of_the_episodes_is_a_floor_of_the_detectable_difference() -> None:
    result = difference({0: 0.5, 1: 0.52, 2: 0.51}, {0: 0.4, 1: 0.415, 2: 0.42})
    found = detectable_difference(result, tests=2)
    assert detectable_difference(result, tests=2, luck=0.05) == detectable(0.05, 2.0, tests=2) > found
    assert detectable_difference(result, tests=2, luck=1e-4) == found


def played(wins: np.ndarray, first: int = 0) -> Part:
    """Episodes of seeds x games, seeds from `first` on, the games of each seed in an order of its own."""
    seeds, games = wins.shape
    rng = np.random.default_rng([seeds, first, round(abs(wins.sum()) * 1e6)])
    orders = rng.permuted(np.tile(np.arange(games), (seeds, 1)), axis=1)
    return {
        "seed": np.repeat(np.arange(first, first + seeds), games),
        "task_id": np.array([f"game {game}" for game in orders.ravel()]),
        "success": np.take_along_axis(wins, orders, axis=1).ravel(),
    }


@pytest.mark.parametrize("shared", [0.0, 0.8])
@pytest.mark.parametrize("paired", [True, False])
def test_the_error_that_episodes_give_a_difference_is_that_of_sweeps_whose_seeds_do_not_differ(
    paired: bool, shared: float
) -> None:
    # A part of the luck belongs to seed and game, as where two arms play with the same noise: pairing is rid of it.
    rng = np.random.default_rng(1)
    chance = special.expit(rng.normal(0.0, 1.5, 40))
    own, common = rng.random((2, 20_000, 40)), rng.random((20_000, 40))
    wins = (np.where(rng.random((20_000, 40)) < shared, common, own) < chance).astype(float)
    means = wins.mean(axis=2)
    truth = (means[0] - means[1]).std() if paired else math.sqrt(2 * means.var())

    def errors(arms: np.ndarray) -> list[float]:
        sweeps = (arms[:, at : at + 3] for at in range(0, 900, 3))
        return [error_of_difference(*map(played, sweep), paired=paired) for sweep in sweeps]

    found = errors(wins)
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(truth / math.sqrt(3), rel=0.04)
    better = errors(wins + rng.normal(0.0, 0.5, (2, 20_000, 1)))
    assert better == pytest.approx(found), "what a seed adds to all of its games is not luck"


def test_the_luck_of_a_paired_difference_is_that_of_the_seeds_that_both_have() -> None:
    rng = np.random.default_rng(3)
    arm, other = (rng.random((5, 30)) < 0.5).astype(float), (rng.random((3, 30)) < 0.5).astype(float)
    expected = crossed(arm[1:4] - other).episode / math.sqrt(3)
    assert error_of_difference(played(arm), played(other, first=1), paired=True) == pytest.approx(expected)


def test_arms_that_played_other_games_have_the_luck_of_both() -> None:
    rng = np.random.default_rng(2)
    arm, other = (played((rng.random((3, 30)) < 0.5).astype(float)) for _ in range(2))
    elsewhere = other | {"task_id": np.char.add(other["task_id"], " of another panel")}
    luck = math.hypot(*(components_of(part).episode / math.sqrt(3) for part in (arm, other)))
    assert error_of_difference(arm, elsewhere, paired=True) == pytest.approx(luck)
    alone = {name: values[arm["seed"] == 0] for name, values in arm.items()}
    assert math.isnan(error_of_difference(alone, other, paired=False))


def test_pairing_pays_from_the_correlation_at_which_both_intervals_are_equally_long() -> None:
    assert break_even_correlation(3) == pytest.approx(1 - (2.776445 / 4.302653) ** 2, abs=1e-6)
    assert [round(break_even_correlation(n), 2) for n in (2, 3, 5, 10)] == [0.89, 0.58, 0.31, 0.14]
    assert math.isnan(break_even_correlation(1))


# Robust estimates


def test_the_interquartile_mean_of_eight_scores_is_that_of_the_middle_four() -> None:
    scores = np.array([[0.0, 9.0], [1.0, 2.0], [3.0, 4.0], [5.0, 100.0]])
    assert iqm([scores]).value == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert iqm([scores[:2], scores[2:]]).value == iqm([scores]).value
    assert math.isnan(iqm([scores]).low)
    assert math.isnan(iqm([]).value)


def test_the_bootstrap_draws_whole_runs_within_their_stratum() -> None:
    run, other = np.tile([0.0, 1.0, 1.0, 0.0], (9, 1)), np.full((9, 4), 5.0)
    found = resampled_iqm([run, other], np.random.default_rng(0), 50)
    assert set(found) == {stats.trim_mean([0.0] * 18 + [1.0] * 18 + [5.0] * 36, 0.25)}


def test_the_same_scores_give_the_same_interval_and_only_many_seeds_have_one() -> None:
    scores = np.random.default_rng(6).random((IQM_SEEDS, 6))
    assert iqm([scores]) == iqm([scores.copy()])
    assert iqm([scores]).low < iqm([scores]).value < iqm([scores]).high
    assert math.isnan(iqm([scores[1:]]).low)
    assert math.isnan(improvement(scores[: IMPROVEMENT_SEEDS - 1, 0], scores[:, 1]).low)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=9), st.lists(st.integers(0, 6), min_size=1, max_size=9))
def test_improvement_is_the_share_of_pairs_that_mann_and_whitney_count(arm: list[int], reference: list[int]) -> None:
    found = improvement(np.array(arm, float), np.array(reference, float))
    counted = stats.mannwhitneyu(arm, reference).statistic / len(arm) / len(reference)
    assert found.value == pytest.approx(counted)
    assert improvement(np.array(reference, float), np.array(arm, float)).value == pytest.approx(1 - found.value)


def test_the_standard_error_of_the_improvement_is_that_of_brunner_and_munzel() -> None:
    rng = np.random.default_rng(7)
    arm, reference = rng.normal(0.3, 1, 25), rng.normal(0, 2, 30)
    found, scipy = improvement(arm, reference), stats.brunnermunzel(reference, arm)
    error = (found.value - 0.5) / scipy.statistic
    shift = np.diff(np.log([found.low, found.high]) - np.log1p([-found.low, -found.high]))[0] / 2
    df = stats.t.isf(0.025, [10, 100])  # the quantile lies between those of 10 and 100 degrees of freedom
    assert df[1] < shift * found.value * (1 - found.value) / error < df[0]


# The rule


def test_a_cell_with_few_wins_or_losses_has_no_interval() -> None:
    assert success_interval([0.2, 0.3, 0.5], [10, 10, 10]) == t_interval([0.2, 0.3, 0.5])
    for rates in ([0.1, 0.2, 0.1], [0.9, 0.8, 0.9]):
        assert success_interval(rates, [10, 10, 10]).gap == "few events"
        assert math.isnan(success_interval(rates, [10, 10, 10]).half_width)
        assert success_interval(rates, [100, 100, 100]).gap == ""
    assert success_interval([0.1, 0.2, 0.2], [10, 10, 10]).gap == ""  # exactly five wins
    assert EVENTS == 5
    assert success_interval([1.0, 1.0], [10, 10]).gap == "no variance"
    assert success_interval([0.5], [10]).gap == "one seed"


def test_the_simulated_formulas_are_those_of_the_package() -> None:
    coverage.check()


def test_printed_intervals_cover_and_refused_ones_do_not() -> None:
    """A small run of the benchmark: 2,000 tables have a standard error of half a point."""
    names = ("success, 140 games", "success, 13 games", "paired difference, gain", "Welch's difference")
    for name, n, worst, _ in coverage.rows(2_000, names):
        assert worst > MINIMUM - 0.015, (name, n)
    few = coverage.Case(np.random.default_rng(0), 20_000, n=10, rate=0.95, spread=0.2, games=13)
    printed, covered = coverage.band(few)
    assert covered[printed].mean() < MINIMUM  # ten seeds of 13 games at 95 %, without the rule
    printed, covered = coverage.success(few)
    assert covered[printed].mean() > MINIMUM
    _, covered = coverage.interquartile(coverage.Case(np.random.default_rng(0), 300, 5, 0.5, 0.2, 140))
    assert covered.mean() < 0.9
