"""A run's curves as small charts: the strings of an SVG path, drawn by the template in the page's own colours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.words import number

WIDTH, HEIGHT = 200, 60
"""Units of the drawing."""


class Chart(NamedTuple):
    """One curve over the updates of a run."""

    title: str
    path: str
    """Of an SVG `path`, in a box of `WIDTH` x `HEIGHT`; broken where a value is missing."""
    low: str
    high: str
    last: str


class _Column(NamedTuple):
    title: str
    name: str
    scale: float
    digits: int


_COLUMNS = (
    _Column("training success (%)", "success", 100, 1),
    _Column("WM loss", "wm.loss", 1, 3),
    _Column("mean λ", "wm.lambda_mean", 1, 2),
    _Column("clipped share (%)", "wm.clipped_share", 100, 1),
    _Column("action entropy (nats)", "entropy", 1, 2),
    _Column("seconds an update", "seconds.total", 1, 1),
)


def charts(metrics: pd.DataFrame) -> list[Chart]:
    """The charts of one run's metrics, in the order of its updates; none for what it did not record."""
    drawn = []
    for column in _COLUMNS:
        values = column.scale * metrics[column.name].to_numpy(dtype="float64")
        finite = values[np.isfinite(values)]
        if len(finite) == 0:
            continue
        low, high = float(finite.min()), float(finite.max())
        words = (number(value, column.digits) for value in (low, high, float(finite[-1])))
        drawn.append(Chart(column.title, _path(values, low, high), *words))
    return drawn


def _path(values: np.ndarray, low: float, high: float) -> str:
    x = np.linspace(0, WIDTH, len(values)) if len(values) > 1 else np.array([WIDTH / 2])
    share = (values - low) / (high - low) if high > low else np.where(np.isfinite(values), 0.5, np.nan)
    y = HEIGHT * (1 - share)
    parts, pen = [], "M"
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        if np.isnan(down):
            pen = "M"
            continue
        # A place of no length, with round ends: a value between two gaps is a dot.
        parts.append(f"{pen}{across:.0f} {down:.1f}" + ("h0" if pen == "M" else ""))
        pen = "L"
    return "".join(parts)
