"""Rows become micro-batches: nothing lost, little padded, weights fixed beforehand."""

import statistics
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_data import collect_from, run_config, tiny_model

from paw_bench.rollout.episode import Source
from paw_bench.rollout.rows import Row, rows_of
from paw_bench.training.advantages.rows import row_advantages
from paw_bench.training.batch import micro_batch, plan_steps
from paw_bench.training.columns import replace_targets, world_model_columns

CONFIG = run_config()


@pytest.fixture(scope="module")
def episodes():
    return collect_from(tiny_model(), CONFIG)(1)


def words(row, source):
    return [token for token, label in zip(row.completion_ids, row.sources, strict=True) if label == source]


@given(st.lists(st.integers(1, 9), min_size=4, max_size=60), st.integers(1, 4), st.integers(1, 20))
def test_every_row_is_in_one_micro_batch_and_none_is_too_large(lengths, steps, limit):
    rows = [Row(0, 0, 0, [2] * length, [3], [Source.ACTION], [0], [-1.0], [1.0]) for length in lengths]
    plan = plan_steps(rows, steps=steps, micro_batch_rows=limit, seed=0, update=1)
    sizes = [sum(map(len, parts)) for parts in plan]
    assert sorted(torch.cat([part for parts in plan for part in parts]).tolist()) == list(range(len(rows)))
    assert max(sizes) - min(sizes) <= 1
    for parts in plan:
        sorted_lengths = [lengths[index] for part in parts for index in part]
        assert sorted_lengths == sorted(sorted_lengths)
    assert all(1 <= len(part) <= limit for parts in plan for part in parts)


def test_the_deal_depends_on_seed_and_update_only(episodes):
    rows = rows_of(episodes, "window")

    def deal(**key):
        return [part.tolist() for parts in plan_steps(rows, steps=2, micro_batch_rows=4, **key) for part in parts]

    assert deal(seed=0, update=1) == deal(seed=0, update=1)
    assert deal(seed=0, update=1) != deal(seed=0, update=2)
    assert deal(seed=0, update=1) != deal(seed=1, update=1)


def test_a_micro_batch_holds_each_row_at_its_own_positions(episodes):
    rows = rows_of(episodes, "window")[:5]
    columns = {"column": [np.arange(len(row.completion_ids), dtype=np.float32) + 1 for row in rows]}
    batch = micro_batch(rows, columns, torch.arange(5.0), pad_id=0)
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    cut = batch["prompt_ids"].size(1)
    assert ids.size(1) == max(len(row.prompt_ids) + len(row.completion_ids) for row in rows)
    for number, row in enumerate(rows):
        length = len(row.prompt_ids) + len(row.completion_ids)
        assert ids[number][mask[number].bool()].tolist() == row.prompt_ids + row.completion_ids
        assert mask[number].tolist() == [1] * length + [0] * (ids.size(1) - length)
        action = batch["tool_mask"][number].bool()
        assert batch["completion_ids"][number][action].tolist() == words(row, Source.ACTION)
        assert batch["old_per_token_logps"][number][action].tolist() == pytest.approx(
            [value for value, source in zip(row.logprobs, row.sources, strict=True) if source == Source.ACTION]
        )
        start = len(row.prompt_ids) - cut
        assert batch["column"][number, start : start + len(row.completion_ids)].tolist() == list(
            columns["column"][number]
        )
        assert batch["column"][number].count_nonzero() == len(row.completion_ids)


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_advantages_are_returns_less_penalties_against_the_group(episodes, scale):
    algorithm = CONFIG.experiment.algorithm.model_copy(update={"scale_advantages": scale})
    returns = [sum(turn.reward - turn.penalty for turn in episode.turns) for episode in episodes]
    groups = [returns[:4], returns[4:]]
    spread = {
        "group": [statistics.stdev(group) + 1e-4 for group in groups],
        "batch": [statistics.stdev(returns) + 1e-4] * 2,
        "none": [1.0, 1.0],
    }[scale]
    expected = [
        (value - statistics.fmean(group)) / divisor
        for group, divisor in zip(groups, spread, strict=True)
        for value in group
    ]
    rows = rows_of(episodes, "window")
    expected = [expected[row.episode] for row in rows]
    assert row_advantages(rows, episodes, algorithm).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_penalty_can_be_charged_to_its_own_turn(episodes):
    algorithm = CONFIG.experiment.algorithm.model_copy(update={"penalty_credit": "turn", "scale_advantages": "none"})
    rows = rows_of(episodes, "window")
    reward = [sum(turn.reward for turn in episode.turns) for episode in episodes]
    returns = [reward[row.episode] - episodes[row.episode].turns[row.turn].penalty for row in rows]
    mean = {
        group: statistics.fmean(value for value, row in zip(returns, rows, strict=True) if row.group == group)
        for group in {row.group for row in rows}
    }
    expected = [value - mean[row.group] for value, row in zip(returns, rows, strict=True)]
    assert row_advantages(rows, episodes, algorithm).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("mode", ["full", "window"])
def test_both_contexts_give_the_same_transitions_the_same_weights(episodes, mode):
    """A transition's weight depends on the pool, not on the rows it is cut into."""
    experiment = CONFIG.experiment
    columns = world_model_columns(rows_of(episodes, mode), episodes, experiment, update=1)
    flat = np.concatenate([weights[weights > 0] for weights in columns.weights])
    reference = world_model_columns(rows_of(episodes, "window"), episodes, experiment, update=1)
    assert flat.tolist() == np.concatenate([weights[weights > 0] for weights in reference.weights]).tolist()
    assert columns.selected_share == reference.selected_share
    assert sum(measure.sum() for measure in columns.measure) == pytest.approx(1.0)
    observations = sum(len(turn.observation_ids) for episode in episodes for turn in episode.turns)
    assert sum(observed.sum() for observed in columns.observed) == observations


def test_transitions_without_an_observation_are_no_targets(episodes):
    rows = rows_of(episodes, "window")
    kept = replace_targets(rows, "random_tokens", vocabulary=[5], seed=0, update=1)
    bare = [row.sources.index(Source.OBSERVATION) for row in rows]
    for row, place in zip(kept, bare, strict=True):
        del (
            row.completion_ids[place:],
            row.sources[place:],
            row.segments[place:],
            row.logprobs[place:],
            row.entropies[place:],
        )
    columns = world_model_columns([*kept[:-1], rows[-1]], episodes, CONFIG.experiment, update=1)
    assert sum(weights.any() for weights in columns.weights[:-1]) == 0
    assert columns.selected_share == 1.0


@pytest.mark.parametrize("kind", ["shuffled", "random_tokens"])
def test_controls_replace_the_observation_as_input_and_label_and_nothing_else(episodes, kind):
    rows = rows_of(episodes, "window")
    new = replace_targets(rows, kind, vocabulary=range(100, 140), seed=0, update=1)
    for before, after in zip(rows, new, strict=True):
        assert words(after, Source.ACTION) == words(before, Source.ACTION)
        assert words(after, Source.TEMPLATE) == words(before, Source.TEMPLATE)
        assert words(after, Source.OBSERVATION) != words(before, Source.OBSERVATION)
        assert (after.prompt_ids, after.logprobs[: len(before.logprobs)][:2]) == (
            before.prompt_ids,
            before.logprobs[:2],
        )
        assert len({len(after.completion_ids), len(after.sources), len(after.segments), len(after.logprobs)}) == 1
    tokens = [sum(len(words(row, Source.OBSERVATION)) for row in either) for either in (rows, new)]
    assert tokens[0] == tokens[1]
    if kind == "shuffled":
        texts = [Counter(tuple(words(row, Source.OBSERVATION)) for row in either) for either in (rows, new)]
        assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("balance", "max_return", "penalties_count"),
    [
        ({}, 10.0, False),
        ({"max_return": 20.0}, 20.0, False),
        ({"max_return": 20.0, "include_penalty": True}, 20.0, True),
    ],
)
def test_lambda_follows_the_configured_return(episodes, balance, max_return, penalties_count):
    experiment = run_config(world_model={"enabled": True, "balance": balance}).experiment
    returns = [sum(turn.reward - penalties_count * turn.penalty for turn in e.turns) for e in episodes]
    lambdas = [1 - statistics.fmean(group) / max_return for group in (returns[:4], returns[4:])]
    columns = world_model_columns(rows_of(episodes, "window"), episodes, experiment, update=1)
    assert columns.lambda_mean == pytest.approx(statistics.fmean(min(max(value, 0.0), 1.0) for value in lambdas))


@pytest.mark.parametrize(
    ("balance", "update", "expected"),
    [
        ({"kind": "constant", "value": 0.05}, 1, 0.05),
        ({"kind": "linear", "value": 0.9, "final": 0.1}, 2, 0.7),
        ({"kind": "cosine", "value": 0.9, "final": 0.1}, 3, 0.5),
    ],
)
def test_a_fixed_lambda_ignores_the_returns(episodes, balance, update, expected):
    experiment = run_config(world_model={"enabled": True, "balance": balance}, updates=5).experiment
    columns = world_model_columns(rows_of(episodes, "window"), episodes, experiment, update=update)
    assert columns.lambda_mean == pytest.approx(expected)


def test_one_lambda_over_the_update_weighs_all_groups_alike(episodes):
    """As PPO may want it, whose groups are single episodes."""
    rows, weighed = rows_of(episodes, "window"), {}
    for over in ("group", "update"):
        balance = {"over": over, "max_return": 20.0}
        experiment = run_config(world_model={"enabled": True, "balance": balance}).experiment
        columns = world_model_columns(rows, episodes, experiment, update=1)
        totals = [sum(w.sum() for w, row in zip(columns.weights, rows, strict=True) if row.group == g) for g in (0, 1)]
        weighed[over] = totals
    mean = statistics.fmean(episode.env_return for episode in episodes)
    assert weighed["update"] == pytest.approx([(1 - mean / 20.0) * 2 / 2] * 2, rel=1e-5)
    assert weighed["group"][0] != pytest.approx(weighed["group"][1])
