"""Several processes that train one run (ranks): who does what, and how their results become one.

Every rank plays its share of an update's episodes and then knows all of them, so that scores, selection, lambda,
weights and advantages are those of the whole update, computed alike on every rank. Each optimizer step's micro-batches
are then dealt to the ranks. Every loss is a share of a sum (docs/method.md), so the step's gradient is the sum over
the ranks, whatever the deal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch.distributed as dist
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from paw_bench.config.schema import ExecutionConfig
from paw_bench.errors import UserError

T = TypeVar("T")

_PATIENCE = timedelta(hours=1)
"""How long a rank waits for the others: one may play much longer episodes."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process, number `index` of `count`."""

    index: int
    count: int

    @classmethod
    def of(cls, execution: ExecutionConfig) -> Ranks:
        """This process's place among those of a run, as torchrun's variables tell it."""
        started = int(os.environ.get("WORLD_SIZE", "1"))
        if started != execution.ranks:
            raise UserError(
                f"execution.processes: the run has {execution.ranks} and torchrun started {started}",
                "start the run with: paw-bench run RUN_DIR",
            )
        return cls(int(os.environ.get("RANK", "0")), started)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes the run's files."""
        return self.index == 0

    def meet(self, device: str) -> None:
        """Find the other ranks, before accelerate does: objects are exchanged on the CPU, gradients on `device`."""
        if self.count > 1 and not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
            dist.init_process_group(backend, timeout=_PATIENCE)

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This rank's share: every `count`-th."""
        return items[self.index :: self.count]

    def gather(self, value: T) -> list[T]:
        """The value of every rank, in their order."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, value)
        return found

    def gather_shares(self, own: Sequence[T]) -> list[T]:
        """The items of which every rank has made its `share`, in their first order."""
        shares = self.gather(own)
        return [shares[place % self.count][place // self.count] for place in range(sum(map(len, shares)))]

    def from_main(self, compute: Callable[[], T]) -> T:
        """What `compute` gives on the main rank, which alone calls it."""
        value: list[Any] = [compute() if self.main else None]
        if self.count > 1:
            dist.broadcast_object_list(value, src=0)
        found: T = value[0]
        return found

    @contextmanager
    def as_one(self) -> Iterator[None]:
        """Let TRL and accelerate see one process in this block: no gathering, no division by the number of ranks.

        What TRL exchanges in its loss and its batch is for updates that are split before anything is known of them,
        and needs as many equally large micro-batches on every rank; our ranks all know the whole update.
        """
        if self.count == 1:
            yield
            return
        alone = {"distributed_type": DistributedType.NO, "num_processes": 1, "process_index": 0}
        states = [PartialState._shared_state, AcceleratorState._shared_state]
        before = [{key: state[key] for key in alone if key in state} for state in states]
        for state, kept in zip(states, before, strict=True):
            state.update({key: alone[key] for key in kept})
        try:
            yield
        finally:
            for state, kept in zip(states, before, strict=True):
                state.update(kept)


def end_rank() -> NoReturn:
    """End this process, one of several, whose part is done.

    The interpreter's own end would be a risk: a thread of gloo that then still holds a tensor aborts the process, and a
    run that is done counts as lost.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with suppress(Exception):
        # What it was for is done and published: how the group is left decides nothing any more.
        dist.destroy_process_group()
    os._exit(0)


class GradientsOfRanks:
    """One gradient from the micro-batches of all ranks. Goes before a trainer of Hugging Face.

    DDP averages what the ranks computed in the last backward pass and have summed up before it.
    """

    ranks: Ranks
    outside_ddp: Sequence[nn.Parameter] = ()
    """Parameters that DDP leaves alone, because not every loss reaches them: a gradient that is there on one rank is
    there on all."""

    def of_all_ranks(self, loss: Tensor) -> Tensor:
        """A rank's share of a loss, times what DDP divides the gradient by."""
        return loss * self.ranks.count if self.ranks.count > 1 else loss

    def synchronised(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """For the passes over a micro-batch: gradients are exchanged in the `last` one of an optimizer step."""
        accelerator: Any = self.accelerator  # type: ignore[attr-defined]
        context: AbstractContextManager[Any] = nullcontext() if last else accelerator.no_sync(model)
        return context

    def complete_gradient(self) -> None:
        """Average the gradients that DDP left alone; to be called after the last backward pass of a step."""
        if self.ranks.count == 1:
            return
        for parameter in self.outside_ddp:
            if parameter.grad is not None:
                parameter.grad = self.accelerator.reduce(parameter.grad, reduction="mean")  # type: ignore[attr-defined]


def with_last(items: Sequence[T]) -> Iterable[tuple[T, bool]]:
    """Each item and whether it is the last."""
    return ((item, number + 1 == len(items)) for number, item in enumerate(items))


def set_aside(model: nn.Module, parameters: Sequence[nn.Parameter]) -> None:
    """Keep `parameters` of `model` out of the DDP that it is about to be wrapped in."""
    kept = {id(parameter) for parameter in parameters}
    names = [name for name, parameter in model.named_parameters() if id(parameter) in kept]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, names)
