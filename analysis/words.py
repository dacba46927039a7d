"""Numbers in words: fixed digits, a real minus sign, intervals, and a mark where there is none."""

from __future__ import annotations

import math

import pandas as pd

NOTHING = "—"
MINUS = "\N{MINUS SIGN}"
TO = "\N{EN DASH}"
_MARKS = {"one seed": " †", "no variance": " ‡", "few events": " ¶"}
MARK_NOTE = (
    "† one seed, no interval; ‡ all seeds gave the same value, no interval; ¶ fewer than 5 wins or losses over all "
    "seeds: the t interval would not cover, none is printed; — not measured"
)


def estimate(mean: float, half_width: float, gap: str, *, digits: int = 1, sign: str = "") -> str:
    """`mean ± half_width`, or the mean with the mark of its `gap`; beyond ±100 the width says nothing more."""
    if math.isnan(mean):
        return NOTHING
    words = number(mean, digits, sign=sign)
    if gap:
        return words + _MARKS[gap]
    return f"{words} ± {half_width:.{digits}f}" if half_width <= 100 else f"{words} ± >100"


def number(value: float, digits: int, *, sign: str = "", prefix: str = "") -> str:
    """Fixed digits with a real minus sign; a rounded zero has none."""
    if math.isnan(value):
        return NOTHING
    rounded = round(float(value), digits) + 0.0
    return prefix + f"{rounded:{sign},.{digits}f}".replace("-", MINUS)


def arm_at(arm: str, condition: str) -> str:
    """An arm, and under which values of the axes."""
    return f"{arm} [{condition}]" if condition else arm


def p_value(value: float) -> str:
    """Three digits without the leading zero."""
    if math.isnan(value):
        return NOTHING
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def mean_and_range(values: pd.Series) -> str:
    """The mean, with the smallest and the largest of several values."""
    if values.empty:
        return NOTHING
    mean = number(values.mean(), 1)
    return mean if len(values) == 1 else f"{mean} ({number(values.min(), 1)}{TO}{number(values.max(), 1)})"
