"""Dotted keys, as short as a reader can tell them apart."""

from __future__ import annotations

from collections.abc import Iterable


def short_names(keys: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Key -> its last part, or as many parts as tell it from the others and from the names that are `taken`."""
    keys = list(keys)
    names = {}
    for key in keys:
        parts = key.split(".")
        tails = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
        others = [f".{other}" for other in (*keys, *taken) if other != key]
        names[key] = next((tail for tail in tails if not any(each.endswith(f".{tail}") for each in others)), key)
    return names
