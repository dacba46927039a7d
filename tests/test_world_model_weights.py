"""Weights follow w = k * lambda_g / (groups * selected_g * |o|) and depend on the pool only."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paw_bench.world_model.weights import observation_weights

POOL = {
    "selected": torch.tensor([True, True, False, True, False, False]),
    "group": torch.tensor([0, 0, 0, 1, 1, 2]),
    "episode": torch.tensor([0, 0, 1, 2, 3, 4]),
    "lengths": torch.tensor([2, 5, 3, 4, 6, 7]),
    "lambdas": torch.tensor([0.5, 1.0, 0.8], dtype=torch.float64),
}
"""Three groups: two selected transitions of one episode, one of one, none."""


def weights(normaliser="transition", steps=4, **changes):
    return observation_weights(**(POOL | changes), steps=steps, normaliser=normaliser)


def test_paw_divides_by_groups_selected_transitions_and_observation_tokens():
    expected = [4 * 0.5 / (3 * 2 * 2), 4 * 0.5 / (3 * 2 * 5), 0, 4 * 1.0 / (3 * 1 * 4), 0, 0]
    assert weights().tolist() == pytest.approx(expected)


def test_echo_divides_by_groups_episodes_and_all_observation_tokens_of_the_episode():
    expected = [4 * 0.5 / (3 * 1 * 7)] * 2 + [0, 4 * 1.0 / (3 * 1 * 4), 0, 0]
    assert weights("sequence").tolist() == pytest.approx(expected)


def test_an_empty_pool_has_no_weights():
    none = torch.zeros(0, dtype=torch.long)
    empty = {"selected": none.bool(), "group": none, "episode": none, "lengths": none}
    for normaliser in ("transition", "sequence"):
        assert weights(normaliser, **empty).tolist() == []


@st.composite
def pools(draw):
    groups = draw(st.integers(1, 4))
    rows = draw(
        st.lists(st.tuples(st.integers(0, groups - 1), st.integers(0, 2), st.integers(1, 9), st.booleans()), min_size=1)
    )
    rows.sort(key=lambda row: row[:2])
    group, index, lengths, selected = zip(*rows, strict=True)
    return {
        "group": torch.tensor(group),
        "episode": torch.tensor(group) * 3 + torch.tensor(index),
        "lengths": torch.tensor(lengths),
        "selected": torch.tensor(selected),
        "lambdas": torch.tensor(draw(st.lists(st.floats(0, 1), min_size=groups, max_size=groups)), dtype=torch.float64),
    }


@given(pools(), st.integers(1, 5), st.sampled_from(["transition", "sequence"]))
def test_constant_losses_of_1_give_the_mean_lambda_of_the_groups_that_have_a_selected_transition(
    pool, steps, normaliser
):
    if normaliser == "sequence":
        pool["selected"] = torch.ones_like(pool["selected"])
    total = (observation_weights(**pool, steps=steps, normaliser=normaliser) * pool["lengths"]).sum() / steps
    groups = len(pool["lambdas"])
    taking_part = torch.bincount(pool["group"][pool["selected"]], minlength=groups) > 0
    assert total.item() == pytest.approx((pool["lambdas"] * taking_part).sum().item() / groups)


@given(pools(), st.randoms(use_true_random=False), st.sampled_from(["transition", "sequence"]))
def test_the_order_of_groups_and_transitions_does_not_matter(pool, random, normaliser):
    groups, count = len(pool["lambdas"]), len(pool["group"])
    relabel, order = random.sample(range(groups), groups), random.sample(range(count), count)
    moved = {name: pool[name][order] for name in ("selected", "episode", "lengths")}
    moved["group"] = torch.tensor(relabel)[pool["group"]][order]
    moved["lambdas"] = torch.zeros_like(pool["lambdas"])
    moved["lambdas"][relabel] = pool["lambdas"]
    expected = observation_weights(**pool, steps=2, normaliser=normaliser)[order]
    assert torch.allclose(observation_weights(**moved, steps=2, normaliser=normaliser), expected)


@given(pools(), st.sampled_from(["transition", "sequence"]))
def test_a_group_without_a_selected_transition_adds_nothing_and_changes_no_other(pool, normaliser):
    silent = pool["group"] == 0
    without = pool | {"selected": pool["selected"] & ~silent}
    before = observation_weights(**pool, steps=1, normaliser=normaliser)
    after = observation_weights(**without, steps=1, normaliser=normaliser)
    assert (after[silent] == 0).all()
    assert torch.equal(after[~silent], before[~silent])
