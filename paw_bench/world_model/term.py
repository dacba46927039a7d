"""The world-model term of one micro-batch, and what is measured on the same forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from paw_bench.world_model.loss import LossKind, token_loss


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Sums over a micro-batch; they add up over the micro-batches of an update."""

    loss: float
    """Sum of measure * l: the mean loss of the selected transitions, without lambda, once the pool is summed."""
    clipped: float
    """Observation tokens of selected transitions that the loss clips away."""
    selected_tokens: float
    """Observation tokens of selected transitions."""
    nll: float
    """Sum of -log p over all observation tokens, selected or not."""
    tokens: float
    """All observation tokens."""

    def __add__(self, other: Diagnostics) -> Diagnostics:
        return Diagnostics(
            self.loss + other.loss,
            self.clipped + other.clipped,
            self.selected_tokens + other.selected_tokens,
            self.nll + other.nll,
            self.tokens + other.tokens,
        )


NOTHING = Diagnostics(0.0, 0.0, 0.0, 0.0, 0.0)


def world_model_term(
    logps: Tensor, *, weights: Tensor, measure: Tensor, observed: Tensor, kind: LossKind, rho: float, q: float
) -> tuple[Tensor, Diagnostics]:
    """Sum of w * l over a micro-batch (its part of the PaW section "total"), and its diagnostics.

    All tensors have shape (B, T). `logps`: label log-probabilities of the training forward pass. `weights`: the
    fixed weights of `observation_weights` (0 elsewhere). `measure`: 1 / (selected * |o|) on the observation tokens
    of selected transitions, so that diagnostics do not depend on lambda. `observed`: 1 on every observation token.
    Actions, prompts, template and padding carry weight 0 and so have no gradient from this term.
    """
    losses, clipped = token_loss(kind, logps, rho=rho, q=q)
    # Elsewhere a label may have log-probability -inf, and 0 * inf would be NaN.
    term = (weights * losses.masked_fill(weights == 0, 0.0)).sum()
    with torch.no_grad():
        covered = measure > 0
        measured = torch.stack(
            [
                (measure * losses.masked_fill(~covered, 0.0)).sum(),
                (clipped & covered).sum(),
                covered.sum(),
                -logps.masked_fill(observed == 0, 0.0).sum(),
                observed.sum(),
            ]
        )
    return term, Diagnostics(*measured.tolist())
