"""The world-model term inside a TRL trainer: three hooks, none of which knows an algorithm or a variant.

1. tap: `_get_per_token_logps_and_entropies` remembers what the training forward pass gave;
2. batch: rows carry `wm_weights`, `wm_measure` and `wm_observed` (B, T), which survive TRL's shuffling and splitting;
3. loss: `_compute_loss` adds the term computed from the tapped log-probabilities.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from paw_bench.config.schema import WorldModelConfig
from paw_bench.world_model.term import NOTHING, Diagnostics, world_model_term

Batch = dict[str, Any]


class WorldModelMixin:
    """Goes before a TRL trainer whose `_compute_loss` runs one forward pass with gradient a micro-batch."""

    world_model: WorldModelConfig
    measuring: bool = False
    """Whether micro-batches add to the update's diagnostics (true in its first pass: every row once)."""

    def reset_measurements(self) -> None:
        """Forget the diagnostics of the previous update."""
        self.diagnostics: Diagnostics = NOTHING
        self.rl_losses: list[float] = []
        self.logprob_gap: float | None = None

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        output: tuple[Any, ...] = super()._get_per_token_logps_and_entropies(*args, **kwargs)  # type: ignore[misc]
        if torch.is_grad_enabled():
            self._tapped: tuple[Tensor, Tensor] = output[:2]
        return output

    def _rl_loss(self, model: torch.nn.Module, inputs: Batch) -> Tensor:
        """The trainer's own loss, already scaled as `loss_is_scaled_for_ga` says."""
        loss: Tensor = super()._compute_loss(model, inputs)  # type: ignore[misc]
        return loss

    def _compute_loss(self, model: torch.nn.Module, inputs: Batch) -> Tensor:
        loss = self._rl_loss(model, inputs)
        logps, _ = self._tapped
        if self.logprob_gap is None:
            self.logprob_gap = _logprob_gap(logps, inputs)
        term = self._world_model_loss(logps, inputs)
        self.rl_losses.append(loss.item() / self._accumulation())
        return loss if term is None else loss + term

    def _world_model_loss(self, logps: Tensor, inputs: Batch) -> Tensor | None:
        """The term of this micro-batch, or None where it is disabled (it is then measured without gradient)."""
        enabled = self.world_model.enabled
        if not enabled and not self.measuring:
            return None
        term, diagnostics = world_model_term(
            logps if enabled else logps.detach(),
            weights=inputs["wm_weights"],
            measure=inputs["wm_measure"],
            observed=inputs["wm_observed"],
            kind=self.world_model.loss.kind,
            rho=self.world_model.loss.rho,
            q=self.world_model.loss.q,
        )
        if self.measuring:
            self.diagnostics = self.diagnostics + diagnostics
        return term * self._undo_scaling() if enabled else None

    def _undo_scaling(self) -> float:
        """What later steps divide the loss by; the weights are already those of the sum over the optimizer step.

        Trainers whose loss is not scaled for accumulation are divided by its steps in HF's training step, and
        distributed training averages gradients over the processes.
        """
        return float(self._accumulation() * self.accelerator.num_processes)  # type: ignore[attr-defined]

    def _accumulation(self) -> int:
        """What HF's training step divides the loss by."""
        steps: int = self.current_gradient_accumulation_steps  # type: ignore[attr-defined]
        return 1 if self.loss_is_scaled_for_ga else steps  # type: ignore[attr-defined]


@torch.no_grad()
def _logprob_gap(logps: Tensor, inputs: Batch) -> float:
    """Largest difference between the engine's and the trainer's log-probabilities of action tokens."""
    action = (inputs["completion_mask"] * inputs["tool_mask"]).bool()
    gap = (logps - inputs["sampling_per_token_logps"]).abs().masked_fill(~action, 0.0)
    return float(gap.max())
