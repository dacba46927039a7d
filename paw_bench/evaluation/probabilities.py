"""How sure the policy is of each observation token, as a histogram that the losses' gradients can be read off.

The gradient with respect to the label's logit has the size 1 - p for cross-entropy, p (1 - p) for the mean absolute
error, and that times 1[p <= rho] for the clipped one (PaW; `paw_bench.world_model.loss`). Their L1 norms over the whole
vocabulary are twice these, so shares of the gradient are the same in either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

EDGES = (
    *(0.0, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.005, 0.01, 0.02),
    *(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0),
)
"""Bins are (edge, next edge]; the first holds 0 as well."""


def histogram(p: np.ndarray, weight: np.ndarray, noisy: np.ndarray, *, rho: float) -> dict[str, Any]:
    """Tokens and gradients by the token's probability, for noisy tokens and the others.

    `p`, `weight`, `noisy`: one value a token, shape (N,). `rho`: the clipping threshold, which becomes an edge where
    `EDGES` has none: the bins up to it hold exactly the tokens that the clipped loss keeps. A bin holds how many
    `tokens` it has, their summed `weight`, and the summed weight times the size of the gradient: `ce` w (1 - p), `mae`
    w p (1 - p).
    """
    edges = sorted({*EDGES, rho})
    place = np.clip(np.searchsorted(edges, p, side="left") - 1, 0, len(edges) - 2)

    def binned(chosen: np.ndarray, values: np.ndarray) -> list[float]:
        return [float(total) for total in np.bincount(place[chosen], values[chosen], minlength=len(edges) - 1)]

    sums = {"weight": weight, "ce": weight * (1 - p), "mae": weight * p * (1 - p)}
    parts = {
        label: {
            "tokens": np.bincount(place[chosen], minlength=len(edges) - 1).tolist(),
            **{name: binned(chosen, values) for name, values in sums.items()},
        }
        for label, chosen in (("noisy", noisy), ("other", ~noisy))
    }
    return {"rho": rho, "edges": edges, **parts}
