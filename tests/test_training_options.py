"""What every algorithm has: adapters, recomputed activations, bfloat16; and the tasks that PPO plays."""

import random
import sys

import pytest
import torch
from training_data import (
    ALGORITHMS,
    assert_same_gradient,
    collect_from,
    every_algorithm,
    gradients_of_steps,
    make_trainer,
    parameters,
    run_config,
    tiny_model,
)

from paw_bench.envs.protocol import Task
from paw_bench.errors import UserError
from paw_bench.rollout.episode import Episode
from paw_bench.training.tasks import assignments_of_update

PAW = {"enabled": True}


@every_algorithm
def test_recomputed_activations_give_the_same_gradient(tmp_path, name):
    episodes, gradients = collect_from(tiny_model(seed=7), run_config(algorithm=ALGORITHMS[name]))(1), []
    for recompute in (False, True):
        config = run_config(algorithm=ALGORITHMS[name], world_model=PAW, gradient_checkpointing=recompute)
        model = tiny_model()
        gradients.append(gradients_of_steps(config, model, tmp_path, lambda _: episodes)[0])
        assert model.is_gradient_checkpointing == recompute
    assert_same_gradient(gradients[1], gradients[0])


@every_algorithm
@pytest.mark.parametrize("mode", ["full", "window"])
def test_adapters_train_and_the_model_below_them_does_not(tmp_path, mode, name):
    """With the KL term, whose initial policy is the model with its adapters off, and a resume to the bit."""
    algorithm = ALGORITHMS[name] | {"kl_coefficient": 0.1, "learning_rate": 1e-2}
    config = run_config(mode, algorithm=algorithm, world_model=PAW, updates=2, lora_rank=2)
    model, records = tiny_model(), []
    trainer = make_trainer(config, model, tmp_path, on_update=lambda record, _: records.append(record))
    trainer.train_to(1)
    trainer.save_checkpoint(tmp_path / "checkpoint")
    trainer.train_to(2)
    trained = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    start = tiny_model().state_dict()
    for key, value in trained.items():
        own = key.removeprefix("base_model.model.").replace("base_layer.", "")
        if own in start:
            assert torch.equal(value, start[own]), key
    assert any(value.count_nonzero() for key, value in trained.items() if "lora_B" in key)
    assert records[1]["kl"] > 1e-6
    assert ("value_head" in str(trained.keys())) == (name == "ppo")

    trainer = make_trainer(config, tiny_model(), tmp_path)
    trainer.load_checkpoint(tmp_path / "checkpoint")
    trainer.train_to(2)
    again = trainer.model.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in trained.items())


def test_adapters_without_peft_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"pip install 'paw_bench\[lora\]'"):
        make_trainer(run_config(lora_rank=2), tiny_model(), tmp_path)


@every_algorithm
def test_a_bfloat16_run_keeps_float32_weights(tmp_path, name):
    config = run_config(dtype="bfloat16", algorithm=ALGORITHMS[name] | {"learning_rate": 1e-6})
    model, records = tiny_model().to(torch.bfloat16), []
    before = parameters(model).float()
    make_trainer(config, model, tmp_path, on_update=lambda record, _: records.append(record)).train_to(1)
    after = parameters(model)
    assert after.dtype == torch.float32
    assert (after[: len(before)] != before).float().mean() > 0.9
    assert 0 < records[0]["logprob_gap"] < 0.2


@pytest.mark.parametrize("mode", ["full", "window"])
def test_ppo_plays_128_different_tasks_once_and_trains_on_each(tmp_path, mode):
    """16 x 8 episodes of the other algorithms are 128 x 1 here, whatever TRL would repeat."""
    options = ALGORITHMS["ppo"] | {"groups": 16, "group_size": 8}
    config, model = run_config(mode, algorithm=options, world_model=PAW, micro_batch_rows=64), tiny_model()
    tasks = tuple(Task(f"task-{number}", "pick", "") for number in range(600))
    one = collect_from(model, run_config(mode, algorithm=ALGORITHMS["ppo"] | {"groups": 2, "group_size": 1}))
    played, trained, records = [], [], []

    def collect(update):
        for assignment in assignments_of_update(tasks, config.experiment.algorithm, seed=0, update=update):
            number = len(played)
            turns = [one(number)[0].turns[0]]
            # Two tokens that name the episode open its prompt.
            turns[0].context_ids[:2] = [2 + number % 32, 2 + number // 32]
            turns[0].reward = 10.0 if random.Random(number).random() < 0.5 else 0.0
            task = assignment.task
            played.append(Episode(task.task_id, task.task_type, assignment.group, assignment.index, 0, turns))
        return played

    trainer = make_trainer(config, model, tmp_path, collect=collect, on_update=lambda record, _: records.append(record))
    compute = trainer._compute_loss

    def spying(model, inputs):
        for ids, mask in zip(inputs["prompt_ids"], inputs["prompt_mask"], strict=True):
            trained.append(tuple(ids[mask.bool()][:2].tolist()))
        return compute(model, inputs)

    trainer._compute_loss = spying
    trainer.train_to(1)
    assert len({episode.task_id for episode in played}) == len(played) == records[0]["episodes"] == 128
    assert len(set(trained)) == len(trained) == 128
    # lambda of each trajectory: 1 where it lost, 0 where it won.
    lost = sum(episode.env_return == 0 for episode in played)
    assert records[0]["wm"]["lambda_mean"] == pytest.approx(lost / 128)
