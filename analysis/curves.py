"""Curves over updates: every seed's, and their mean with a t interval where all seeds have a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics import t_interval

LONG = 40
"""Runs with more updates than this are drawn smoothed, and the axis says so."""
WINDOW = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """One arm. `mean` and `half_width` are NaN at updates that a seed has no value for: a mean that changes because its
    seeds do would look like learning."""

    seeds: pd.DataFrame
    """Updates x seeds."""
    mean: pd.Series
    half_width: pd.Series
    """NaN, too, where there is no interval."""


def curve(rows: pd.DataFrame, column: str, window: int = 1) -> Curve:
    """The curve of one arm: `rows` has the columns `update`, `seed` and `column`.

    `window`: each value is the mean of so many updates up to it (fewer at the start).
    """
    seeds = rows.pivot(index="update", columns="seed", values=column).sort_index()
    seeds = seeds.dropna(axis="columns", how="all")
    if window > 1:
        seeds = seeds.rolling(window, min_periods=1).mean().where(seeds.notna())
    intervals = {
        update: t_interval(values)
        for update, values in zip(seeds.index, seeds.to_numpy(), strict=True)
        if _full(values)
    }
    means = pd.Series({update: interval.mean for update, interval in intervals.items()}, dtype="float64")
    widths = pd.Series({update: interval.half_width for update, interval in intervals.items()}, dtype="float64")
    return Curve(seeds, means.reindex(seeds.index), widths.reindex(seeds.index))


def _full(values: np.ndarray) -> bool:
    return len(values) > 0 and bool(np.isfinite(values).all())


def window_of(metrics: pd.DataFrame) -> int:
    """Updates that are averaged in the drawing of these metrics."""
    return WINDOW if len(metrics) and metrics["update"].max() > LONG else 1
