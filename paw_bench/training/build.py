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
from paw_bench.training.shares import FullShares
from paw_bench.training.window import WindowRows


class WindowGRPOTrainer(WindowRows, PawGRPOTrainer):
    """GRPO on windowed rows."""


class WindowRLOOTrainer(WindowRows, PawRLOOTrainer):
    """RLOO on windowed rows: a ratio a turn."""


class WindowGiGPOTrainer(WindowRows, PawGiGPOTrainer):
    """GiGPO on windowed rows."""


class WindowPPOTrainer(WindowRows, PawPPOTrainer):
    """PPO on windowed rows: an episode's turns are one sequence to its advantages."""


class SharedGRPOTrainer(FullShares, PawGRPOTrainer):
    """GRPO on full contexts, by several processes."""


class SharedRLOOTrainer(FullShares, PawRLOOTrainer):
    """RLOO on full contexts, by several processes."""


class SharedGiGPOTrainer(FullShares, PawGiGPOTrainer):
    """GiGPO on full contexts, by several processes."""


class SharedPPOTrainer(FullShares, PawPPOTrainer):
    """PPO on full contexts, by several processes."""


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
_SHARED: dict[str, type[UpdateLoop]] = {
    "grpo": SharedGRPOTrainer,
    "rloo": SharedRLOOTrainer,
    "gigpo": SharedGiGPOTrainer,
    "ppo": SharedPPOTrainer,
}
"""Full contexts, where several processes train. Windowed rows are dealt to any number."""


def build_trainer(
    config: RunConfig,
    *,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    collect: Collect,
    on_update: OnUpdate,
    output_dir: Path,
) -> UpdateLoop:
    """The trainer for the run's algorithm, context mode and number of processes.

    `collect(update)` (1-based) gives the update's episodes, all of them to each of several processes, sampled with
    `trainer.model` as it is then; `on_update(record, trainer)` gets each update's metrics, on every process. `model` is
    trained in place. Nothing is written to `output_dir` but what Hugging Face's trainer insists on (an empty folder).
    """
    algorithm, mode = config.experiment.algorithm.name, config.experiment.context.mode
    shared = mode == "full" and config.execution.ranks > 1
    kind = _SHARED[algorithm] if shared else _TRAINERS[algorithm, mode]
    return kind(config, model=model, tokenizer=tokenizer, collect=collect, on_update=on_update, output_dir=output_dir)
