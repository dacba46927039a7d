"""The run's config as TRL's arguments. One HF epoch is one update: its sampler then needs no bookkeeping on resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.rloo_config import RLOOConfig

from paw_bench.config.algorithm import AlgorithmConfig
from paw_bench.config.schema import RunConfig
from paw_bench.errors import UserError

TrlConfig = GRPOConfig | RLOOConfig


def steps_per_update(algorithm: AlgorithmConfig) -> int:
    """Optimizer steps of one update: `epochs` passes of `optimizer_steps` each."""
    return algorithm.epochs * algorithm.optimizer_steps


def arguments_of(config: RunConfig, output_dir: Path) -> TrlConfig:
    """TRL's arguments for a run. `output_dir` is where HF would write; saving is off, checkpoints are ours.

    Raises `UserError` where the update cannot be split into its optimizer steps.
    """
    algorithm = config.experiment.algorithm
    if algorithm.name == "rloo":
        return RLOOConfig(**_shared(config, output_dir), normalize_advantages=algorithm.scale_advantages == "batch")
    own_entropy = algorithm.name != "grpo" or _own_micro_batches(config)
    return GRPOConfig(
        **_shared(config, output_dir),
        # TRL's bonus is a mean over each micro-batch; only its own full-context GRPO is kept as it is.
        entropy_coef=0.0 if own_entropy else algorithm.entropy_coefficient,
        # TRL's default multiplies the k3 estimate by the importance ratio; the paper's code base (verl-agent) does not.
        use_bias_correction_kl=False,
        loss_type=algorithm.loss_type,
        # PPO replaces TRL's advantages by its own.
        scale_rewards=algorithm.scale_advantages,
    )


def _shared(config: RunConfig, output_dir: Path) -> dict[str, Any]:
    """What both of TRL's trainers take."""
    experiment, algorithm = config.experiment, config.experiment.algorithm
    on_gpu, recompute = config.execution.device == "cuda", config.execution.gradient_checkpointing
    return {
        "output_dir": str(output_dir),
        "seed": experiment.seed,
        "max_steps": experiment.training.updates * steps_per_update(algorithm),
        **_batching(config),
        "num_iterations": algorithm.epochs,
        "max_completion_length": experiment.context.max_response_tokens,
        "learning_rate": algorithm.learning_rate,
        "lr_scheduler_type": _schedule(algorithm),
        "warmup_steps": algorithm.warmup_steps,
        "weight_decay": algorithm.weight_decay,
        "max_grad_norm": algorithm.max_grad_norm,
        "epsilon": algorithm.clip_low,
        "epsilon_high": algorithm.clip_high,
        "beta": algorithm.kl_coefficient,
        # Probabilities of the world-model loss are of the untempered softmax; sampling has its own temperature.
        "temperature": 1.0,
        "disable_dropout": True,
        "shuffle_dataset": False,
        "bf16": experiment.model.dtype == "bfloat16",
        "use_cpu": not on_gpu,
        "gradient_checkpointing": on_gpu if recompute is None else recompute,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "save_strategy": "no",
        # Every loss reaches every parameter that DDP looks after.
        "ddp_find_unused_parameters": False,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def _batching(config: RunConfig) -> dict[str, Any]:
    """How TRL splits an update.

    `full`: the update's episodes are split evenly, first over the optimizer steps, then into micro-batches of at most
    `execution.micro_batch_rows`. `window`: the number of rows varies, so HF sees one batch an optimizer step and
    `window.py` splits it; so does `shares.py` where several processes share the rows. TRL insists on groups of at least
    2: for PPO it is told that the update is one group.
    """
    algorithm = config.experiment.algorithm
    episodes = algorithm.groups * algorithm.group_size
    full = config.experiment.context.mode == "full"
    rows, remainder = divmod(episodes, algorithm.optimizer_steps)
    if remainder and full:
        raise UserError(
            f"algorithm.optimizer_steps = {algorithm.optimizer_steps} does not divide the {episodes} episodes of an "
            f"update ({algorithm.groups} groups x {algorithm.group_size})",
            "with context.mode 'full' an episode is a row: choose a divisor, or use context.mode 'window'",
        )
    group_size = episodes if full and algorithm.name == "ppo" else max(2, algorithm.group_size)
    if _own_micro_batches(config):
        return {
            "num_generations": group_size,
            "per_device_train_batch_size": group_size,
            "gradient_accumulation_steps": 1,
            "steps_per_generation": algorithm.optimizer_steps,
        }
    micro = max(size for size in range(1, rows + 1) if rows % size == 0 and size <= config.execution.micro_batch_rows)
    return {
        "num_generations": group_size,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": rows // micro,
        "steps_per_generation": episodes // micro,
    }


def _own_micro_batches(config: RunConfig) -> bool:
    """Whether HF sees one batch an optimizer step, which our trainer splits."""
    return config.experiment.context.mode == "window" or config.execution.ranks > 1


def _schedule(algorithm: AlgorithmConfig) -> str:
    """HF's name of the schedule; its `constant` ignores the warm-up."""
    if algorithm.lr_schedule == "constant":
        return "constant_with_warmup" if algorithm.warmup_steps else "constant"
    return algorithm.lr_schedule
