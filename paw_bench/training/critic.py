"""The critic: a linear head on the policy's last hidden state, run inside the policy's own forward pass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput


@dataclass
class OutputWithValues(FusedCausalLMOutput):
    """TRL's output of the fused head, with V (B, T) of the state after each token.

    The values are part of it because distributed training looks for unused parameters in a pass's outputs.
    """

    state_values: Tensor | None = None


def attach_value_head(model: PreTrainedModel) -> None:
    """Give `model` a `value_head` of zeros in float32: V is 0 until it has learnt something."""
    head = nn.Linear(model.config.hidden_size, 1, device=model.device, dtype=torch.float32)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    model.value_head = head


def run_value_head(model: PreTrainedModel, seen: Callable[[Tensor], None]) -> None:
    """From now on every pass through TRL's fused head runs the value head too and hands its values to `seen`.

    Other passes (sampling, evaluation) are left as they are. To be called after TRL has patched the forward.
    """
    hidden: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        hidden[:] = [output.last_hidden_state]

    model.base_model.register_forward_hook(keep)
    inner = model.forward

    # The signature stays: generation checks its arguments against it.
    @functools.wraps(type(model).forward)
    def forward(*args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return inner(*args, **kwargs)
        output = inner(*args, fused_lm_head=True, **kwargs)
        head = model.value_head
        assert isinstance(head, nn.Linear)
        with torch.autocast(model.device.type, enabled=False):
            values = head(hidden.pop().float()).squeeze(-1)
        seen(values)
        return OutputWithValues(**dict(output), state_values=values)

    model.forward = forward
