"""The trainer of a run."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from paw_bench.config.schema import RunConfig
from paw_bench.training.grpo import Collect, OnUpdate, PawGRPOTrainer
from paw_bench.training.window import WindowGRPOTrainer


def build_trainer(
    config: RunConfig,
    *,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    collect: Collect,
    on_update: OnUpdate,
    output_dir: Path,
) -> PawGRPOTrainer:
    """The trainer for the run's context mode.

    `collect(update)` (1-based) samples the update's episodes with `trainer.model` as it is then; `on_update(record,
    trainer)` gets each update's metrics. `model` is trained in place. Nothing is written to `output_dir` but what
    Hugging Face's trainer insists on (an empty folder).
    """
    kind = WindowGRPOTrainer if config.experiment.context.mode == "window" else PawGRPOTrainer
    return kind(config, model=model, tokenizer=tokenizer, collect=collect, on_update=on_update, output_dir=output_dir)
