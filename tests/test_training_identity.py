"""Without the world-model term, training is TRL's own GRPO to the bit; with it, no forward pass is added."""

import pytest
import torch
from datasets import Dataset
from training_data import collect_from, make_trainer, parameters, run_config, tiny_model, tiny_tokenizer
from transformers import AutoModelForCausalLM
from trl import GRPOTrainer

from paw_bench.rollout.episode import Source
from paw_bench.rollout.rows import rows_of
from paw_bench.training.arguments import arguments_of

UPDATES = 3


def train_with_plain_trl(config, model, folder):
    """TRL's trainer on the same episodes, fed as a user of TRL would."""
    collect, updates = collect_from(model, config), iter(range(1, UPDATES + 1))

    def rollout_func(prompts, trainer):
        episodes = collect(next(updates))
        rows = rows_of(episodes, "full")
        assert len(rows) == len(prompts)
        return {
            "prompt_ids": [row.prompt_ids for row in rows],
            "completion_ids": [row.completion_ids for row in rows],
            "logprobs": None,
            "env_mask": [[1 if source == Source.ACTION else 0 for source in row.sources] for row in rows],
            "returns": [sum(turn.reward - turn.penalty for turn in episode.turns) for episode in episodes],
        }

    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[lambda returns, **_: returns],
        args=arguments_of(config, folder),
        train_dataset=Dataset.from_dict({"prompt": [""] * config.experiment.algorithm.groups}),
        processing_class=tiny_tokenizer(),
        rollout_func=rollout_func,
    )
    trainer.train()


def train_with_paw_bench(config, model, folder):
    """Our trainer, entered twice, with other users of the global random numbers in between."""
    trainer = make_trainer(config, model, folder)
    trainer.train_to(1)
    torch.rand(3)
    trainer.train_to(UPDATES)


@pytest.mark.parametrize(
    "algorithm",
    [
        {},
        {"epochs": 2},
        {"optimizer_steps": 1, "lr_schedule": "linear", "warmup_steps": 1, "loss_type": "grpo"},
        {"epochs": 2, "kl_coefficient": 0.05, "entropy_coefficient": 0.01, "scale_advantages": "batch"},
    ],
    ids=["plain", "two-epochs", "on-policy", "kl-and-entropy"],
)
def test_disabled_term_trains_to_the_same_bits_as_plain_trl(tmp_path, algorithm):
    config = run_config("full", algorithm=algorithm, updates=UPDATES)
    tiny_model().save_pretrained(tmp_path / "initial")
    ours, theirs = (AutoModelForCausalLM.from_pretrained(tmp_path / "initial") for _ in range(2))
    train_with_paw_bench(config, ours, tmp_path)
    train_with_plain_trl(config, theirs, tmp_path)
    assert not torch.equal(parameters(ours), parameters(tiny_model()))
    assert torch.equal(parameters(ours), parameters(theirs))


@pytest.mark.parametrize("mode", ["full", "window"])
def test_a_lambda_of_0_trains_to_the_same_bits_as_the_disabled_term_and_a_positive_one_does_not(tmp_path, mode):
    def trained(world_model):
        model = tiny_model()
        make_trainer(run_config(mode, world_model=world_model, updates=2), model, tmp_path).train_to(2)
        return parameters(model)

    disabled = trained({"enabled": False})
    nothing, little = ({"enabled": True, "balance": {"kind": "constant", "value": value}} for value in (0.0, 0.1))
    assert torch.equal(trained(nothing), disabled)
    assert not torch.equal(trained(little), disabled)


@pytest.mark.parametrize(("mode", "forwards"), [("full", 4 + 2), ("window", 2 * (2 + 2))])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_term_adds_no_forward_pass(tmp_path, mode, forwards, enabled):
    """Two epochs of two steps, at most 4 rows a micro-batch: `full` has 8 rows, which TRL also scores under the old
    policy; `window` has 16 rows and needs no old policy."""
    model = tiny_model()
    config = run_config(mode, algorithm={"epochs": 2}, world_model={"enabled": enabled})
    episodes = collect_from(model, config)(1)
    trainer = make_trainer(config, model, tmp_path, collect=lambda update: episodes)
    calls = []
    model.model.register_forward_pre_hook(lambda *_: calls.append(1))
    trainer.train_to(1)
    assert len(calls) == forwards
