"""Properties of an update's world-model weights, from episodes to columns."""

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_data import run_config

from paw_bench.rollout.episode import Episode, Source, Turn
from paw_bench.rollout.rows import rows_of
from paw_bench.training.columns import replace_targets, world_model_columns
from paw_bench.world_model.term import world_model_term

GROUPS, SIZE = 3, 2


def turn(entropy, length, reward):
    return Turn([2, 3], [4, 5], [-1.0, -2.0], [entropy, entropy], "", "", list(range(10, 10 + length)), [6], reward,
                0.0, True, True)  # fmt: skip


@st.composite
def updates(draw):
    """Episodes of an update; all entropies differ (and none is 0), so that no tie depends on the order."""
    counts = [draw(st.integers(1, 4)) for _ in range(GROUPS * SIZE)]
    scores = iter(draw(st.permutations(range(sum(counts)))))
    episodes = []
    for number, count in enumerate(counts):
        won = draw(st.booleans())
        turns = [
            turn(0.1 + 0.1 * next(scores), draw(st.integers(1, 6)), 10.0 if won and place + 1 == count else 0.0)
            for place in range(count)
        ]
        group, index = divmod(number, SIZE)
        episodes.append(Episode(f"task-{group}", "pick", group, index, 0, turns, won))
    return episodes


def columns_of(episodes, mode="window", **world_model):
    config = run_config(
        mode, algorithm={"groups": GROUPS, "group_size": SIZE}, world_model={"enabled": True, **world_model}
    )
    ordered = sorted(episodes, key=lambda episode: (episode.group, episode.index))
    rows = rows_of(ordered, mode)
    return rows, world_model_columns(rows, ordered, config.experiment, update=1)


def weight_by_transition(episodes, **world_model):
    """(task, episode's index, turn) -> the weight of its observation tokens."""
    rows, columns = columns_of(episodes, **world_model)
    ordered = sorted(episodes, key=lambda episode: (episode.group, episode.index))
    return {
        (ordered[row.episode].task_id, ordered[row.episode].index, row.turn): float(weights.max())
        for row, weights in zip(rows, columns.weights, strict=True)
    }


def moved(episode, group):
    return Episode(episode.task_id, "pick", group, episode.index, 0, episode.turns, episode.success)


@given(updates(), st.permutations(range(GROUPS)), st.sampled_from(["transition", "sequence"]))
def test_a_permutation_of_the_groups_changes_no_weight(episodes, order, normaliser):
    permuted = [moved(episode, order[episode.group]) for episode in episodes]
    loss = {"normaliser": normaliser}
    assert weight_by_transition(permuted, loss=loss) == pytest.approx(weight_by_transition(episodes, loss=loss))


@given(updates(), st.sampled_from([1.0, 10.0]), st.sampled_from([None, 4.0, 40.0]), st.booleans())
def test_lambda_is_in_reach_of_the_environments_own_return(episodes, success_reward, max_return, penalties_count):
    """R_max is the success reward of the environment (10 ALFWorld, 1 search QA) unless the config names another."""
    for episode in episodes:
        for own in episode.turns:
            own.reward, own.penalty = own.reward / 10.0 * success_reward, 0.3
    config = run_config(
        algorithm={"groups": GROUPS, "group_size": SIZE},
        world_model={
            "enabled": True,
            "selection": {"score": "none", "alpha": 1.0},
            "balance": {"max_return": max_return, "include_penalty": penalties_count},
        },
    )
    environment = config.experiment.environment.model_copy(update={"success_reward": success_reward})
    experiment = config.experiment.model_copy(update={"environment": environment})
    rows = rows_of(episodes, "window")
    columns = world_model_columns(rows, episodes, experiment, update=1)
    for group in range(GROUPS):
        own = [episode for episode in episodes if episode.group == group]
        returns = [episode.env_return - penalties_count * episode.penalty for episode in own]
        expected = min(max(1 - statistics.fmean(returns) / (max_return or success_reward), 0.0), 1.0)
        weights = [w.sum() for w, row in zip(columns.weights, rows, strict=True) if row.group == group]
        # Two optimizer steps, a third of the mean over the groups.
        assert sum(weights) == pytest.approx(2 * expected / GROUPS, rel=1e-5, abs=1e-7)


@given(updates())
def test_selection_is_over_the_pool_of_the_update_and_not_group_by_group(episodes):
    """The least entropic group has no place among the kept half, however many transitions of its own it has."""
    for episode in episodes:
        for own in episode.turns if episode.group == 1 else []:
            own.action_entropies = [0.0, 0.0]
    others = sum(len(episode.turns) for episode in episodes if episode.group != 1)
    alpha = others / sum(len(episode.turns) for episode in episodes)
    weights = weight_by_transition(episodes, selection={"alpha": alpha})
    rewards = {episode.group: [] for episode in episodes}
    for episode in episodes:
        rewards[episode.group].append(episode.env_return)
    for (task, _, _), weight in weights.items():
        group = int(task[-1])
        lost = sum(rewards[group]) < 10.0 * SIZE
        assert (weight > 0) == (group != 1 and lost)


@given(updates())
def test_a_group_without_selected_transitions_adds_nothing_and_its_returns_matter_to_none(episodes):
    for episode in episodes:
        for own in episode.turns if episode.group == 2 else []:
            own.action_entropies = [0.0, 0.0]
    others = sum(len(episode.turns) for episode in episodes if episode.group != 2)
    selection = {"alpha": others / sum(len(episode.turns) for episode in episodes)}
    before = weight_by_transition(episodes, selection=selection)
    assert not any(weight for (task, _, _), weight in before.items() if task == "task-2")
    for episode in episodes:
        if episode.group == 2:
            episode.turns[-1].reward = 10.0 - episode.turns[-1].reward
    assert weight_by_transition(episodes, selection=selection) == before


@given(updates(), st.integers(0, 5), st.integers(0, 5), st.integers(0, 2**16))
def test_padding_adds_nothing(episodes, rows_added, columns_added, seed):
    """Rows and positions that hold no token, whatever the model says there: even probability 0."""
    _, columns = columns_of(episodes)
    width = max(map(len, columns.weights))
    generator = torch.Generator().manual_seed(seed)
    count = len(columns.weights)
    logps = -3 * torch.rand((count + rows_added, width + columns_added), generator=generator)
    logps[count:], logps[:, width:] = -math.inf, -math.inf

    def measured(rows, positions):
        def padded(column):
            full = torch.zeros((rows, positions))
            for number, values in enumerate(column):
                full[number, : len(values)] = torch.from_numpy(values)
            return full

        return world_model_term(
            logps[:rows, :positions],
            weights=padded(columns.weights),
            measure=padded(columns.measure),
            observed=padded(columns.observed),
            kind="cmae",
            rho=0.2,
            q=0.7,
        )

    (loss, diagnostics), (padded_loss, padded_diagnostics) = (
        measured(count, width),
        measured(count + rows_added, width + columns_added),
    )
    assert padded_loss.item() == pytest.approx(loss.item(), rel=1e-5, abs=1e-7)
    assert padded_diagnostics.loss == pytest.approx(diagnostics.loss, rel=1e-5, abs=1e-7)
    assert padded_diagnostics.nll == pytest.approx(diagnostics.nll, rel=1e-5)
    assert (padded_diagnostics.clipped, padded_diagnostics.tokens) == (diagnostics.clipped, diagnostics.tokens)


@given(updates(), st.integers(1, 7))
def test_only_the_first_tokens_of_a_capped_observation_are_targets(episodes, limit):
    _, full = columns_of(episodes, "full", max_target_tokens=limit)
    rows, window = columns_of(episodes, max_target_tokens=limit)
    flat = [[float(w) for weights in columns.weights for w in weights if w] for columns in (full, window)]
    assert flat[0] == flat[1]
    for row, observed in zip(rows, window.observed, strict=True):
        length = row.sources.count(Source.OBSERVATION)
        first = row.sources.index(Source.OBSERVATION)
        assert observed[first:].tolist() == [1.0] * min(limit, length) + [0.0] * max(0, length - limit)
    cut = replace_targets(rows, "true", limit=limit, vocabulary=[], seed=0, update=1)
    assert [row.completion_ids for row in cut] == [
        row.completion_ids[: row.sources.index(Source.OBSERVATION) + limit] for row in rows
    ]
    lengths = [min(limit, row.sources.count(Source.OBSERVATION)) for row in rows]
    assert [len(row.completion_ids) for row in cut] == [3 + length for length in lengths]


def test_a_replaced_observation_leaves_nothing_of_one_that_was_cut():
    cut, whole = turn(0.1, 3, 0.0), turn(0.2, 2, 0.0)
    cut.closing_ids, cut.unread_tokens = [8, 9], 5
    rows = rows_of([Episode("task", "pick", 0, 0, 0, [cut, whole])], "window")
    first, second = replace_targets(rows, "random_tokens", vocabulary=[99], seed=0, update=1)
    assert first.completion_ids == [4, 5, 6, 99, 99, 99]
    assert first.sources == [Source.ACTION] * 2 + [Source.TEMPLATE] + [Source.OBSERVATION] * 3
    assert second.completion_ids == [4, 5, 6, 99, 99]


@given(updates())
def test_inverse_dynamics_weighs_the_actions_as_it_does_the_observations(episodes):
    """Each selected transition has one total weight, spread over its observation and again over its action."""
    rows, columns = columns_of(episodes, inverse_dynamics=True)
    assert len(columns.inverse) == len(rows)
    for weights, inverse in zip(columns.weights, columns.inverse, strict=True):
        assert inverse.sum() == pytest.approx(weights.sum(), rel=1e-6)
        assert len(inverse) == 2
    assert columns_of(episodes)[1].inverse == []
