"""The trainer of a run."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from paw_bench.config.schema import RunConfig
from paw_bench.training.gigpo import PawGiGPOTrainer
from paw_bench.training.grpo import PawGRPOTrainer
from paw_bench.training.loop import Collect, OnUpdate, UpdateLoop
from paw_bench.training.ppo import PawPPOTrainer
from paw_bench.training.rloo import PawRLOOTrainer
from paw_bench.training.window import WindowRows


class WindowGRPOTrainer(WindowRows, PawGRPOTrainer):
    """GRPO on windowed rows."""


class WindowRLOOTrainer(WindowRows, PawRLOOTrainer):
    """RLOO on windowed rows: a ratio a turn."""


class WindowGiGPOTrainer(WindowRows, PawGiGPOTrainer):
    """GiGPO on windowed rows."""


class WindowPPOTrainer(WindowRows, PawPPOTrainer):
    """PPO on windowed rows: an episode's turns are one sequence to its advantages."""


_TRAINERS: dict[tuple[str, str], type[UpdateLoop]] = {
    ("grpo", "full"): PawGRPOTrainer,
    ("rloo", "full"): PawRLOOTrainer,
    ("gigpo", "full"): PawGiGPOTrainer,
    ("ppo", "full"): PawPPOTrainer,
    ("grpo", "window"): WindowGRPOTrainer,
    ("rloo", "window"): WindowRLOOTrainer,
    ("gigpo", "window"): WindowGiGPOTrainer,
    ("ppo", "window"): WindowPPOTrainer,
}


def build_trainer(
    config: RunConfig,
    *,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    collect: Collect,
    on_update: OnUpdate,
    output_dir: Path,
) -> UpdateLoop:
    """The trainer for the run's algorithm and context mode.

    `collect(update)` (1-based) samples the update's episodes with `trainer.model` as it is then; `on_update(record,
    trainer)` gets each update's metrics. `model` is trained in place. Nothing is written to `output_dir` but what
    Hugging Face's trainer insists on (an empty folder).
    """
    kind = _TRAINERS[config.experiment.algorithm.name, config.experiment.context.mode]
    return kind(config, model=model, tokenizer=tokenizer, collect=collect, on_update=on_update, output_dir=output_dir)
