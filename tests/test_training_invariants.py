"""What must not matter to an update of any algorithm: its split, the groups' numbers, appended tokens."""

from dataclasses import replace

import pytest
import torch
import trl.kernels.chunked_logprob as chunked
import trl.trainer.utils as trl_utils
from torch.utils._python_dispatch import TorchDispatchMode
from training_data import (
    ALGORITHMS,
    VOCABULARY,
    assert_same_gradient,
    collect_from,
    every_algorithm,
    gradients_of_steps,
    make_trainer,
    run_config,
    tiny_model,
)

PAW = {"enabled": True}
ONE_STEP = {"optimizer_steps": 1, "entropy_coefficient": 0.01}
HIDDEN = 32
every_mode = pytest.mark.parametrize("mode", ["full", "window"])


def off_policy(config):
    """Episodes of another model, so that ratios differ from 1 and clipping acts."""
    return collect_from(tiny_model(seed=7), config)(1)


def gradient(folder, config, episodes):
    """The gradient of the update's one step; PPO's critic knows something."""
    model = tiny_model()

    def collect(_):
        if config.experiment.algorithm.name == "ppo":
            model.value_head.weight.data.fill_(0.1)
        return episodes

    (found,) = gradients_of_steps(config, model, folder, collect)
    return found


def spied_batches(config, folder, episodes, model=None):
    """The micro-batches of an update, and the gradient of each one's loss to the labels' log-probabilities."""
    seen = []
    trainer = make_trainer(config, model or tiny_model(), folder, collect=lambda _: episodes)
    compute = trainer._compute_loss

    def spying(model, inputs):
        loss = compute(model, inputs)
        seen.append((inputs, torch.autograd.grad(loss, trainer._tapped[0], retain_graph=True)[0]))
        return loss

    trainer._compute_loss = spying
    trainer.train_to(1)
    return seen


@every_algorithm
@every_mode
def test_the_selected_transitions_are_the_same_however_the_update_is_split(tmp_path, mode, name):
    """Micro-batches of 1 to 8 rows, i.e. accumulation 8 to 1, and 1 to 4 optimizer steps."""
    chosen = []
    for steps, rows in [(1, 64), (1, 4), (1, 1), (2, 2), (4, 1)]:
        algorithm = ALGORITHMS[name] | {"optimizer_steps": steps}
        config = run_config(mode, algorithm=algorithm, world_model=PAW, micro_batch_rows=rows)
        found = {}
        for inputs, _ in spied_batches(config, tmp_path, off_policy(config)):
            ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
            for row, place in inputs["wm_weights"].nonzero().tolist():
                end = inputs["prompt_ids"].size(1) + place
                kept = ids[row, :end][ids[row, :end] != 0]
                found[(*kept.tolist(), ids[row, end].item())] = inputs["wm_weights"][row, place].item() / steps
        chosen.append(found)
    assert len(chosen[0]) > 0
    assert all(found == pytest.approx(chosen[0], rel=1e-6) for found in chosen[1:])


@every_algorithm
@every_mode
def test_the_numbers_of_the_groups_do_not_matter_beyond_rounding(tmp_path, mode, name):
    config = run_config(mode, algorithm=ALGORITHMS[name] | ONE_STEP, world_model=PAW)
    episodes = off_policy(config)
    groups = config.experiment.algorithm.tasks
    moved = [replace(episode, group=groups - 1 - episode.group) for episode in episodes]
    assert [episode.task_id for episode in moved] == [episode.task_id for episode in episodes]
    assert_same_gradient(gradient(tmp_path, config, moved), gradient(tmp_path, config, episodes))


@every_algorithm
def test_appended_observations_do_not_change_the_gradient_of_the_actions(tmp_path, name):
    """Nothing that a row appends for the world model is seen by its action: equal to 3e-6 of the largest component."""
    config = run_config(algorithm=ALGORITHMS[name] | ONE_STEP)
    episodes = off_policy(config)
    bare = [
        replace(episode, turns=[replace(turn, observation_ids=[], separator_ids=[]) for turn in episode.turns])
        for episode in episodes
    ]
    assert_same_gradient(gradient(tmp_path, config, episodes), gradient(tmp_path, config, bare))


@every_algorithm
@every_mode
def test_only_actions_and_selected_observations_have_a_gradient(tmp_path, mode, name):
    """RL reaches action tokens, the term selected observations; prompt, glue, padding and the rest get exactly 0."""
    config = run_config(mode, algorithm=ALGORITHMS[name] | ONE_STEP, world_model=PAW | {"loss": {"kind": "ce"}})
    reached = 0
    for inputs, found in spied_batches(config, tmp_path, off_policy(config)):
        action = (inputs["tool_mask"] * inputs["completion_mask"]).bool()
        selected = inputs["wm_weights"] > 0
        assert not (action & selected).any()
        assert (found[selected] != 0).all()
        assert (found[~action & ~selected] == 0).all()
        reached += int((found[action] != 0).sum())
    assert reached > 0


class Largest(TorchDispatchMode):
    """Remembers how many rows of the vocabulary's length the largest tensor has that any operation makes."""

    def __init__(self):
        super().__init__()
        self.rows = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, torch.Tensor) and VOCABULARY in tensor.shape:
                self.rows = max(self.rows, tensor.numel() // VOCABULARY)
        return result


@every_algorithm
@every_mode
def test_no_operation_of_an_update_makes_a_row_of_the_vocabulary_for_every_token(tmp_path, monkeypatch, mode, name):
    """No (B, T, vocabulary) tensor: in chunks of 8 tokens nothing has more rows than the weights have columns."""
    monkeypatch.setattr(chunked, "TOKEN_CHUNK_SIZE", 8)
    monkeypatch.setattr(trl_utils, "_CHUNKED_LOGPROB_CHUNK_SIZE", VOCABULARY)
    config = run_config(mode, algorithm=ALGORITHMS[name] | {"entropy_coefficient": 0.01}, world_model=PAW)
    model, episodes = tiny_model(), off_policy(config)
    trainer = make_trainer(config, model, tmp_path, collect=lambda _: episodes)
    with Largest() as largest:
        trainer.train_to(1)
    assert 8 <= largest.rows <= HIDDEN
    tokens = max(len(turn.context_ids + turn.action_ids) for episode in episodes for turn in episode.turns)
    with Largest() as largest:
        tiny_model()(input_ids=torch.zeros((4, tokens), dtype=torch.long))
    assert largest.rows == 4 * tokens > HIDDEN
