"""One look for each arm in every figure: a colour-blind safe colour, a line style and a marker.

Black is the reference arm's alone. The others take the colours of Okabe and Ito (2008) that keep their contrast on
white, and two of Paul Tol's muted set. Arms that share a colour, or whose greys come close in print, differ in line
style and marker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.colors import to_rgb

REFERENCE = "#000000"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
Dash = Literal["-"] | tuple[float, tuple[float, ...]]
LINE_STYLES: tuple[Dash, ...] = (
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
    line: Dash
    marker: str
    order: int
    """Place of the arm, to stagger the markers of curves that lie on each other."""
    arm: str = ""
    """Whose look it is: what is drawn with it carries the name, so that its points can be told apart in a CSV."""


def looks(arms: Sequence[str], reference: str) -> dict[str, Look]:
    """The look of each arm: black, solid and round for the reference, the others in the order of the experiment file.

    No look comes twice before 264 arms, the least common multiple of 8 colours, 6 line styles and 11 markers.
    """
    chosen = {reference: Look(REFERENCE, LINE_STYLES[0], MARKERS[0], 0, reference)}
    for i, arm in enumerate((arm for arm in arms if arm != reference), start=1):
        line, marker = LINE_STYLES[i % len(LINE_STYLES)], MARKERS[i % len(MARKERS)]
        chosen[arm] = Look(COLOURS[(i - 1) % len(COLOURS)], line, marker, i, arm)
    return chosen


def lighter(colour: str, share: float) -> tuple[float, float, float]:
    """The colour mixed with white: 0 is the colour, 1 is white."""
    red, green, blue = to_rgb(colour)
    return red + share * (1 - red), green + share * (1 - green), blue + share * (1 - blue)
