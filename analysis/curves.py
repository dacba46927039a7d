"""Curves over updates, or over what was spent: every seed's, and their mean with a t interval where all seeds have a
value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics import t_intervals

LONG = 40
"""Runs with more updates than this are drawn smoothed, and the axis says so."""
WINDOW = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """One arm. `mean` and `half_width` are NaN at places that a seed has no value for: a mean that changes because its
    seeds do would look like learning."""

    seeds: pd.DataFrame
    """Updates (or what was spent) x seeds."""
    mean: pd.Series
    half_width: pd.Series
    """NaN, too, where there is no interval."""


def curve(rows: pd.DataFrame, column: str, window: int = 1) -> Curve:
    """The curve of one arm: `rows` has the columns `update`, `seed` and `column`.

    `window`: each value is the mean of so many updates up to it (fewer at the start).
    """
    return _with_intervals(_smoothed(rows, column, window))


def curve_against(rows: pd.DataFrame, spent: str, column: str, window: int = 1) -> Curve | None:
    """`column` of one arm against the sum of `spent` over all updates so far.

    Seeds spend differently, so their curves are interpolated linearly at common places, as far as all of them came.
    None where a seed lacks a value of `spent`, or their curves share no stretch.
    """
    values = _smoothed(rows, column, window)
    sums = _wide(rows, spent)[values.columns]
    measured = values.notna()
    if values.empty or sums.where(measured).isna().to_numpy()[measured.to_numpy()].any():
        return None
    sums = sums.cumsum().where(measured)
    start, end = float(sums.min().max()), float(sums.max().min())
    if not start < end:
        return None
    places = np.linspace(start, end, len(values))
    columns = {
        seed: np.interp(places, sums[seed].dropna().to_numpy(), values[seed].dropna().to_numpy()) for seed in values
    }
    return _with_intervals(pd.DataFrame(columns, index=places))


def _smoothed(rows: pd.DataFrame, column: str, window: int) -> pd.DataFrame:
    seeds = _wide(rows, column)
    seeds = seeds.dropna(axis="columns", how="all")
    return seeds.rolling(window, min_periods=1).mean().where(seeds.notna()) if window > 1 else seeds


def _wide(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Updates x seeds, both ascending."""
    updates, row = np.unique(rows["update"].to_numpy(), return_inverse=True)
    seeds, place = np.unique(rows["seed"].to_numpy(), return_inverse=True)
    values = np.full((len(updates), len(seeds)), np.nan)
    values[row, place] = rows[column].to_numpy(dtype="float64")
    return pd.DataFrame(values, index=pd.Index(updates, name="update"), columns=pd.Index(seeds, name="seed"))


def _with_intervals(seeds: pd.DataFrame) -> Curve:
    values = seeds.to_numpy()
    full = np.isfinite(values).all(axis=1) & (values.shape[1] > 0)
    means, widths = np.full(len(values), np.nan), np.full(len(values), np.nan)
    if full.any():
        means[full], widths[full] = t_intervals(values[full])
    return Curve(seeds, pd.Series(means, index=seeds.index), pd.Series(widths, index=seeds.index))


def window_of(metrics: pd.DataFrame) -> int:
    """Updates that are averaged in the drawing of these metrics."""
    return WINDOW if len(metrics) and metrics["update"].max() > LONG else 1
