"""How many runs this machine carries at a time, and which GPUs each of them gets."""

from __future__ import annotations

import os

from paw_bench.config.schema import ExecutionConfig
from paw_bench.sweep.requirements import gpus_here

_VISIBLE = "CUDA_VISIBLE_DEVICES"


class Slots:
    """`count` runs at a time. With GPUs, every run has its own: two never share one."""

    def __init__(self, execution: ExecutionConfig, *, parallel: int | None = None) -> None:
        """As many as the cores (and GPUs) carry, at least 1; `parallel` replaces what the cores carry."""
        self.count = parallel or max(1, len(os.sched_getaffinity(0)) // (execution.threads * execution.ranks))
        self._per_run = execution.gpus
        self._free = _visible_gpus() if execution.gpus else []
        self._taken: dict[str, list[str]] = {}
        if execution.gpus:
            self.count = max(1, min(self.count, len(self._free) // execution.gpus))

    def take(self, run_id: str) -> dict[str, str]:
        """Reserve a run's GPUs; returns the environment variables that show it nothing else."""
        if not self._per_run:
            return {}
        self._taken[run_id] = [self._free.pop(0) for _ in range(self._per_run)]
        return {_VISIBLE: ",".join(self._taken[run_id])}

    def hold(self, run_id: str, variables: dict[str, str]) -> None:
        """Count the GPUs of a run that an earlier driver started with `variables` as taken."""
        devices = variables.get(_VISIBLE, "").split(",")
        self._taken[run_id] = [device for device in self._free if device in devices]
        self._free = [device for device in self._free if device not in devices]

    def free(self, run_id: str) -> None:
        """Give a run's GPUs back."""
        self._free += self._taken.pop(run_id, [])


def _visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = [device.strip() for device in os.environ.get(_VISIBLE, "").split(",")]
    named = [device for device in named if device not in ("", "-1")]
    return named or [str(index) for index in range(gpus_here())]
