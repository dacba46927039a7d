"""Selection keeps the highest-scored ceil(alpha * N) transitions of the pool, by scores that follow the formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paw_bench.world_model.selection import select, transition_scores

LOGPROBS = torch.tensor([math.log(0.5), math.log(0.25), math.log(0.01)])
ENTROPIES = torch.tensor([0.2, 0.6, 2.0])
TRANSITION = torch.tensor([0, 0, 1])
"""Two transitions: two action tokens with probabilities 1/2 and 1/4, then one with 1/100."""


def scores(kind: str, *, seed: int = 0, update: int = 1, count: int = 2) -> list[float]:
    return transition_scores(
        kind, logprobs=LOGPROBS, entropies=ENTROPIES, transition=TRANSITION, count=count, seed=seed, update=update
    ).tolist()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("entropy", [0.4, 2.0]),
        ("sampled", [(0.5 * math.log(2) + 0.25 * math.log(4)) / 2, 0.01 * math.log(100)]),
        ("surprisal", [(math.log(2) + math.log(4)) / 2, math.log(100)]),
        ("none", [0.0, 0.0]),
    ],
)
def test_scores_are_means_over_the_action_tokens(kind, expected):
    assert scores(kind) == pytest.approx(expected, rel=1e-6)


def test_the_printed_formula_ranks_a_very_surprising_action_last_where_surprisal_ranks_it_first():
    low, high = scores("sampled"), scores("surprisal")
    assert low[1] < low[0]
    assert high[1] > high[0]


def test_random_scores_depend_on_seed_and_update_and_on_nothing_that_ran_before():
    first = scores("random", count=8)
    torch.rand(5)
    assert scores("random", count=8) == first
    assert scores("random", count=8, seed=1) != first
    assert scores("random", count=8, update=2) != first


@pytest.mark.parametrize(
    ("count", "alpha", "kept"), [(4, 0.75, 3), (5, 0.75, 4), (30, 0.1, 3), (7, 1.0, 7), (9, 0.01, 1)]
)
def test_ceil_of_alpha_times_the_pool_is_kept(count, alpha, kept):
    assert int(select(torch.rand(count), alpha).sum()) == kept


def test_equal_scores_are_kept_in_the_order_of_the_pool():
    assert select(torch.tensor([1.0, 2.0, 1.0, 1.0]), 0.5).tolist() == [True, True, False, False]


def test_an_empty_pool_selects_nothing():
    assert select(torch.zeros(0), 0.75).tolist() == []


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(0.01, 1.0))
def test_no_transition_left_out_scores_higher_than_one_kept(values, alpha):
    pool = torch.tensor(values, dtype=torch.float64)
    selected = select(pool, alpha)
    assert selected.any()
    if not selected.all():
        assert pool[~selected].max() <= pool[selected].min()


@given(st.permutations(list(range(12))), st.floats(0.01, 1.0))
def test_distinct_scores_are_selected_whatever_the_order_of_the_pool(order, alpha):
    values = torch.linspace(0, 1, 12, dtype=torch.float64)
    assert torch.equal(select(values[order], alpha), select(values, alpha)[order])
