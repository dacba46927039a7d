"""A run that goes on from a checkpoint ends in the same bits as one that was never interrupted."""

import pytest
import torch
from training_data import make_trainer, parameters, run_config, tiny_model

UPDATES = 4
CHANGING = {"epochs": 2, "lr_schedule": "linear", "warmup_steps": 2, "weight_decay": 0.1}


ALGORITHMS = {
    "grpo": {},
    "rloo": {"name": "rloo", "scale_advantages": "none"},
    "gigpo": {"name": "gigpo"},
    "ppo": {"name": "ppo", "scale_advantages": "batch", "ppo": {"critic_learning_rate": 1e-2}},
}


def config_of(mode, name="grpo"):
    world_model = {"enabled": True, "selection": {"score": "random"}}
    if mode == "window":
        world_model["targets"] = "shuffled"
    return run_config(mode, algorithm=CHANGING | ALGORITHMS[name], world_model=world_model, updates=UPDATES)


def timeless(record):
    """What a record says, without what depends on the clock and the machine."""
    return {name: value for name, value in record.items() if name not in {"time", "seconds", "peak_memory_mb"}}


@pytest.mark.parametrize("mode", ["full", "window"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_resumed_run_is_bit_identical_to_an_unbroken_one(tmp_path, mode, name):
    """The critic's weights and its optimizer's state included."""
    unbroken, records = tiny_model(), []
    trainer = make_trainer(
        config_of(mode, name), unbroken, tmp_path, on_update=lambda record, _: records.append(record)
    )
    trainer.train_to(UPDATES)

    killed = tiny_model()
    trainer = make_trainer(config_of(mode, name), killed, tmp_path)
    trainer.train_to(2)
    trainer.save_checkpoint(tmp_path / "checkpoint")
    trainer.train_to(3)
    assert not torch.equal(parameters(killed), parameters(unbroken))

    resumed, later = tiny_model(seed=5), []
    trainer = make_trainer(config_of(mode, name), resumed, tmp_path, on_update=lambda record, _: later.append(record))
    torch.rand(7)
    trainer.load_checkpoint(tmp_path / "checkpoint")
    assert trainer.updates_done == 2
    trainer.train_to(UPDATES)
    assert torch.equal(parameters(resumed), parameters(unbroken))
    assert list(map(timeless, later)) == list(map(timeless, records[2:]))


def test_training_neither_uses_nor_changes_the_random_numbers_of_others(tmp_path):
    model = tiny_model()
    trainer = make_trainer(config_of("full"), model, tmp_path)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    trainer.train_to(1)
    assert torch.equal(torch.rand(3), expected)


def test_no_update_is_repeated_and_none_goes_past_the_end(tmp_path):
    updates, model = [], tiny_model()
    trainer = make_trainer(config_of("window"), model, tmp_path, on_update=lambda record, _: updates.append(record))
    for target in (2, 2, 1, UPDATES + 5):
        trainer.train_to(target)
    assert [record["update"] for record in updates] == [1, 2, 3, 4]
    rates = [record["learning_rate"] for record in updates]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.1 * rates[0]
