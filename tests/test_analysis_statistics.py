import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics import Difference, difference, holm, resolved, t_interval, t_intervals

values = st.lists(st.floats(0, 1).map(lambda v: round(v, 3)), min_size=2, max_size=8)


def by_seed(numbers: list[float]) -> dict[int, float]:
    return dict(enumerate(numbers))


def test_t_interval_against_numbers_computed_by_hand() -> None:
    # mean 4, sd 2, standard error 2 / sqrt(3), t(0.975; 2) = 4.302653 from a printed table
    interval = t_interval([2.0, 4.0, 6.0])
    assert interval.mean == 4.0
    assert interval.sd == 2.0
    assert interval.n == 3
    assert interval.half_width == pytest.approx(4.302653 * 2 / math.sqrt(3), rel=1e-6)
    assert interval.gap == ""


@given(values)
def test_t_interval_agrees_with_scipy(numbers: list[float]) -> None:
    interval = t_interval(numbers)
    if interval.gap:
        assert interval.gap == "no variance"
        assert len(set(numbers)) == 1
        return
    low, high = stats.t.interval(0.95, len(numbers) - 1, loc=np.mean(numbers), scale=stats.sem(numbers))
    assert interval.mean - interval.half_width == pytest.approx(low)
    assert interval.mean + interval.half_width == pytest.approx(high)


def test_one_seed_no_seed_and_equal_seeds_have_no_interval_and_say_why() -> None:
    assert t_interval([0.3]).gap == "one seed"
    assert t_interval([0.3]).mean == 0.3
    assert math.isnan(t_interval([0.3]).half_width)
    assert t_interval([]).gap == "no seed"
    assert math.isnan(t_interval([]).mean)
    assert t_interval([0.0, 0.0, 0.0]).gap == "no variance"
    assert math.isnan(t_interval([0.0, 0.0, 0.0]).half_width)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_refused_rather_than_averaged(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        t_interval([0.1, bad])
    with pytest.raises(ValueError, match="finite"):
        difference({0: 0.1, 1: bad}, {0: 0.2, 1: 0.3})


def test_coverage_of_the_t_interval_is_close_to_nominal_with_three_seeds() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(0.5, 0.05, size=(4000, 3))
    covered = [abs(i.mean - 0.5) <= i.half_width for i in map(t_interval, draws)]
    assert 0.94 <= np.mean(covered) <= 0.96


def test_paired_difference_against_numbers_computed_by_hand() -> None:
    # differences 1, 2, 3: mean 2, sd 1, t = 2 / (1 / sqrt(3)) = 3.4641, df 2, two-sided p = 0.07418
    result = difference({0: 11.0, 1: 22.0, 2: 33.0}, {0: 10.0, 1: 20.0, 2: 30.0})
    assert result.method == "paired t"
    assert result.n == 3
    assert result.mean == 2.0
    assert result.df == 2
    assert result.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert result.p == pytest.approx(0.07418, abs=1e-5)
    assert result.correlation == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")  # scipy's, for an arm whose seeds are all equal
@given(values, st.integers(0, 2**16))
def test_paired_and_welch_agree_with_scipy(numbers: list[float], seed: int) -> None:
    arm = np.array(numbers)
    reference = np.random.default_rng(seed).uniform(size=len(arm))
    result = difference(by_seed(arm.tolist()), by_seed(reference.tolist()))
    paired, welch = stats.ttest_rel(arm, reference), stats.ttest_ind(arm, reference, equal_var=False)
    assert result.method == "paired t"
    assert result.p == pytest.approx(paired.pvalue)
    low, high = paired.confidence_interval()
    assert (result.mean - result.half_width, result.mean + result.half_width) == pytest.approx((low, high))
    assert result.welch_p == pytest.approx(welch.pvalue)
    assert 2 * result.welch_half_width == pytest.approx(np.diff(welch.confidence_interval())[0])


def test_seeds_missing_in_one_arm_are_left_out_of_the_pairs_but_not_of_welch() -> None:
    arm, reference = {0: 0.30, 2: 0.40, 3: 0.37}, {0: 0.20, 1: 0.90, 2: 0.25}
    result = difference(arm, reference)
    assert result.n == 2
    assert result.mean == pytest.approx((0.10 + 0.15) / 2)
    assert result.p == pytest.approx(stats.ttest_rel([0.30, 0.40], [0.20, 0.25]).pvalue)
    welch = stats.ttest_ind(list(arm.values()), list(reference.values()), equal_var=False)
    assert result.welch_p == pytest.approx(welch.pvalue)


def test_arms_without_two_shared_seeds_are_compared_by_welch() -> None:
    result = difference({0: 0.30, 1: 0.40}, {1: 0.20, 2: 0.25, 3: 0.22})
    assert result.method == "Welch t"
    assert result.n == 1
    assert math.isnan(result.correlation)
    assert result.mean == pytest.approx(0.35 - 0.67 / 3)
    assert (result.p, result.half_width) == (result.welch_p, result.welch_half_width)


def assert_untested(result: Difference, gap: str) -> None:
    assert result.gap == gap
    assert result.method == ""
    assert math.isnan(result.p)
    assert math.isnan(result.half_width)
    assert not resolved(result.p)


def test_equal_differences_are_not_evidence_even_when_rounding_makes_them_vary() -> None:
    result = difference({0: 0.3, 1: 0.4}, {0: 0.2, 1: 0.3})
    assert 0.3 - 0.2 != 0.4 - 0.3
    assert_untested(result, "no variance")
    assert result.mean == pytest.approx(0.1)


def test_one_seed_and_no_seed_give_a_difference_that_is_not_tested() -> None:
    result = difference({0: 0.3}, {0: 0.2})
    assert_untested(result, "one seed")
    assert result.mean == pytest.approx(0.1)
    late = difference({1: 0.5}, {0: 0.1, 1: 0.4})
    assert_untested(late, "one seed")
    assert late.mean == pytest.approx(0.1)  # of the shared seed, not of the means
    assert_untested(difference({}, {0: 0.2, 1: 0.3}), "no seed")
    assert math.isnan(difference({}, {0: 0.2}).mean)
    assert_untested(difference({0: 0.5, 1: 0.5}, {2: 0.4, 3: 0.4}), "no variance")


def test_pairing_gains_when_the_arms_are_correlated_and_a_false_alarm_stays_at_five_percent() -> None:
    rng = np.random.default_rng(1)
    rejected = []
    for _ in range(3000):
        shared = rng.normal(0, 1, 4)
        arm, reference = shared + rng.normal(0, 0.5, 4), shared + rng.normal(0, 0.5, 4)
        rejected.append(difference(by_seed(arm.tolist()), by_seed(reference.tolist())).p < 0.05)
    assert 0.04 <= np.mean(rejected) <= 0.06


def test_holm_against_a_worked_example() -> None:
    # sorted 0.005 0.01 0.03 0.04 times 4 3 2 1: 0.02 0.03 0.06 0.04 -> running maximum
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_counts_comparisons_that_cannot_be_tested_yet() -> None:
    adjusted = holm([0.02, math.nan, math.nan])
    assert adjusted[0] == pytest.approx(0.06)
    assert all(map(math.isnan, adjusted[1:]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    adjusted = holm(p)
    for raw, value in zip(p, adjusted, strict=True):
        assert raw <= value <= min(1.0, raw * len(p)) + 1e-12
    assert [adjusted[i] for i in np.argsort(p, kind="stable")] == sorted(adjusted)


def test_many_t_intervals_at_once_are_those_of_the_rows() -> None:
    rows = np.vstack([np.random.default_rng(0).normal(size=(5, 4)), np.full((1, 4), 0.3)])
    means, widths = t_intervals(rows)
    for row, mean, width in zip(rows, means, widths, strict=True):
        one = t_interval(row)
        assert mean == pytest.approx(one.mean, abs=1e-15)
        assert width == pytest.approx(one.half_width, abs=1e-15, nan_ok=True)
    assert np.isnan(t_intervals(rows[:, :1])[1]).all()
