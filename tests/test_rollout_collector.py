import math
import os
import re
import signal

import numpy as np
import pytest
import torch

from paw_bench.config.algorithm import AlgorithmConfig
from paw_bench.config.schema import (
    ContextConfig,
    EnvironmentConfig,
    ExecutionConfig,
    ExperimentConfig,
    GamesConfig,
    PromptConfig,
    RolloutConfig,
    RunConfig,
)
from paw_bench.config.world_model import SelectionConfig, WorldModelConfig
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.errors import UserError
from paw_bench.evaluation.fixed_transitions import measure, play_fixed_transitions
from paw_bench.evaluation.noisy_tokens import names
from paw_bench.rollout.build import build_collector
from paw_bench.rollout.collector import Assignment, Collector
from paw_bench.rollout.episode import Source
from paw_bench.rollout.fitting import MARK
from paw_bench.rollout.provenance import Provenance
from paw_bench.rollout.rows import rows_of
from paw_bench.training.columns import world_model_columns
from paw_bench.warm_start.config import SizeConfig
from paw_bench.warm_start.tokenizer import build_tokenizer
from paw_bench.warm_start.train import build_model

ENVIRONMENT = EnvironmentConfig(
    games=GamesConfig(train=6, tune=6, valid_seen=6, valid_unseen=6, max_receptacles=20),
    max_turns=4,
    invalid_action="admissible",
)


@pytest.fixture(scope="module")
def panels(tmp_path_factory):
    return load_panels(ENVIRONMENT, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def pool(panels):
    with EnvironmentPool(ENVIRONMENT, workers=1, timeout_s=60.0) as pool:
        yield pool


@pytest.fixture(scope="module")
def policy():
    texts = ["You arrive at shelf 1. On the shelf 1, you see a apple 2.", "go to shelf 1", "Nothing happens."]
    tokenizer = build_tokenizer(texts, {"shelf": 6, "cabinet": 6}, size=450)
    return build_model(SizeConfig(hidden=32, intermediate=64, layers=1, heads=2), tokenizer, seed=0), tokenizer


def collector_of(
    mode: str,
    pool,
    policy,
    *,
    batch=64,
    limit=256,
    style="compact",
    world_model=None,
    deterministic=False,
    longest=4096,
) -> Collector:
    model, tokenizer = policy
    config = ExperimentConfig(
        environment=ENVIRONMENT,
        prompt=PromptConfig(style=style),
        context=ContextConfig(mode=mode, max_prompt_tokens=limit, max_response_tokens=5),
        world_model=world_model or WorldModelConfig(),
        rollout=RolloutConfig(deterministic=deterministic),
    )
    run = RunConfig(experiment=config, execution=ExecutionConfig(generation_batch=batch))
    collector = build_collector(run, pool, model, tokenizer)
    return Collector(config, pool, collector.engine, collector.codec, batch=batch, longest=longest)


def assignments_of(panels) -> list[Assignment]:
    tasks = panels["train"].tasks[:3]
    return [Assignment(task, g, i, seed=1, noise=f"{g}/{i}") for g, task in enumerate(tasks) for i in range(2)]


@pytest.mark.parametrize("mode", ["window", "full"])
def test_rows_hold_what_was_sampled_and_what_the_environment_wrote(mode, panels, pool, policy):
    collector = collector_of(mode, pool, policy)
    episodes = collector.collect(assignments_of(panels), 1.0)
    by_order = sorted(episodes, key=lambda episode: (episode.group, episode.index))
    for row in rows_of(episodes, mode):
        turns = by_order[row.episode].turns if mode == "full" else [by_order[row.episode].turns[row.turn]]
        tokens = {
            source: [i for i, s in zip(row.completion_ids, row.sources, strict=True) if s == source]
            for source in Source
        }
        assert tokens[Source.ACTION] == [token for turn in turns for token in turn.action_ids]
        told = "".join(turn.observation_text for turn in turns)
        assert collector.codec.decode(tokens[Source.OBSERVATION]) == told


@pytest.mark.parametrize("mode", ["window", "full"])
def test_the_admissible_actions_can_belong_to_the_target(mode, panels, pool, policy):
    """Then an observation ends in the list that the next prompt shows; with full contexts it is not said again."""
    listed = WorldModelConfig(enabled=True, admissible_in_target=True)
    collector = collector_of(mode, pool, policy, limit=8192, style="chat", world_model=listed)
    decode = collector.codec.decode
    for episode in collector.collect(assignments_of(panels)[:2], 1.0):
        for turn, following in zip(episode.turns, episode.turns[1:], strict=False):
            target = decode(turn.observation_ids)
            assert target.startswith(turn.observation_text + "\n")
            actions = target.removeprefix(turn.observation_text + "\n")
            assert "'look'" in actions
            assert actions in decode(following.context_ids)
            if mode == "full":
                told = turn.context_ids + turn.action_ids + turn.separator_ids + turn.observation_ids
                assert following.context_ids[: len(told)] == told
                assert actions not in decode(following.context_ids[len(told) :])
        last = episode.turns[-1]
        assert decode(last.observation_ids) == last.observation_text


@pytest.mark.parametrize("mode", ["window", "full"])
def test_engine_logprobs_are_those_of_one_forward_pass_over_the_row(mode, panels, pool, policy):
    model, _ = policy
    episodes = collector_of(mode, pool, policy).collect(assignments_of(panels)[:2], 1.0)
    for row in rows_of(episodes, mode):
        ids = torch.tensor([row.prompt_ids + row.completion_ids])
        with torch.no_grad():
            logps = model(ids).logits[0, len(row.prompt_ids) - 1 : -1].log_softmax(-1)
        found = logps.gather(-1, torch.tensor(row.completion_ids)[:, None])[:, 0]
        action = torch.tensor([source == Source.ACTION for source in row.sources])
        assert torch.allclose(found[action], torch.tensor(row.logprobs)[action], atol=1e-5)


def test_equal_assignments_give_equal_episodes_whatever_the_order_and_batch(panels, pool, policy):
    assignments = assignments_of(panels)
    forward = collector_of("window", pool, policy).collect(assignments, 1.0)
    backward = collector_of("window", pool, policy, batch=2).collect(assignments[::-1], 1.0)[::-1]
    for one, other in zip(forward, backward, strict=True):
        assert [turn.action_ids for turn in one.turns] == [turn.action_ids for turn in other.turns]
        assert [turn.observation_text for turn in one.turns] == [turn.observation_text for turn in other.turns]


def test_a_worker_killed_while_the_engine_generates_changes_no_token(panels, pool, policy, monkeypatch):
    collector = collector_of("window", pool, policy)
    undisturbed = collector.collect(assignments_of(panels), 1.0)
    generate, calls = collector.engine.generate, []

    def killing(requests, temperature):
        calls.append(len(requests))
        if len(calls) in (2, 4):
            os.kill(pool._seats[0].process.pid, signal.SIGKILL)
        return generate(requests, temperature)

    monkeypatch.setattr(collector.engine, "generate", killing)
    before = pool.redone
    disturbed = collector.collect(assignments_of(panels), 1.0)
    assert pool.redone > before
    assert [[turn.receipt for turn in one.turns] for one in disturbed] == [
        [turn.receipt for turn in one.turns] for one in undisturbed
    ]
    assert [[turn.observation_text for turn in one.turns] for one in disturbed] == [
        [turn.observation_text for turn in one.turns] for one in undisturbed
    ]


def test_lock_step_repeats_to_the_bit(panels, pool, policy):
    collector = collector_of("window", pool, policy, deterministic=True)
    assert collector.collect(assignments_of(panels), 1.0) == collector.collect(assignments_of(panels), 1.0)


def test_overlong_prompts_lose_history_and_then_their_middle_with_a_mark(panels, pool, policy):
    collector = collector_of("window", pool, policy, limit=40)
    mark = collector.codec.encode(MARK)
    (whole,) = collector_of("window", pool, policy, limit=2048).collect(assignments_of(panels)[:1], 1.0)
    (episode,) = collector.collect(assignments_of(panels)[:1], 1.0)
    first, full = episode.turns[0], whole.turns[0].context_ids
    kept = 40 - len(mark)
    assert first.context_ids == full[: kept // 4] + mark + full[len(full) - kept + kept // 4 :]
    assert first.cut_tokens == len(full) - kept
    assert all(len(turn.context_ids) == 40 and turn.cut_tokens for turn in episode.turns)
    assert [turn.dropped_turns for turn in episode.turns] == [0, 1, 2, 2]
    assert all(turn.cut_tokens == turn.dropped_turns == 0 for turn in whole.turns)


@pytest.mark.parametrize("mode", ["window", "full"])
def test_no_row_is_longer_than_the_model_can_read(mode, panels, pool, policy):
    """A full context that has no room for another turn ends its episode; what is cut of an observation is marked."""
    free = collector_of(mode, pool, policy)
    (whole,) = free.collect(assignments_of(panels)[:1], 1.0)
    mark = free.codec.encode(MARK)
    first = whole.turns[0]
    short = len(first.context_ids + first.action_ids + first.separator_ids + first.observation_ids) - 1
    longest = max(short, len(first.context_ids) + free.scribe.room.after_prompt)
    collector = collector_of(mode, pool, policy, longest=longest)
    (episode,) = collector.collect(assignments_of(panels)[:1], 1.0)
    rows = rows_of([episode], mode)
    assert all(len(row.prompt_ids) + len(row.completion_ids) <= longest for row in rows)
    assert Provenance(policy[1]).violation(rows, [episode]) is None
    assert episode.outgrown == (mode == "full")
    if mode == "full":
        assert len(episode.turns) < len(whole.turns)
        assert not episode.success
    for turn in episode.turns:
        assert turn.closing_ids == (mark if turn.unread_tokens else [])
    # What was left behind is forgotten: the pool plays on.
    assert len(free.collect(assignments_of(panels), 1.0)) == 6


def test_a_model_without_room_for_a_prompt_is_refused(pool, policy):
    with pytest.raises(UserError, match=r"context.max_response_tokens: 5 leaves no room"):
        collector_of("full", pool, policy, longest=8)


def test_invalid_actions_are_penalised_apart_from_the_reward(panels, pool, policy):
    episodes = collector_of("window", pool, policy).collect(assignments_of(panels), 1.0)
    for turn in (turn for episode in episodes for turn in episode.turns):
        assert turn.valid == turn.accepted
        assert turn.penalty == (0.0 if turn.valid else ENVIRONMENT.invalid_action_penalty)
    assert any(episode.penalty > 0 and episode.env_return == 0 for episode in episodes)


@pytest.mark.parametrize("mode", ["window", "full"])
def test_fixed_transitions_are_the_same_for_every_policy(mode, panels, pool, policy):
    model, tokenizer = policy
    collector = collector_of(mode, pool, policy)
    sets = [play_fixed_transitions(collector.config, pool, panels["tune"], collector.codec) for _ in range(2)]
    assert sets[0] == sets[1]
    measured = measure(model, sets[0], batch=7, rho=0.2)
    again = measure(model, sets[0], batch=64, rho=0.2)
    assert measured["tokens"] == again["tokens"] > 0
    assert measured["nll"] == pytest.approx(again["nll"], rel=1e-5)
    # An untrained model knows nothing: about the log of its vocabulary.
    assert measured["nll"] == pytest.approx(torch.tensor(len(tokenizer)).log().item(), rel=0.1)


@pytest.mark.parametrize("mode", ["window", "full"])
def test_names_that_the_context_does_not_hold_are_noise(mode, panels, pool, policy):
    """Checked against the texts that the model reads, token by token."""
    collector = collector_of(mode, pool, policy)
    codec = collector.codec
    fixed = play_fixed_transitions(collector.config, pool, panels["tune"], codec)
    marked = 0
    for row, marks in zip(fixed.rows, fixed.noisy, strict=True):
        places = [place for place, source in enumerate(row.sources) if source == Source.OBSERVATION]
        assert len(places) == len(marks)
        for place, noise in zip(places, marks, strict=True):
            before = codec.decode(row.prompt_ids + row.completion_ids[:place])
            piece = codec.decode([row.completion_ids[place]])
            if re.fullmatch(r" [a-z]+ \d+", piece):
                # A place and its number are one token of this vocabulary.
                assert noise == (piece[1:] not in names(before))
            elif not re.search(r"[A-Za-z0-9 ]", piece):
                assert not noise
        marked += sum(marks)
    assert 0 < marked < sum(map(len, fixed.noisy)) / 2


@pytest.mark.parametrize("mode", ["window", "full"])
def test_the_histogram_holds_every_observation_token_with_the_weight_of_the_loss(mode, panels, pool, policy):
    model, _ = policy
    collector = collector_of(mode, pool, policy)
    fixed = play_fixed_transitions(collector.config, pool, panels["tune"], collector.codec)
    measured = measure(model, fixed, batch=7, rho=0.2)
    found = measured["probabilities"]
    total = {name: sum(found["noisy"][name]) + sum(found["other"][name]) for name in ("tokens", "weight", "ce", "mae")}
    assert total["tokens"] == measured["tokens"]
    assert sum(found["noisy"]["tokens"]) == sum(map(sum, fixed.noisy))
    assert total["weight"] == pytest.approx(1.0)
    # The mean over transitions of the mean over their tokens, and not the mean over all tokens.
    assert total["ce"] == pytest.approx(measured["loss_mae"], rel=0.05)
    assert 0 < total["mae"] < total["ce"]


@pytest.mark.parametrize("score", ["entropy", "sampled", "surprisal", "random"])
def test_entropies_of_the_vocabulary_are_taken_only_where_the_score_reads_them(score, panels, pool, policy):
    """The other scores cost decoding nothing, and select without them."""
    world_model = WorldModelConfig(enabled=True, selection=SelectionConfig(score=score))
    collector = collector_of("window", pool, policy, world_model=world_model)
    episodes = collector.collect(assignments_of(panels), 1.0)
    entropies = [value for episode in episodes for turn in episode.turns for value in turn.action_entropies]
    assert all(math.isnan(value) == (score != "entropy") for value in entropies)
    algorithm = AlgorithmConfig(groups=3, group_size=2, optimizer_steps=1)
    experiment = collector.config.model_copy(update={"algorithm": algorithm})
    columns = world_model_columns(rows_of(episodes, "window"), episodes, experiment, update=1)
    assert columns.selected_share == pytest.approx(0.75, abs=0.05)
    assert all(np.isfinite(weights).all() for weights in columns.weights)
