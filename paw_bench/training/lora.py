"""Adapters (LoRA, arXiv 2106.09685) through peft, which is only needed where a config asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paw_bench.config.schema import ModelConfig
from paw_bench.errors import UserError

if TYPE_CHECKING:
    from peft import LoraConfig


def lora_of(config: ModelConfig) -> LoraConfig | None:
    """peft's config of the run's adapters, or None where all weights are trained. Raises UserError without peft."""
    if config.lora_rank is None:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise UserError(
            f"model.lora_rank = {config.lora_rank} needs the package peft, which is not installed",
            "pip install 'paw_bench[lora]', or set lora_rank to null",
        ) from error
    return LoraConfig(
        r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
