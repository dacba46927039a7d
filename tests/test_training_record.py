"""What an update reports, and what stops it."""

from dataclasses import replace

import pytest
import torch
from training_data import collect_from, make_trainer, parameters, run_config, tiny_model

from paw_bench.errors import UserError
from paw_bench.training.health import TrainingDiverged


def records_of(config, folder, model=None):
    records, model = [], model or tiny_model()
    trainer = make_trainer(config, model, folder, on_update=lambda record, _: records.append(record))
    trainer.train_to(config.experiment.training.updates)
    return records


@pytest.mark.parametrize("mode", ["full", "window"])
def test_record_counts_the_update(tmp_path, mode):
    config = run_config(mode, world_model={"enabled": True})
    episodes = collect_from(tiny_model(), config)(1)
    turns = [turn for episode in episodes for turn in episode.turns]
    record = records_of(config, tmp_path)[0]
    assert (record["update"], record["episodes"], record["tasks"]) == (1, 8, 2)
    assert record["rows"] == (8 if mode == "full" else len(turns))
    assert record["success"] == pytest.approx(sum(episode.success for episode in episodes) / 8)
    assert record["reward"] == pytest.approx(10 * record["success"])
    assert record["penalty"] == pytest.approx(sum(turn.penalty for turn in turns) / 8)
    assert record["turns"] == len(turns) / 8
    assert record["accepted_share"] == pytest.approx(sum(turn.accepted for turn in turns) / len(turns))
    assert record["tokens"]["action"] == sum(len(turn.action_ids) for turn in turns)
    assert record["tokens"]["observation"] == sum(len(turn.observation_ids) for turn in turns)
    assert record["logprob_gap"] < 1e-5
    assert 0 <= record["padding_share"] < 0.6
    assert record["grad_norm"] > 0
    assert record["kl"] is None
    assert record["wm"]["weight"] == pytest.approx(1 - record["success"])
    assert record["wm"]["selected_share"] >= 0.75


def test_actions_that_were_cut_off_and_turns_that_repeat_are_counted(tmp_path):
    """A turn repeats where the action and what it was told are those of an earlier turn of its own episode."""
    config = run_config()
    episodes = collect_from(tiny_model(), config)(1)
    texts = iter(range(1000))
    for episode in episodes:
        for own in episode.turns:
            own.action_text = f"action {next(texts)}"
    longest = max(episodes, key=lambda episode: len(episode.turns))
    assert len(longest.turns) == 3
    for own, told in zip(longest.turns, ("shelf", "floor", "shelf"), strict=True):
        own.action_text, own.observation_text = "look", told
    cut = episodes[0].turns[0]
    cut.action_ids[-1] = 5
    records = []
    trainer = make_trainer(
        config, tiny_model(), tmp_path, collect=lambda _: episodes, on_update=lambda record, _: records.append(record)
    )
    trainer.train_to(1)
    turns = sum(len(episode.turns) for episode in episodes)
    assert (records[0]["cut_share"], records[0]["repeated_share"]) == (1 / turns, 1 / turns)


@pytest.mark.parametrize("mode", ["full", "window"])
def test_the_disabled_term_is_measured_as_the_enabled_one_is(tmp_path, mode):
    """At the first step nothing has been learnt yet, so an arm's measurements do not depend on the term."""
    off, on = (
        records_of(run_config(mode, algorithm={"optimizer_steps": 1}, world_model={"enabled": enabled}), tmp_path)[0]
        for enabled in (False, True)
    )
    assert off["wm"].pop("weight") == 0.0
    assert on["wm"].pop("weight") > 0.0
    assert off["wm"] == on["wm"]
    assert off["rl_loss"] == on["rl_loss"] == pytest.approx(off["loss"])
    assert on["loss"] > on["rl_loss"] + 0.1


@pytest.mark.parametrize("mode", ["full", "window"])
def test_an_engine_of_other_weights_shows_in_the_gap(tmp_path, mode):
    config, records, model = run_config(mode), [], tiny_model()
    episodes = collect_from(tiny_model(seed=9), config)(1)
    trainer = make_trainer(
        config, model, tmp_path, collect=lambda _: episodes, on_update=lambda record, _: records.append(record)
    )
    trainer.train_to(1)
    assert records[0]["logprob_gap"] > 0.1


def test_training_stops_with_sound_weights_when_it_diverges(tmp_path):
    config, model = run_config(), tiny_model()
    episodes = collect_from(model, config)(1)
    first = episodes[0].turns[0]
    episodes[0].turns[0] = replace(first, action_logprobs=[float("nan")] * len(first.action_ids))
    trainer = make_trainer(config, model, tmp_path, collect=lambda _: episodes)
    with pytest.raises(TrainingDiverged, match="update 1, optimizer step") as stop:
        trainer.train_to(1)
    assert parameters(model).isfinite().all()
    # The row may lie in either of the update's two steps.
    assert stop.value.untouched == ("optimizer step 1:" in str(stop.value))


def test_weights_that_are_not_finite_are_no_checkpoint(tmp_path):
    model = tiny_model()
    trainer = make_trainer(run_config(), model, tmp_path)
    trainer.train_to(1)
    trainer.save_checkpoint(tmp_path / "good")
    with torch.no_grad():
        next(model.parameters())[0, 0] = float("inf")
    with pytest.raises(TrainingDiverged, match="update 1: its last optimizer step left weights"):
        trainer.save_checkpoint(tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_full_contexts_need_optimizer_steps_that_divide_the_episodes(tmp_path):
    with pytest.raises(UserError, match="optimizer_steps = 3 does not divide the 8 episodes"):
        make_trainer(run_config("full", algorithm={"optimizer_steps": 3}), tiny_model(), tmp_path)
    assert records_of(run_config("window", algorithm={"optimizer_steps": 3}), tmp_path)


def test_the_kl_term_needs_the_initial_policy_on_disk(tmp_path):
    with pytest.raises(UserError, match="initial policy on disk"):
        make_trainer(run_config(algorithm={"kl_coefficient": 0.1}), tiny_model(), tmp_path)


def test_a_bfloat16_run_trains_float32_weights_that_small_steps_reach(tmp_path):
    """In bfloat16 weights, steps of 1e-6 would be rounded away. Rollout and training see the same precision."""
    config = run_config(dtype="bfloat16", algorithm={"learning_rate": 1e-6})
    model, records = tiny_model().to(torch.bfloat16), []
    before = parameters(model).float()
    make_trainer(config, model, tmp_path, on_update=lambda record, _: records.append(record)).train_to(1)
    assert parameters(model).dtype == torch.float32
    assert (parameters(model) != before).float().mean() > 0.9
    assert 0 < records[0]["logprob_gap"] < 0.2
