"""Which runs of a sweep differ in one number alone: success against alpha, rho, a learning rate.

Such a number is either an axis of the experiment file, or a key in which a family of arms differs and in nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.load import Results
from analysis.record_frames import ALL

POINTS = 3
"""Fewer values than this are a comparison, not a sweep."""


@dataclass(frozen=True, slots=True)
class Line:
    """One arm under the values of an axis, or one family of arms."""

    key: str
    """The dotted key that varies."""
    arm: str
    """Whose look the line takes: of a family, the arm at the base's value, or the first."""
    condition: str
    """What is held fixed of the other axes; empty where there are none."""
    points: tuple[tuple[float, tuple[float, ...]], ...]
    """(value, success of each seed after training), by value."""


def lines(results: Results) -> list[Line]:
    """Every line with `POINTS` measured values or more, axes first, then families of arms."""
    found = [*_of_axes(results), *_of_arms(results)]
    return [line for line in found if sum(bool(wins) for _, wins in line.points) >= POINTS]


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
    success = dict(zip(after["run_id"], after["success"], strict=True))
    found = []
    for key in axes:
        numbers = {text: _number(text) for text in planned[key].unique()}
        if len(numbers) < POINTS or any(math.isnan(value) for value in numbers.values()):
            continue
        wins: dict[tuple[str, str], dict[float, list[float]]] = {}
        for run in planned.to_dict("records"):
            fixed = ", ".join(f"{name}={run[name]}" for name in axes if name != key)
            values = wins.setdefault((run["arm"], fixed), {}).setdefault(numbers[run[key]], [])
            values += [success[run["run_id"]]] if run["run_id"] in success else []
        found += [
            Line(key, arm, fixed, tuple((value, tuple(points[value])) for value in sorted(points)))
            for (arm, fixed), points in wins.items()
        ]
    return found


def _of_arms(results: Results) -> list[Line]:
    rows = _after(results)
    keys = dict.fromkeys(key for changes in results.changes.values() for key in changes)
    found = []
    for key in keys:
        base = next(changes[key]["base"] for changes in results.changes.values() if key in changes)
        families: dict[tuple[tuple[str, str], ...], dict[float, str]] = {}
        for arm in results.arms:
            changes = results.changes[arm]
            value = changes[key]["arm"] if key in changes else base
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            rest = tuple(sorted((name, repr(change["arm"])) for name, change in changes.items() if name != key))
            families.setdefault(rest, {})[float(value)] = arm
        for family in families.values():
            if len(family) < POINTS:
                continue
            look = next(
                (arm for arm in family.values() if key not in results.changes[arm]), next(iter(family.values()))
            )
            for condition in results.conditions:
                own = rows[rows["condition"] == condition]
                points = tuple(
                    (value, tuple(own["success"][own["arm"] == arm])) for value, arm in sorted(family.items())
                )
                found.append(Line(key, look, condition, points))
    return found


def _number(text: str) -> float:
    """NaN where the text is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan
