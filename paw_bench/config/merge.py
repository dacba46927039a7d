"""Deltas: nested mappings that name only what they set.

`merge` is associative over deltas that agree on what is a section and what is a value, which every delta does
once it has passed the schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Delta = dict[str, Any]
Key = tuple[str, ...]
"""A dotted key, split."""


def merge(lower: Delta, upper: Delta) -> Delta:
    """`lower` with everything that `upper` names replaced; sections are merged key by key. Neither is changed."""
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


def nest(key: Key, value: Any) -> Delta:
    """The delta that sets the one dotted `key` to `value`."""
    for part in reversed(key):
        value = {part: value}
    return dict(value)


def split(dotted: str) -> Key:
    """`algorithm.learning_rate` in its parts."""
    return tuple(dotted.split("."))


def leaves(delta: Delta, above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every (key, value) that the delta names; an empty section names nothing."""
    for key, value in delta.items():
        if isinstance(value, dict):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value


def differences(left: Delta, right: Delta, above: Key = ()) -> dict[Key, tuple[Any, Any]]:
    """Keys whose values differ between two mappings, as key -> (left value, right value); None where there is none."""
    found: dict[Key, tuple[Any, Any]] = {}
    for key in {**left, **right}:
        value, other = left.get(key), right.get(key)
        if value == other:
            continue
        if isinstance(value, dict) and isinstance(other, dict):
            found |= differences(value, other, (*above, key))
        else:
            found[*above, key] = (value, other)
    return found
