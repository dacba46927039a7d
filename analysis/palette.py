"""One look for each arm in every figure: a colour-blind safe colour, a line style and a marker.

Colours are those of Okabe and Ito (2008) that keep their contrast on white; arms that share a colour, or whose greys
come close in print, differ in line style and marker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINE_STYLES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (2.5, 1.5)),
    (0, (5, 1.5, 1, 1.5, 1, 1.5)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")


@dataclass(frozen=True, slots=True)
class Look:
    """How an arm is drawn."""

    colour: str
    line: str | tuple[int, tuple[float, ...]]
    marker: str


def looks(arms: Sequence[str], reference: str) -> dict[str, Look]:
    """The look of each arm: black, solid and round for the reference, the others in the order of the experiment file.

    The numbers of colours, line styles and markers have no common divisor greater than 1 pair by pair, so no look
    comes twice before 462 arms.
    """
    ordered = [arm for arm in arms if arm == reference] + [arm for arm in arms if arm != reference]
    return {
        arm: Look(
            colour=COLOURS[i % len(COLOURS)], line=LINE_STYLES[i % len(LINE_STYLES)], marker=MARKERS[i % len(MARKERS)]
        )
        for i, arm in enumerate(ordered)
    }
