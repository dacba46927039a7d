"""Which games the updates play: a function of seed and update, no game twice in one, all games equally often."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_data import run_config

from paw_bench.envs.protocol import Task
from paw_bench.training.tasks import assignments_of_update, tasks_of_update


def panel(size):
    return tuple(Task(f"task-{number}", "pick", "") for number in range(size))


def played(size, groups, updates, seed=0):
    """Names of the games of each update."""
    tasks = panel(size)
    return [
        [task.task_id for task in tasks_of_update(tasks, seed=seed, update=update, groups=groups)]
        for update in range(1, updates + 1)
    ]


@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 12), st.integers(0, 5))
def test_no_update_holds_a_game_twice_where_the_panel_has_enough(size, groups, updates, seed):
    """Also where the panel's order ends within the update; and every game is played as often as every other."""
    deals = played(size, groups, updates, seed)
    assert all(len(deal) == groups for deal in deals)
    if groups <= size:
        assert all(len(set(deal)) == groups for deal in deals)
    flat = [task for deal in deals for task in deal]
    for start in range(0, len(flat) - size + 1, size):
        assert len(set(flat[start : start + size])) == size
    counts = Counter(flat)
    assert max(counts.values()) - min(counts[task.task_id] for task in panel(size)) <= 1


def test_the_first_order_is_a_plain_permutation_and_so_are_later_ones_that_updates_fit_into():
    """What runs played before an update could not hold a game twice, they play still."""
    orders = [np.random.default_rng(np.random.SeedSequence([7, number])).permutation(12) for number in (0, 1)]
    names = [f"task-{place}" for order in orders for place in order]
    assert [task for deal in played(12, 4, 6, seed=7) for task in deal] == names
    assert played(12, 5, 2, seed=7) == [names[:5], names[5:10]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("size", "update"), [(3553, 1), (3553, 28), (200, 2), (130, 7)])
def test_ppos_128_episodes_have_128_different_games(size, update, seed):
    """16 x 8 is 128 x 1 for PPO. Update 28 of the paper's panel, and others of the small ones, end one order."""
    ppo = run_config(algorithm={"name": "ppo", "scale_advantages": "batch", "groups": 16, "group_size": 8})
    assignments = assignments_of_update(panel(size), ppo.experiment.algorithm, seed=seed, update=update)
    assert len({assignment.task.task_id for assignment in assignments}) == len(assignments) == 128
    assert [(assignment.group, assignment.index) for assignment in assignments] == [(g, 0) for g in range(128)]
    assert len({assignment.noise for assignment in assignments}) == 128


def test_the_other_algorithms_play_each_of_16_games_8_times():
    grpo = run_config(algorithm={"groups": 16, "group_size": 8}).experiment.algorithm
    assignments = assignments_of_update(panel(20), grpo, seed=0, update=2)
    assert set(Counter(assignment.task.task_id for assignment in assignments).values()) == {8}
    assert len({assignment.task.task_id for assignment in assignments}) == 16
    assert len({assignment.noise for assignment in assignments}) == 128
