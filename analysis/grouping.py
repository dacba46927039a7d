"""Rows of a frame by key, as plain arrays: cutting thousands of small frames out of a large one takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

Part = dict[str, np.ndarray]
"""Column -> the values of one group's rows."""


def grouped(rows: pd.DataFrame, keys: Sequence[str], columns: Sequence[str]) -> dict[tuple[Any, ...], Part]:
    """Key (the values of `keys`) -> the values of `columns`, in the order of the rows."""
    places = {key: np.sort(own) for key, own in rows.groupby(list(keys), sort=False).indices.items()}
    values = {name: rows[name].to_numpy() for name in columns}
    return {
        key if isinstance(key, tuple) else (key,): {name: own[place] for name, own in values.items()}
        for key, place in places.items()
    }


def empty(rows: pd.DataFrame, columns: Sequence[str]) -> Part:
    """The group without rows."""
    return {name: rows[name].iloc[:0].to_numpy() for name in columns}
