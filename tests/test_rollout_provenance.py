"""No token reaches an optimizer step that engine or environment did not give."""

import random
from dataclasses import replace

import pytest
import torch
from rollout_fakes import Engine, Pool, assignments_of, config_of, small_tokenizer
from training_data import collect_from, parameters, run_config, tiny_model, tiny_tokenizer

from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.collector import Collector
from paw_bench.rollout.episode import Source
from paw_bench.rollout.provenance import Provenance
from paw_bench.rollout.rows import rows_of
from paw_bench.training.build import build_trainer
from paw_bench.training.health import ProvenanceViolated

every_mode = pytest.mark.parametrize("mode", ["window", "full"])


@pytest.fixture(scope="module")
def tokenizer():
    return small_tokenizer()


def played(mode, tokenizer):
    config = config_of(mode)
    codec = TurnCodec(tokenizer, config.prompt, config.context)
    collector = Collector(config, Pool(random.Random(0)), Engine(codec), codec, batch=4)
    episodes = collector.collect(assignments_of([3, 1, 0, 5]), 1.0)
    return rows_of(episodes, mode), episodes


def first(row, source, after=0):
    return row.sources.index(source, after)


def put(values, place, value):
    return [*values[:place], value, *values[place + 1 :]]


def another_action(row):
    at = first(row, Source.ACTION)
    return replace(row, completion_ids=put(row.completion_ids, at, row.completion_ids[at] + 1))


def another_logprob(row):
    at = first(row, Source.ACTION)
    return replace(row, logprobs=put(row.logprobs, at, row.logprobs[at] - 1e-6))


def another_observation(row):
    at = first(row, Source.OBSERVATION)
    return replace(row, completion_ids=put(row.completion_ids, at, row.completion_ids[at] + 1))


def another_prompt(row):
    return replace(row, prompt_ids=put(row.prompt_ids, 2, row.prompt_ids[2] + 1))


def template_as_observation(row):
    return replace(row, sources=put(row.sources, first(row, Source.OBSERVATION) - 1, Source.OBSERVATION))


def observation_as_action(row):
    return replace(row, sources=put(row.sources, first(row, Source.OBSERVATION), Source.ACTION))


def no_source(row):
    return replace(row, sources=row.sources[:-1])


def another_turn(row):
    return replace(row, segments=put(row.segments, first(row, Source.OBSERVATION), row.segments[0] + 1))


def one_more_token(row):
    longer = {name: [*getattr(row, name), 0] for name in ("completion_ids", "segments", "logprobs", "entropies")}
    return replace(row, sources=[*row.sources, Source.PROMPT], **longer)


TAMPERED = {
    another_action: "not what the engine sampled",
    another_logprob: "not what the engine sampled",
    another_observation: "is not the environment's text",
    another_prompt: "not the one that it was sampled in",
    template_as_observation: "is not the environment's text",
    observation_as_action: "",
    no_source: "a token without a source",
    another_turn: "",
    one_more_token: "1 tokens that belong to no turn",
}


@every_mode
def test_what_was_played_has_no_violation(mode, tokenizer):
    rows, episodes = played(mode, tokenizer)
    assert Provenance(tokenizer).violation(rows, episodes) is None


@every_mode
@pytest.mark.parametrize("tamper", TAMPERED)
def test_every_tampered_row_is_found_and_named(mode, tamper, tokenizer):
    rows, episodes = played(mode, tokenizer)
    assert TAMPERED[tamper] in Provenance(tokenizer).violation([*rows[:-1], tamper(rows[-1])], episodes).words
    problem = Provenance(tokenizer).violation([tamper(rows[0]), *rows[1:]], episodes)
    assert problem.words.startswith("episode 0/0 of task task-0")
    assert problem.episode is episodes[0]


@every_mode
def test_a_row_that_is_missing_or_there_twice_is_found(mode, tokenizer):
    rows, episodes = played(mode, tokenizer)
    for others in (rows[1:], [*rows, rows[0]]):
        assert "tokens were sampled" in Provenance(tokenizer).violation(others, episodes).words


def test_a_reply_that_is_changed_after_it_was_sampled_is_found(tokenizer):
    _, episodes = played("window", tokenizer)
    turn = episodes[3].turns[2]
    turn.action_ids = [turn.action_ids[0] + 1, *turn.action_ids[1:]]
    problem = Provenance(tokenizer).violation(rows_of(episodes, "window"), episodes).words
    assert (
        problem
        == "episode 1/1 of task task-3, turn 3: action 3 or its log-probabilities are not what the engine sampled"
    )


def test_an_observation_may_end_where_it_was_cut_and_nowhere_else(tokenizer):
    _, episodes = played("window", tokenizer)
    turn = episodes[0].turns[0]
    turn.observation_ids = turn.observation_ids[:2]
    turn.closing_ids = tokenizer.encode("...")
    assert (
        "is not the environment's text" in Provenance(tokenizer).violation(rows_of(episodes, "window"), episodes).words
    )
    turn.unread_tokens = 5
    assert Provenance(tokenizer).violation(rows_of(episodes, "window"), episodes) is None


@every_mode
def test_a_violation_stops_training_before_a_step(mode, tmp_path):
    config, model = run_config(mode), tiny_model()
    trainer = build_trainer(
        config,
        model=model,
        tokenizer=tiny_tokenizer(),
        collect=collect_from(model, config),  # its replies have no receipts
        on_update=lambda record, trainer: pytest.fail("an update went through"),
        output_dir=tmp_path,
    )
    before = parameters(model)
    with pytest.raises(ProvenanceViolated, match="update 1: episode 0/0 of task task-0"):
        trainer.train_to(1)
    assert torch.equal(parameters(model), before)
