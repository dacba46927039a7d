"""Shades of a token by its nats, on the page and in the terminal."""

from __future__ import annotations

import bisect

LEVELS = (0.105, 0.693, 1.609, 2.996, 4.605)
"""Nats at which the next shade begins: probabilities of .9, .5, .2, .05 and .01."""
SCALE = ("p ≥ .9", "≥ .5", "≥ .2", "≥ .05", "≥ .01", "below")
"""What each shade means for an observation's token."""


def shade(nats: float | None) -> int:
    """0 to 5, by `LEVELS`; 0 where nothing was measured."""
    return bisect.bisect_right(LEVELS, nats or 0.0)
