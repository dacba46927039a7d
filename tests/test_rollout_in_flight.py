"""Episodes in flight: whatever comes back when, every assignment is played once, with the tokens that belong to it."""

import random
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rollout_fakes import MAX_TURNS, Engine, Pool, assignments_of, config_of, small_tokenizer, told

from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.collector import Collector
from paw_bench.rollout.engine import EngineFailed, Reply
from paw_bench.rollout.provenance import Provenance
from paw_bench.rollout.rows import rows_of
from paw_bench.rollout.sampling import noise_key


@pytest.fixture(scope="module")
def tokenizer():
    return small_tokenizer()


def check(episodes, assignments, collector):
    """Every assignment once, in order, with its own replies and its own answers, and nothing without a source."""
    engine, mode = collector.engine, collector.config.context.mode
    assert [(episode.task_id, episode.group, episode.index) for episode in episodes] == [
        (one.task.task_id, one.group, one.index) for one in assignments
    ]
    assert sorted(collector.pool.begun) == list(range(len(assignments)))
    for slot, (episode, one) in enumerate(zip(episodes, assignments, strict=True)):
        length = int(one.task.location)
        replies = [engine.reply(noise_key(one.noise, turn)) for turn in range(max(1, length))]
        assert [turn.action_ids for turn in episode.turns] == [reply.ids for reply in replies]
        assert [turn.action_logprobs for turn in episode.turns] == [reply.logprobs for reply in replies]
        said = [collector.codec.decode(reply.ids) for reply in replies]
        answers = [told(slot, said[: turn + 1]) for turn in range(length)] or [told(slot, [])]
        assert [turn.observation_text for turn in episode.turns] == answers
    assert Provenance(collector.codec.tokenizer).violation(rows_of(episodes, mode), episodes) is None
    assert engine.kept == set()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(0, MAX_TURNS), min_size=1, max_size=14),
    batch=st.integers(1, 5),
    chance=st.integers(0, 10**6).map(random.Random),
    config=st.sampled_from([config_of("window"), config_of("full")]),
    fail_at=st.sets(st.integers(1, 6), max_size=1),
)
def test_any_lengths_and_any_order_of_answers_give_every_assignment_once(tokenizer, **drawn):
    lengths, batch, config, fail_at = (drawn[name] for name in ("lengths", "batch", "config", "fail_at"))
    codec = TurnCodec(tokenizer, config.prompt, config.context)
    pool, engine, assignments = Pool(drawn["chance"]), Engine(codec, fail_at), assignments_of(lengths)
    collector = Collector(config, pool, engine, codec, batch=batch)
    check(collector.collect(assignments, 1.0), assignments, collector)
    assert engine.largest <= batch
    assert pool.most <= 2 * batch
    assert collector.engine_failures == ["gone"] * len({call for call in fail_at if call < engine.calls})


@pytest.mark.parametrize("mode", ["window", "full"])
def test_lock_step_and_in_flight_play_the_same_episodes(mode, tokenizer):
    played = []
    for deterministic in (True, False):
        config = config_of(mode, deterministic=deterministic)
        codec = TurnCodec(tokenizer, config.prompt, config.context)
        assignments = assignments_of([3, 0, 6, 1, 2])
        pool, engine = Pool(random.Random(0)), Engine(codec)
        collector = Collector(config, pool, engine, codec, batch=2)
        played.append(collector.collect(assignments, 1.0))
        check(played[-1], assignments, collector)
        # In lock-step all go to the engine together.
        assert engine.largest == (5 if deterministic else 2)
    assert played[0] == played[1]


@pytest.mark.parametrize("deterministic", [True, False])
def test_an_engine_that_fails_again_ends_the_collection(deterministic, tokenizer):
    config = config_of(deterministic=deterministic)
    codec = TurnCodec(tokenizer, config.prompt, config.context)
    engine = Engine(codec, fail_at=(2, 3))
    collector = Collector(config, Pool(random.Random(0)), engine, codec, batch=8)
    with pytest.raises(EngineFailed, match="gone"):
        collector.collect(assignments_of([4, 4, 4]), 1.0)
    assert collector.engine_failures == ["gone"]
    assert engine.kept == set()


def test_a_reply_without_a_token_is_a_failure_of_the_engine(tokenizer):
    config = config_of()
    codec = TurnCodec(tokenizer, config.prompt, config.context)
    engine = SimpleNamespace(
        generate=lambda requests, temperature: [Reply([], [], []) for _ in requests], forget=lambda conversations: None
    )
    collector = Collector(config, Pool(random.Random(0)), engine, codec, batch=8)
    with pytest.raises(EngineFailed, match="2 requests got 0 replies"):
        collector.collect(assignments_of([1, 1, 1]), 1.0)
    assert collector.engine_failures == ["2 requests got 0 replies"]
