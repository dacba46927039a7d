"""The world-model term inside a TRL trainer: three hooks, none of which knows an algorithm or a variant.

1. tap: `_get_per_token_logps_and_entropies` remembers what the training forward pass gave;
2. batch: rows carry `wm_weights`, `wm_measure` and `wm_observed` (B, T), which survive TRL's shuffling and splitting;
3. loss: `_compute_loss` adds the term computed from the tapped log-probabilities.

Where the config's schedule or its extra rows ask for it, a batch is trained on the term alone (`_world_model_alone`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from paw_bench.config.world_model import WorldModelConfig
from paw_bench.training.gradient_parts import GradientParts
from paw_bench.training.health import TrainingDiverged
from paw_bench.training.ranks import GradientsOfRanks, with_last
from paw_bench.world_model.schedule import part_in_update
from paw_bench.world_model.term import NOTHING, Diagnostics, world_model_term

Batch = dict[str, Any]


class WorldModelMixin(GradientsOfRanks):
    """Goes before a TRL trainer whose `_compute_loss` runs one forward pass with gradient a micro-batch."""

    world_model: WorldModelConfig
    measuring: bool = False
    """Whether micro-batches add to the update's diagnostics (true in its first pass: every row once)."""
    part: Literal["none", "joint", "separate"] = "none"
    """What the term does in this update."""
    gradient_parts: GradientParts | None = None
    """Set while the gradients of an optimizer step are measured apart."""

    def begin_update(self, update: int) -> None:
        """Forget the previous update's diagnostics; what the term does follows from the number of the update."""
        self.reset_measurements()
        schedule = self.world_model.schedule
        enabled = self.world_model.enabled
        self.part = part_in_update(update, every=schedule.every, separate=schedule.separate) if enabled else "none"

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
        if "wm_alone" in inputs:
            return self._world_model_alone(model, inputs) * self._undo_scaling()
        loss = self._rl_loss(model, inputs)
        logps, _ = self._tapped
        if self.logprob_gap is None:
            self.logprob_gap = _logprob_gap(logps, inputs)
        joint = self.part == "joint"
        self.rl_losses.append(loss.item() / self._accumulation())
        if not joint and not self.measuring:
            return loss
        term = self._world_model_loss(logps if joint else logps.detach(), inputs) * self._undo_scaling()
        if not joint:
            return loss
        if self.gradient_parts is not None:
            self.gradient_parts.add(1.0 / self._undo_scaling(), rl=loss, wm=term)
        return loss + term if self.world_model.schedule.rl_term else term

    def _world_model_loss(self, logps: Tensor, inputs: Batch) -> Tensor:
        """The term of this micro-batch, at its share of the optimizer step's."""
        term, diagnostics = world_model_term(
            logps,
            weights=inputs["wm_weights"],
            measure=inputs["wm_measure"],
            observed=inputs["wm_observed"],
            kind=self.world_model.loss.kind,
            rho=self.world_model.loss.rho,
            q=self.world_model.loss.q,
        )
        if self.measuring:
            self.diagnostics = self.diagnostics + diagnostics
        return term

    def _world_model_alone(self, model: torch.nn.Module, batch: Batch) -> Tensor:
        """The term of a batch that has no part in the RL loss, or none in this pass: a forward pass of its own."""
        self._pass(model, batch)
        term = self._world_model_loss(self._tapped[0], batch)
        if self.gradient_parts is not None:
            self.gradient_parts.add(1.0, wm=term)
        return term

    def _pass(self, model: torch.nn.Module | None, batch: Batch, rows: int | None = None) -> tuple[Any, ...]:
        """A forward pass over a batch without a loss, at most `rows` rows at a time (None: all at once)."""
        output: tuple[Any, ...] = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_ids"].size(1),
            batch_size=rows,
        )
        return output

    def train_world_model_alone(self, steps: Sequence[Sequence[Batch]]) -> None:
        """One pass of optimizer steps on the term alone, at the learning rate that the RL steps have reached.

        `steps`: the micro-batches of each. It shares the optimizer's state with the RL steps. Raises
        `TrainingDiverged` like them.
        """
        trainer: Any = self
        self.measuring = False
        for batches in steps:
            for batch, last in with_last(batches):
                with self.synchronised(trainer.model_wrapped, last):
                    trainer.accelerator.backward(
                        self.of_all_ranks(self._world_model_alone(trainer.model_wrapped, batch))
                    )
            self.complete_gradient()
            norm = trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), trainer.args.max_grad_norm)
            if not torch.isfinite(norm):
                raise TrainingDiverged(f"separate world-model step: gradient norm {norm.item():g}")
            trainer.optimizer.step()
            trainer.optimizer.zero_grad()

    def _undo_scaling(self) -> float:
        """What later steps divide the loss by; the weights are already those of the sum over the optimizer step.

        Trainers whose loss is not scaled for accumulation are divided by its steps in HF's training step. What
        several processes divide by is not undone here but in `of_all_ranks`.
        """
        return float(self._accumulation())

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
