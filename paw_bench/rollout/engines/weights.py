"""A policy's weights under the names of its own checkpoint, as other engines load them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import PreTrainedModel


@torch.no_grad()
def named_weights(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """(name, weight) of `model`: tied weights once, adapters added to what they adapt, no value head.

    `model` is the policy itself; peft puts its adapters into it. Nothing of the model is changed: merging and
    unmerging in place would round its weights at every sync.
    """
    adapted = {
        f"{name}.base_layer.weight": module for name, module in model.named_modules() if hasattr(module, "lora_A")
    }
    for name, parameter in model.named_parameters():
        if ".lora_" in name or name.startswith("value_head."):
            continue
        weight = parameter.detach()
        if name in adapted:
            module = adapted[name]
            weight = weight + sum(module.get_delta_weight(adapter) for adapter in module.active_adapters)
        yield name.replace(".base_layer.", "."), weight
