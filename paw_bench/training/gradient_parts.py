"""How the gradients of the RL loss and of the world-model term compare."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from accelerate import Accelerator
from torch import Tensor, nn


class GradientParts:
    """Sums the two gradients over the micro-batches of one optimizer step, beside the step's own backward pass.

    Costs two more backward passes of that step and two vectors of the parameters' size; the step itself is unchanged.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._sums: dict[str, Tensor] = {}

    def add(self, scale: float, **losses: Tensor) -> None:
        """Add the gradients of a micro-batch's `losses`, named `rl` or `wm`, times `scale`. Their graph is kept."""
        for name, loss in losses.items():
            found = torch.autograd.grad(loss, self._parameters, retain_graph=True, allow_unused=True)
            flat = torch.cat(
                [
                    (torch.zeros_like(parameter) if gradient is None else gradient).flatten().float()
                    for parameter, gradient in zip(self._parameters, found, strict=True)
                ]
            )
            self._sums[name] = self._sums.get(name, 0.0) + scale * flat

    def measured(self, accelerator: Accelerator) -> dict[str, float | None]:
        """Norms of both gradients before clipping, and their cosine; None without a gradient to compare."""
        if self._sums.keys() != {"rl", "wm"}:
            return NO_PARTS
        rl, wm = (accelerator.reduce(self._sums[name], reduction="sum") for name in ("rl", "wm"))
        norms = rl.norm().item(), wm.norm().item()
        cosine = (rl @ wm).item() / (norms[0] * norms[1]) if norms[0] and norms[1] else None
        return {"rl": norms[0], "wm": norms[1], "cosine": cosine}


NO_PARTS: dict[str, float | None] = {"rl": None, "wm": None, "cosine": None}
"""What an update reports that did not measure them."""
