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
    return _with_intervals(*_smoothed(rows, column, window))


def curve_against(rows: pd.DataFrame, spent: str, column: str, window: int = 1) -> Curve | None:
    """`column` of one arm against the sum of `spent` over all updates so far.

    Seeds spend differently, so their curves are interpolated linearly at common places, as far as all of them came.
    None where a seed lacks a value of `spent`, or their curves share no stretch.
    """
    values, _, seeds = _smoothed(rows, column, window)
    sums, _, every = _wide(rows, spent)
    sums = sums[:, np.isin(every, seeds)]
    measured = ~np.isnan(values)
    if values.size == 0 or np.isnan(sums[measured]).any():
        return None
    sums = np.nancumsum(sums, axis=0)
    own = [(sums[there, seed], values[there, seed]) for seed, there in enumerate(measured.T)]
    start, end = (float(pick([reach(x) for x, _ in own])) for pick, reach in ((max, np.min), (min, np.max)))
    if not start < end:
        return None
    places = np.linspace(start, end, len(values))
    return _with_intervals(np.column_stack([np.interp(places, x, y) for x, y in own]), places, seeds)


Wide = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Values (updates x seeds, NaN where there is none), the updates and the seeds, both ascending."""


def _smoothed(rows: pd.DataFrame, column: str, window: int) -> Wide:
    """Seeds without any value are left out."""
    values, updates, seeds = _wide(rows, column)
    missing = np.isnan(values)
    kept = ~missing.all(axis=0)
    values, missing, seeds = values[:, kept], missing[:, kept], seeds[kept]
    if window > 1:
        values = pd.DataFrame(values).rolling(window, min_periods=1).mean().to_numpy()
        values = np.where(missing, np.nan, values)
    return values, updates, seeds


def _wide(rows: pd.DataFrame, column: str) -> Wide:
    updates, row = np.unique(rows["update"].to_numpy(), return_inverse=True)
    seeds, place = np.unique(rows["seed"].to_numpy(), return_inverse=True)
    values = np.full((len(updates), len(seeds)), np.nan)
    values[row, place] = rows[column].to_numpy(dtype="float64")
    return values, updates, seeds


def _with_intervals(values: np.ndarray, places: np.ndarray, seeds: np.ndarray) -> Curve:
    full = np.isfinite(values).all(axis=1) & (values.shape[1] > 0)
    means, widths = np.full(len(values), np.nan), np.full(len(values), np.nan)
    if full.any():
        means[full], widths[full] = t_intervals(values[full])
    index = pd.Index(places)
    by_seed = pd.DataFrame(values, index=index, columns=pd.Index(seeds))
    return Curve(by_seed, pd.Series(means, index=index), pd.Series(widths, index=index))


def window_of(metrics: pd.DataFrame) -> int:
    """Updates that are averaged in the drawing of these metrics."""
    return WINDOW if len(metrics) and metrics["update"].max() > LONG else 1
