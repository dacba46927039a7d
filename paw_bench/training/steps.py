"""Optimizer steps whose micro-batches are made here and not by TRL."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from paw_bench.training.loop import UpdateLoop
from paw_bench.training.mixin import Batch
from paw_bench.training.ranks import with_last


class OwnMicroBatches(UpdateLoop):
    """Goes before a trainer of `UpdateLoop`: HF sees one batch an optimizer step.

    `training_step` runs the step's own micro-batches, as many as this rank's share of its rows needs.
    """

    _steps: list[list[Batch]]
    """Per optimizer step of one pass, this rank's micro-batches."""
    _inverse: list[list[Batch]]
    """The same of inverse-dynamics rows, which a joint world-model term trains too."""

    def _collect_steps(self) -> tuple[list[list[Batch]], list[list[Batch]]]:
        """Begin an update: `_steps` and `_inverse` of it."""
        raise NotImplementedError

    def training_step(self, model: torch.nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward over the micro-batches of one optimizer step; returns the step's loss."""
        step = self.state.global_step % self._steps_per_update
        if step == 0:
            self._steps, self._inverse = self._collect_steps()
        place = step % len(self._steps)
        losses = []
        for batch, last in with_last(self._in_order(place) if self.part == "joint" else self._steps[place]):
            with self.synchronised(model, last):
                losses.append(super().training_step(model, batch, num_items_in_batch))
        self.complete_gradient()
        return torch.stack(losses).sum()

    def _in_order(self, place: int) -> list[Batch]:
        """All micro-batches of a step. With several ranks, the one they end with is of rows that every rank has."""
        own, extra = self._steps[place], self._inverse[place]
        return [*own, *extra] if self.ranks.count == 1 else [*extra, *own]

    def _batches_of_steps(self) -> list[list[Batch]]:
        return [self._in_order(place) for place in range(len(self._steps))]

    def _prepare_inputs(self, inputs: Any) -> Any:
        """Micro-batches are ready: TRL would collect and split here."""
        return inputs
