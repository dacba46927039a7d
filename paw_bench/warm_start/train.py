"""Behaviour cloning of the embedded model: Muon on the matrices, AdamW on the rest."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from paw_bench.warm_start.config import SizeConfig, TrainConfig
from paw_bench.warm_start.examples import Example

_BUCKET = 16
"""Batches are cut from runs of this many batches sorted by length: little padding, order still random."""


def build_model(size: SizeConfig, tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen2ForCausalLM:
    """A freshly initialised Qwen2 of the given size."""
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=size.hidden,
            intermediate_size=size.intermediate,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.heads,
            max_position_embeddings=4096,
            tie_word_embeddings=True,
            attention_dropout=0.0,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )


@dataclass(frozen=True, slots=True)
class Progress:
    """State of the training after a step."""

    step: int
    action_loss: float
    observation_loss: float
    prompt_loss: float
    seconds: float


def train(
    model: Qwen2ForCausalLM,
    examples: list[Example],
    config: TrainConfig,
    on_progress: Callable[[Progress], None],
    is_chosen: Callable[[int], bool],
) -> bool:
    """Train `model` in place until `is_chosen(step)`, asked of every candidate; whether one was."""
    rng = random.Random(config.seed)
    optimizers = _optimizers(model, config)
    batches = _batches(examples, config.batch, rng)
    started = time.monotonic()
    model.train()
    running: list[float] | None = None
    for step in range(1, config.steps + 1):
        factor = _schedule(step, config.steps, config.warmup)
        for optimizer, rate in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        losses = _losses(model, next(batches))
        (losses[0] + config.observation_weight * losses[1] + config.prompt_weight * losses[2]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        values = [loss.item() for loss in losses]
        running = (
            values if running is None else [0.98 * old + 0.02 * new for old, new in zip(running, values, strict=True)]
        )
        if step % config.log_every == 0:
            action, observation, prompt = running
            on_progress(Progress(step, action, observation, prompt, time.monotonic() - started))
        if step >= config.candidates_from and step % config.candidates_every == 0:
            if is_chosen(step):
                return True
            model.train()
    return False


def _optimizers(model: Qwen2ForCausalLM, config: TrainConfig) -> list[tuple[torch.optim.Optimizer, float]]:
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=config.muon_lr, weight_decay=0.01, momentum=0.95)
    adamw = torch.optim.AdamW(rest, lr=config.adamw_lr, weight_decay=0.0, betas=(0.9, 0.98))
    return [(muon, config.muon_lr), (adamw, config.adamw_lr)]


def _schedule(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then linear to 3 %."""
    return min(step / warmup, max(0.03, 1.0 - (step - warmup) / (steps - warmup)))


def _batches(examples: list[Example], size: int, rng: random.Random) -> Iterator[list[Example]]:
    while True:
        order = list(range(len(examples)))
        rng.shuffle(order)
        batches = []
        for start in range(0, len(order), size * _BUCKET):
            run = sorted(order[start : start + size * _BUCKET], key=lambda index: len(examples[index].prompt_ids))
            batches += [run[at : at + size] for at in range(0, len(run), size)]
        rng.shuffle(batches)
        for batch in batches:
            yield [examples[index] for index in batch]


def _losses(model: Qwen2ForCausalLM, batch: list[Example]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean cross-entropy over action tokens, over observation tokens and over prompt tokens (scalars)."""
    rows = [example.prompt_ids + example.action_ids + example.observation_ids for example in batch]
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    kinds = torch.zeros_like(ids)
    for index, (example, row) in enumerate(zip(batch, rows, strict=True)):
        ids[index, : len(row)] = torch.tensor(row)
        prompt, action = len(example.prompt_ids), len(example.action_ids)
        kinds[index, :prompt] = 3
        kinds[index, prompt : prompt + action] = 1
        kinds[index, prompt + action : len(row)] = 2
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
    kept = kinds[:, 1:] > 0
    logps = model.lm_head(hidden[kept]).log_softmax(-1)
    losses = -logps.gather(-1, ids[:, 1:][kept][:, None])[:, 0]
    losses = losses.index_copy(0, *_search_losses(logps, kept, batch))
    kinds = kinds[:, 1:][kept]
    action, observation, prompt = (losses[kinds == kind] for kind in (1, 2, 3))
    return action.mean(), observation.mean() if observation.numel() else losses.sum() * 0.0, prompt.mean()


def _search_losses(logps: torch.Tensor, kept: torch.Tensor, batch: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Where searches choose their place among the kept positions, and the cross-entropy to the equal choice there."""
    number = kept.flatten().cumsum(0).view(kept.shape) - 1
    searches = [(index, example) for index, example in enumerate(batch) if example.place_ids]
    positions = [int(number[index, len(example.prompt_ids)]) for index, example in searches]
    values = [
        -logps[position, torch.tensor(example.place_ids)].mean()
        for position, (_, example) in zip(positions, searches, strict=True)
    ]
    return torch.tensor(positions, dtype=torch.long), torch.stack(values) if values else logps.new_zeros(0)
