"""A number in a table: how it reads, and what it is."""

from __future__ import annotations

import math
from collections.abc import Iterable

from analysis import honesty
from analysis.statistics import Interval
from analysis.words import MARK_NOTE, NOTHING, estimate, number


class Cell(str):
    """The words of a number, which every form of a table prints, with the number for those that hold data."""

    __slots__ = ("high", "low", "note", "published", "value")

    value: float
    """In the table's unit; NaN where nothing was measured."""
    low: float
    high: float
    """Ends of the 95 % interval; NaN where none is printed."""
    note: str
    """Why there is no interval, and the marks of `analysis.honesty`; empty where nothing is to be said."""
    published: bool
    """Whether it is a published number, which no run stands behind."""

    def __new__(cls, words: str, value: float, low: float = math.nan, high: float = math.nan, note: str = "") -> Cell:
        """The words, with the number that they say."""
        cell = super().__new__(cls, words)
        cell.value, cell.low, cell.high, cell.note, cell.published = value, low, high, note, False
        return cell


def measured(
    mean: float, half_width: float, gap: str, *, marks: str = "", sign: str = "", digits: int = 1, factor: float = 100
) -> Cell:
    """`mean` and its interval, both times `factor`; fractions become percent."""
    value, width = factor * mean, factor * half_width
    words = honesty.signed(estimate(value, width, gap, digits=digits, sign=sign), marks)
    note = "; ".join(part for part in (gap, marks) if part)
    return Cell(words, value, value - width, value + width, "" if math.isnan(mean) else note)


def of_interval(interval: Interval, *, marks: str = "", digits: int = 1, factor: float = 1) -> Cell:
    """The cell of a t interval."""
    return measured(interval.mean, interval.half_width, interval.gap, marks=marks, digits=digits, factor=factor)


def printed(value: float, sd: float = math.nan, *, sign: str = "") -> Cell:
    """A published number, in brackets the standard deviation over its seeds where one is printed."""
    if math.isnan(value):
        return Cell(NOTHING, value)
    words = number(value, 1, sign=sign)
    cell = Cell(words if math.isnan(sd) else f"{words} (sd {number(sd, 1)})", value)
    cell.published = True
    return cell


def apart(own: Cell, other: Cell) -> Cell:
    """Own minus other, a bare number."""
    cell = printed(own.value - other.value, sign="+")
    cell.published = own.published and other.published
    return cell


def marks_note(doubts: Iterable[str]) -> str:
    """What the signs in a table mean; `doubts`: the names of marks that stand in it."""
    found = honesty.notes(doubts)
    return f"{found}; {MARK_NOTE}." if found else f"{MARK_NOTE}."
