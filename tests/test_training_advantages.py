"""Advantages on episodes made by hand, worked out with pencil and paper."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_data import run_config

from paw_bench.rollout.episode import Episode, Turn
from paw_bench.rollout.rows import rows_of
from paw_bench.training.advantages.gigpo import anchor_groups, discounted_returns, step_advantages
from paw_bench.training.advantages.grpo import group_relative
from paw_bench.training.advantages.ppo import explained_variance, gae, value_loss, whitened
from paw_bench.training.advantages.rloo import leave_one_out
from paw_bench.training.advantages.rows import row_advantages
from paw_bench.training.ppo import advantages_of_rows


def close(values, expected):
    return values.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def algorithm(**changes):
    return run_config(algorithm=changes).experiment.algorithm


def episode(group, index, *turns):
    """An episode of (observation, reward, penalty, action tokens) a turn."""
    made = [
        Turn(
            context_ids=[2],
            action_ids=[3] * length,
            action_logprobs=[-1.0] * length,
            action_entropies=[1.0] * length,
            action_text="go",
            observation_text=observation,
            observation_ids=[4],
            separator_ids=[],
            reward=reward,
            penalty=penalty,
            valid=not penalty,
            accepted=True,
        )
        for observation, reward, penalty, length in turns
    ]
    return Episode(f"task-{group}", "pick", group, index, seed=0, turns=made)


# From the hall both first go to the shelf; A takes it there (and wins), B looks, is still at the shelf, and loses.
A = episode(0, 0, ("shelf", 0.0, 0.0, 1), ("taken", 8.0, 0.0, 2))
B = episode(0, 1, ("shelf", 0.0, 0.0, 1), ("shelf", 0.0, 1.0, 1), ("floor", 0.0, 0.0, 1))
ELSEWHERE = episode(1, 0, ("shelf", 0.0, 0.0, 1), ("floor", 2.0, 0.0, 1))


def test_group_relative_is_the_distance_from_the_group_in_its_spread():
    returns, groups = torch.tensor([3.0, 1.0, 5.0, 5.0, 7.0]), torch.tensor([0, 0, 1, 1, 2])
    assert close(group_relative(returns, groups, scale="none"), [1, -1, 0, 0, 0])
    half = 1 / (2**0.5 + 1e-4)
    assert close(group_relative(returns, groups, scale="group"), [half, -half, 0, 0, 0])
    whole = 1 / (5.2**0.5 + 1e-4)
    assert close(group_relative(returns, groups, scale="batch"), [whole, -whole, 0, 0, 0])


@pytest.mark.parametrize("scale", ["group", "batch"])
@pytest.mark.parametrize("value", [8.57375, 9.025, 0.1])
def test_equal_returns_have_an_advantage_of_nothing(value, scale):
    """Not the rounding of their mean, which divided by a spread of nothing would be one."""
    for count in range(2, 40):
        found = group_relative(torch.full((count,), value), torch.zeros(count, dtype=torch.long), scale=scale)
        assert found.dtype == torch.float32
        assert found.abs().max() < 1e-9


def test_leave_one_out_compares_with_the_other_episodes_only():
    """Group 0: episodes 0 (rows 4, 2) and 1 (row 1); group 1: episodes 2 (6) and 3 (0)."""
    returns, groups = torch.tensor([4.0, 2.0, 1.0, 6.0, 0.0]), torch.tensor([0, 0, 0, 1, 1])
    episodes = torch.tensor([0, 0, 1, 2, 3])
    advantages = leave_one_out(returns, groups, episodes, standardise=False)
    assert close(advantages, [4 - 1, 2 - 1, 1 - 3, 6, -6])
    scaled = leave_one_out(returns, groups, episodes, standardise=True)
    mean, spread = 0.4, (sum((value - 0.4) ** 2 for value in [3, 1, -2, 6, -6]) / 4) ** 0.5 + 1e-4
    assert close(scaled, [(value - mean) / spread for value in [3, 1, -2, 6, -6]])


@pytest.mark.parametrize(
    ("credit", "expected"),
    [("episode", [9, 9, -9, -9, -9]), ("turn", [8 + 1 / 3, 8 + 1 / 3, -8, -9, -8])],
)
def test_rloo_rows_have_their_episodes_return_or_their_own(credit, expected):
    rows = rows_of([A, B], "window")
    own = algorithm(name="rloo", scale_advantages="none", penalty_credit=credit)
    assert close(row_advantages(rows, [A, B], own), expected)


def test_discounted_returns_look_forward():
    assert discounted_returns([1.0, 2.0, 4.0], 0.5) == [1 + 1 + 1, 2 + 2, 4]
    assert discounted_returns([1.0, 2.0, 4.0], 0.0) == [1, 2, 4]
    assert discounted_returns([], 0.9) == []


def test_anchors_are_equal_states_of_one_group():
    states, groups = ["", "shelf", "", "shelf", "shelf", "shelf"], [0, 0, 0, 0, 1, 0]
    assert anchor_groups(states, groups, 1.0) == [0, 1, 0, 1, 2, 1]


def test_similar_states_join_the_first_anchor_that_is_near_enough():
    states = ["you see a mug", "you see a cup", "nothing at all", "you see a mug"]
    assert anchor_groups(states, [0] * 4, 1.0) == [0, 1, 2, 0]
    assert anchor_groups(states, [0] * 4, 0.7) == [0, 0, 1, 0]
    assert anchor_groups(states, [0, 1, 0, 0], 0.7) == [0, 1, 2, 0]


def gigpo(**changes):
    options = {"step_weight": 1.0, "discount": changes.pop("discount", 0.5)}
    return algorithm(name="gigpo", gigpo=options, **changes)


def test_gigpo_compares_the_actions_taken_from_one_state():
    """Discounted by 1/2, A's returns are 4, 8 and B's, its penalty of turn 1 included, -1/2, -1, 0.

    The opening is shared by 4 and -1/2; the shelf by A's 8, B's -1 and B's 0. The other group's shelf is another state.
    """
    steps = step_advantages([A, B, ELSEWHERE], gigpo(scale_advantages="none"))
    opening, shelf = 1.75, 7 / 3
    assert close(steps[0], [4 - opening, 8 - shelf])
    assert close(steps[1], [-0.5 - opening, -1 - shelf, 0 - shelf])
    assert close(steps[2], [0, 0])


def test_gigpo_divides_by_the_spread_of_each_state():
    steps = step_advantages([A, B, ELSEWHERE], gigpo(scale_advantages="group"))
    opening = 2.25 * 2**0.5 + 1e-4
    shelf = (((8 - 7 / 3) ** 2 + (-1 - 7 / 3) ** 2 + (7 / 3) ** 2) / 2) ** 0.5 + 1e-4
    assert close(steps[0], [2.25 / opening, (8 - 7 / 3) / shelf])
    assert close(steps[1], [-2.25 / opening, (-1 - 7 / 3) / shelf, -7 / 3 / shelf])
    assert close(steps[2], [0, 0])


def test_gigpo_can_charge_a_penalty_to_its_own_turn():
    steps = step_advantages([A, B], gigpo(scale_advantages="none", penalty_credit="turn"))
    assert close(steps[1], [0 - 2, -1 - 7 / 3, 0 - 7 / 3])


def test_gae_is_the_sum_of_discounted_surprises():
    rewards, values = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([0.5, 0.25, 2.0])
    deltas = [0.5 * 0.25 - 0.5, 1 + 0.5 * 2 - 0.25, 3 - 2]
    rate = 0.5 * 0.8
    expected = [deltas[0] + rate * deltas[1] + rate**2 * deltas[2], deltas[1] + rate * deltas[2], deltas[2]]
    assert close(gae(rewards, values, discount=0.5, trace=0.8), expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=12), st.floats(0, 1))
def test_gae_at_its_ends_is_the_return_less_the_value_and_the_one_step_surprise(steps, discount):
    rewards, values = (torch.tensor(column, dtype=torch.float64) for column in zip(*steps, strict=True))
    returns = torch.tensor(discounted_returns(rewards.tolist(), discount), dtype=torch.float64)
    following = torch.cat([values[1:], torch.zeros(1)])
    assert torch.allclose(gae(rewards, values, discount=discount, trace=1.0), returns - values)
    assert torch.allclose(gae(rewards, values, discount=discount, trace=0.0), rewards + discount * following - values)


@pytest.mark.parametrize("mode", ["full", "window"])
def test_an_episode_is_one_sequence_to_gae_whatever_rows_it_lies_in(mode):
    """A's tokens: one of turn 0, two of turn 1 whose last has the reward; B's last of turn 1 pays the penalty."""
    values = {"A": [1.0, 2.0, 4.0], "B": [3.0, 5.0, 1.0]}
    rows = rows_of([A, B], mode)
    split = [values["A"], values["B"]] if mode == "full" else [[1.0], [2.0, 4.0], [3.0], [5.0], [1.0]]
    found = advantages_of_rows(rows, [A, B], [torch.tensor(row) for row in split], discount=1.0, trace=0.5)
    a, b = [2 - 1, 4 - 2, 8 - 4], [5 - 3, -1 + 1 - 5, 0 - 1]
    expected = [deltas[0] + 0.5 * deltas[1] + 0.25 * deltas[2] for deltas in (a, b)]
    later = [deltas[1] + 0.5 * deltas[2] for deltas in (a, b)]
    assert close(torch.cat(found), [expected[0], later[0], a[2], expected[1], later[1], b[2]])
    assert [len(row) for row in found] == [len(row) for row in split]


def test_whitened_advantages_have_mean_0_and_spread_1():
    advantages = whitened(torch.tensor([1.0, 2.0, 6.0]))
    assert close(advantages, [value / (7**0.5 + 1e-4) for value in (-2, -1, 3)])


def test_the_value_loss_takes_the_worse_of_value_and_clipped_value():
    """V moved by +3 (clipped to +0.5), by -0.2 (within), and by +3 beyond its target."""
    values = torch.tensor([3.0, 0.8, 3.0], requires_grad=True)
    losses = value_loss(values, torch.tensor([0.0, 1.0, 0.0]), torch.tensor([4.0, 2.0, 1.0]), clip=0.5)
    assert close(losses, [0.5 * 3.5**2, 0.5 * 1.2**2, 0.5 * 2.0**2])
    losses.sum().backward()
    assert close(values.grad, [0.0, -1.2, 2.0])


def test_explained_variance_is_1_for_the_targets_and_0_for_their_mean():
    targets = torch.tensor([1.0, 2.0, 6.0])
    assert explained_variance(targets, targets) == 1.0
    assert explained_variance(torch.full((3,), 3.0), targets) == pytest.approx(0.0)
    assert explained_variance(targets, torch.full((3,), 2.0)) == 0.0
