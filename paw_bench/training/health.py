"""When training cannot go on, and what it takes from the machine."""

from __future__ import annotations

import resource
import sys

import torch


class TrainingDiverged(RuntimeError):
    """Loss or gradients are no longer finite. Raised before the optimizer step, so the weights are still sound."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def peak_memory_mb() -> float:
    """Peak memory of this process so far in MB: of the GPU where there is one, else resident memory."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
