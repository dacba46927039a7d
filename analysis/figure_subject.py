"""What a figure is drawn of, and the two widths it is drawn at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pandas as pd
from matplotlib.figure import Figure

from analysis.load import Results
from analysis.palette import Look, looks
from analysis.recorded import RecordedFigure

COLUMN = 3.3
"""Width of one column of a two-column paper (inches)."""
PAGE = 6.9
"""Width of both columns (inches)."""
TOGETHER = 3
"""More arms than this get a panel each instead of one panel for all, or lose their bands."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A sweep under one condition of its axes, at a width."""

    results: Results
    condition: str
    compared: pd.DataFrame
    """The frame of `analysis.cells.comparisons`."""
    width: float
    canvas: type[Figure] | type[RecordedFigure] = Figure
    """What the figure is drawn on, or where its numbers are kept."""

    def figure(self, height: float) -> Figure:
        """An empty figure of the subject's width; `height` in inches."""
        return cast(Figure, self.canvas(figsize=(self.width, height)))

    @property
    def wide(self) -> bool:
        """Whether the figure spans both columns."""
        return self.width > COLUMN

    @property
    def looks(self) -> dict[str, Look]:
        """Arm -> its look, the same in every figure."""
        return looks(self.results.arms, self.results.reference)

    def of(self, frame: str) -> pd.DataFrame:
        """The rows of the condition in that frame of the results."""
        return self.results.under(frame, self.condition)

    def finished(self, frame: str) -> pd.DataFrame:
        """Those of the condition's runs whose result stands."""
        rows = self.of(frame)
        return rows[rows["run_id"].isin(self.results.done(self.condition)["run_id"])]


Draw = Callable[[Subject], Figure | None]
"""Gives None where there is nothing to draw."""
