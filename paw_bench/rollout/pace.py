"""When a batch is due in flight: how many episodes must wait for the engine before it begins."""

from __future__ import annotations

from collections import deque
from statistics import StatisticsError, linear_regression

_REMEMBERED = 256
"""Batches that the engine's speed is read from."""


class Pace:
    """Weighs two ways against each other, by what engine and environments took so far.

    With N episodes, an engine that needs a + b n seconds for n replies, and environments that need E for N actions, a
    turn of all takes a + b N + E when they go together, and max(2 a + b N, E) in two halves, of which one is with the
    engine while the other is with the environments. So halves are better where E is longer than a, which a second
    batch costs: decoding on a GPU takes about as long for half as many, on a CPU about half as long.
    """

    def __init__(self) -> None:
        self._batches: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)

    def generated(self, replies: int, seconds: float) -> None:
        """Take note of a batch."""
        self._batches.append((replies, seconds))

    def due(self, playing: int, answer: float) -> int:
        """How many of `playing` episodes make a batch; `answer`: seconds that environments need for one action."""
        fixed = self._fixed_seconds()
        # Until both are known, halves: batches of two sizes are what tells.
        together = fixed is not None and answer > 0 and fixed > playing * answer
        return playing if together else -(-playing // 2)

    def _fixed_seconds(self) -> float | None:
        """What a batch takes whatever its size; None as long as all had one size."""
        try:
            slope, intercept = linear_regression(*zip(*self._batches, strict=True))
        except (StatisticsError, TypeError):
            return None
        # Batches that are no faster for being smaller: all of it is fixed.
        return max(0.0, intercept) if slope > 0 else sum(seconds for _, seconds in self._batches) / len(self._batches)
