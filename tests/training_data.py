"""Tiny models and synthetic episodes for the training tests: no environment, no engine, exact log-probabilities."""

import gc
import random

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.distributed.tensor import DTensor
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, TrainerCallback

from paw_bench.config.schema import RunConfig
from paw_bench.rollout.episode import Episode, Turn, receipt_of
from paw_bench.training.build import build_trainer
from paw_bench.training.loop import UpdateLoop

VOCABULARY = 40

# What each algorithm needs beside its name.
ALGORITHMS = {
    "grpo": {},
    "rloo": {"name": "rloo", "scale_advantages": "none"},
    "gigpo": {"name": "gigpo"},
    "ppo": {"name": "ppo", "scale_advantages": "batch"},
}
every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)

# HF collects garbage whenever training is entered, which takes seconds with a test session's imports on the heap.
gc.freeze()
# Several threads are far slower on models of this size, above all on a busy machine.
torch.set_num_threads(1)


class Unread(PreTrainedTokenizerFast):
    """Reads the same in all tokens: a test is free to say which of its synthetic observations have equal texts."""

    def decode(self, *_, **__):
        return "text"


def tiny_tokenizer(kind: type[PreTrainedTokenizerFast] = Unread) -> PreTrainedTokenizerFast:
    words = {"<pad>": 0, "<end>": 1} | {f"w{number}": number for number in range(2, VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return kind(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", padding_side="left")


def tiny_model(seed: int = 0, layers: int = 1, spread: float = 0.3) -> Qwen2ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=spread,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config)


@torch.no_grad()
def label_logprobs(model, ids: list[int]) -> tuple[list[float], list[float]]:
    """Reference: log-probability of each token given those before it, and the entropy there (first token: 0)."""
    log_softmax = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    labels = log_softmax.gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]
    entropies = -(log_softmax.exp() * log_softmax).sum(-1)
    return [0.0, *labels.tolist()], [0.0, *entropies.tolist()]


def run_config(
    mode: str = "window",
    *,
    algorithm=None,
    world_model=None,
    updates: int = 1,
    micro_batch_rows: int = 4,
    dtype: str = "float32",
    lora_rank: int | None = None,
    gradient_checkpointing: bool | None = None,
    processes: int | None = None,
) -> RunConfig:
    """A run of 2 groups of 4 short episodes; `algorithm` and `world_model` are changes to the config's sections."""
    sizes = {"groups": 2, "group_size": 4, "optimizer_steps": 2, "learning_rate": 1e-3}
    experiment = {
        "model": {"dtype": dtype, "lora_rank": lora_rank},
        "context": {"mode": mode},
        "algorithm": sizes | (algorithm or {}),
        "world_model": world_model or {},
        "training": {"updates": updates},
    }
    execution = {
        "micro_batch_rows": micro_batch_rows,
        "gradient_checkpointing": gradient_checkpointing,
        "processes": processes,
    }
    return RunConfig.model_validate({"experiment": experiment, "execution": execution})


def make_trainer(config: RunConfig, model, folder, *, collect=None, on_update=None) -> UpdateLoop:
    """The trainer on synthetic episodes of `model`."""
    return build_trainer(
        config,
        model=model,
        tokenizer=tiny_tokenizer(),
        collect=as_sampled(collect or collect_from(model, config)),
        on_update=on_update or (lambda record, trainer: None),
        output_dir=folder,
    )


def as_sampled(collect):
    """Synthetic episodes, whatever a test made of them, as if an engine had sampled what they hold."""

    def collected(update: int) -> list[Episode]:
        episodes = collect(update)
        for turn in (turn for episode in episodes for turn in episode.turns):
            turn.receipt = receipt_of(turn.action_ids, turn.action_logprobs)
        return episodes

    return collected


def gradients_of_steps(config: RunConfig, model, folder, collect, records=None) -> list[torch.Tensor]:
    """The flat gradient of each optimizer step of an update, all taken at the initial weights and not clipped."""
    algorithm = config.experiment.algorithm
    critic = algorithm.ppo.model_copy(update={"critic_learning_rate": 1e-30})
    algorithm = algorithm.model_copy(update={"learning_rate": 1e-30, "max_grad_norm": 1e9, "ppo": critic})
    config = config.model_copy(update={"experiment": config.experiment.model_copy(update={"algorithm": algorithm})})
    gradients: list[torch.Tensor] = []
    records = [] if records is None else records
    trainer = make_trainer(
        config, model, folder, collect=collect, on_update=lambda record, trainer: records.append(record)
    )
    trainer.add_callback(record_gradients(model, gradients))
    trainer.train_to(1)
    return gradients


def record_gradients(model, gradients: list[torch.Tensor]) -> TrainerCallback:
    """A callback that appends the flat gradient of every optimizer step, as it is after clipping."""

    class Recorder(TrainerCallback):
        def on_pre_optimizer_step(self, *_, **__):
            found = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
            whole = [each.full_tensor() if isinstance(each, DTensor) else each.clone() for each in found]
            gradients.append(torch.cat([each.flatten() for each in whole]))

    return Recorder()


def full_log_softmax(model, row) -> torch.Tensor:
    """Reference: log-probabilities (T, vocabulary) of one unpadded row."""
    return model(input_ids=torch.tensor([row.prompt_ids + row.completion_ids])).logits[0].log_softmax(-1)


def reference_gradient(model, loss: torch.Tensor) -> torch.Tensor:
    """The flat gradient of `loss`."""
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(model.parameters()))])


def assert_same_gradient(measured: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal up to float32 rounding, seen from the largest component."""
    assert (measured - expected).abs().max() <= 3e-6 * expected.abs().max()


def parameters(model) -> torch.Tensor:
    """All parameters as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def collect_from(model, config: RunConfig):
    """A collector of random episodes whose log-probabilities are those of `model` as it is when it collects."""
    algorithm, mode = config.experiment.algorithm, config.experiment.context.mode

    def collect(update: int) -> list[Episode]:
        training = model.training
        model.eval()
        draw = random.Random(update)
        episodes = [
            _episode(model, draw, group, index, mode)
            for group in range(algorithm.tasks)
            for index in range(algorithm.episodes_per_task)
        ]
        model.train(training)
        return episodes

    return collect


def _episode(model, draw: random.Random, group: int, index: int, mode: str) -> Episode:
    def words(low: int, high: int) -> list[int]:
        return [draw.randrange(2, VOCABULARY) for _ in range(draw.randint(low, high))]

    history = words(4, 9)
    success = draw.random() < 0.5
    turns = []
    count = draw.randint(1, 3)
    for number in range(count):
        context = list(history) if mode == "full" else [*words(3, 8), *history[-6:]]
        action, separator, observation = [*words(1, 3), 1], words(1, 2), words(1, 6)
        logprobs, entropies = label_logprobs(model, context + action)
        last = number == count - 1
        turns.append(
            Turn(
                context_ids=context,
                action_ids=action,
                action_logprobs=logprobs[len(context) :],
                action_entropies=entropies[len(context) :],
                action_text="go",
                observation_text="text",
                observation_ids=observation,
                separator_ids=separator,
                reward=10.0 if last and success else 0.0,
                penalty=0.1 if draw.random() < 0.3 else 0.0,
                valid=True,
                accepted=draw.random() < 0.7,
            )
        )
        history = [*history, *action, *separator, *observation, *words(1, 2)]
    return Episode(f"task-{group}", "pick", group, index, seed=0, turns=turns, success=success)
