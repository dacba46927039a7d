"""Loss of one observation token with probability p (PaW section "noise-tolerant loss")."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

LossKind = Literal["cmae", "mae", "ce", "gce"]


def token_loss(kind: LossKind, logps: Tensor, *, rho: float, q: float) -> tuple[Tensor, Tensor]:
    """Loss and clipping mask (True: clipped away) of each label, both of the shape of `logps`.

    `logps` are the log-probabilities of the labels under the untempered softmax.

    - `cmae`: m (1 - p) with m = 1[p <= rho] (PaW section "noise-tolerant loss"): tokens that are already predicted are
      clipped. The mask carries no gradient, so the gradient with respect to the label's logit is -m p (1 - p).
    - `mae`: 1 - p (cmae with rho = 1).
    - `ce`: -log p, whose gradient is -(1 - p).
    - `gce`: (1 - p^q) / q, generalised cross-entropy (arXiv 1805.07836, eq. 6), whose gradient is -p^q (1 - p): `mae`
      at q = 1, `ce` as q goes to 0.
    """
    kept = torch.zeros_like(logps, dtype=torch.bool)
    if kind == "ce":
        return -logps, kept
    if kind == "gce":
        return -torch.expm1(q * logps) / q, kept
    p = logps.exp()
    if kind == "mae":
        return 1.0 - p, kept
    clipped = p.detach() > rho
    return (1.0 - p).masked_fill(clipped, 0.0), clipped
