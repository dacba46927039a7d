"""Which updates the world-model term takes part in (TAPO, arXiv 2607.27973: a separate update every fourth)."""

from __future__ import annotations

from typing import Literal


def part_in_update(update: int, *, every: int, separate: bool) -> Literal["none", "joint", "separate"]:
    """What the term does in an update (1-based): PaW's every update, TAPO's own steps (arXiv 2607.27973).

    - `joint`: it is part of the loss of the RL steps (PaW: the same forward pass);
    - `separate`: it has optimizer steps of its own after them, on the same rows;
    - `none`: nothing; it is only measured. So are all updates that `every` does not divide.
    """
    if update % every:
        return "none"
    return "separate" if separate else "joint"
