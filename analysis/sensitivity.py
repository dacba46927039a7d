"""Which runs of a sweep differ in one number alone: success against alpha, rho, a learning rate.

Such a number is either an axis of the experiment file, or a key in which a family of arms differs and in nothing else;
that an arm with alpha = 1 scores nothing is no difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.load import Results
from analysis.record_frames import ALL

POINTS = 3
"""Fewer values than this are a comparison, not a sweep."""


class Point(NamedTuple):
    """One value of the number, with the seeds that finished at it."""

    value: float
    success: tuple[float, ...]
    """After training, a fraction; of each seed."""
    games: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One arm under the values of an axis, or one family of arms."""

    key: str
    """The dotted key that varies."""
    arm: str
    """Whose look the line takes: of a family, the arm at the base's value, or the first."""
    condition: str
    """What is held fixed of the other axes; empty where there are none."""
    points: tuple[Point, ...]
    """By value."""


def lines(results: Results) -> list[Line]:
    """Every line with `POINTS` measured values or more, axes first, then families of arms."""
    found = [*_of_axes(results), *_of_arms(results)]
    return [line for line in found if sum(bool(point.success) for point in line.points) >= POINTS]


def rest(changes: Mapping[str, Mapping[str, Any]], key: str) -> str:
    """What an arm changes beside `key`, as a text to compare; that nothing is scored is implied where alpha is 1."""
    implied = ("world_model.selection.score", "none") if key == "world_model.selection.alpha" else None
    others = ((name, change["arm"]) for name, change in changes.items() if name != key)
    return repr(sorted((name, repr(value)) for name, value in others if (name, value) != implied))


def reference_success(results: Results) -> dict[str, np.ndarray]:
    """Condition -> success of the reference arm's seeds after training, where there are some."""
    rows = _after(results)
    rows = rows[rows["arm"] == results.reference]
    return {str(condition): own["success"].to_numpy() for condition, own in rows.groupby("condition", sort=False)}


def _after(results: Results) -> pd.DataFrame:
    rows = results.evaluation
    rows = rows[(rows["phase"] == "after") & (rows["task_type"] == ALL)]
    return rows[rows["run_id"].isin(results.done()["run_id"])]


def _of_axes(results: Results) -> list[Line]:
    planned = results.runs[results.runs["planned"]]
    axes = [str(name) for name in planned if "." in str(name)]
    after = _after(results)
    found = []
    for key in axes:
        numbers = {text: _number(text) for text in planned[key].unique()}
        if len(numbers) < POINTS or any(math.isnan(value) for value in numbers.values()):
            continue
        runs: dict[tuple[str, str], dict[float, list[str]]] = {}
        for run in planned.to_dict("records"):
            fixed = ", ".join(f"{name}={run[name]}" for name in axes if name != key)
            runs.setdefault((run["arm"], fixed), {}).setdefault(numbers[run[key]], []).append(run["run_id"])
        for (arm, fixed), values in runs.items():
            points = (_point(value, after[after["run_id"].isin(own)]) for value, own in sorted(values.items()))
            found.append(Line(key, arm, fixed, tuple(points)))
    return found


def _of_arms(results: Results) -> list[Line]:
    rows = _after(results)
    keys = dict.fromkeys(key for changes in results.changes.values() for key in changes)
    found = []
    for key in keys:
        base = next(changes[key]["base"] for changes in results.changes.values() if key in changes)
        families: dict[str, dict[float, str]] = {}
        for arm in results.arms:
            changes = results.changes[arm]
            value = changes[key]["arm"] if key in changes else base
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            # The first of two arms that are the same: at alpha = 1 no score changes anything.
            families.setdefault(rest(changes, key), {}).setdefault(float(value), arm)
        for family in families.values():
            if len(family) < POINTS:
                continue
            look = next(
                (arm for arm in family.values() if key not in results.changes[arm]), next(iter(family.values()))
            )
            for condition in results.conditions:
                own = rows[rows["condition"] == condition]
                points = (_point(value, own[own["arm"] == arm]) for value, arm in sorted(family.items()))
                found.append(Line(key, look, condition, tuple(points)))
    return found


def _point(value: float, rows: pd.DataFrame) -> Point:
    return Point(value, tuple(rows["success"]), tuple(rows["games"]))


def _number(text: str) -> float:
    """NaN where the text is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan
