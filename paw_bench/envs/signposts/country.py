"""The map: which of eight roads leads from each town to each place.

Every town has a road to every place, and two places of the same half never share one. The roads to `OLD` places are
the same in every country: a warm start learns them, and with them how to read a question and a sign. The roads to
`NEW` places are drawn from the country's seed, so that no weights know them beforehand.
"""

from __future__ import annotations

import random
from functools import lru_cache

TOWNS = ("Arle", "Brin", "Cott", "Dane", "Esk", "Fenn", "Gorl", "Hale")
OLD = ("oasis", "quarry", "harbour", "mill", "tower", "forge", "abbey", "market")
NEW = ("lake", "cave", "island", "glacier", "castle", "orchard", "canyon", "temple")
ROADS = ("red", "blue", "green", "white", "black", "brown", "amber", "violet")
PAIRS = tuple((town, place) for town in TOWNS for place in NEW)
"""Every question about a new place."""


@lru_cache(maxsize=64)
def roads(seed: int) -> dict[tuple[str, str], str]:
    """(town, place) -> the road that leads there, for the country of `seed`."""
    known = random.Random("signposts/old")
    drawn = random.Random(f"signposts/{seed}")
    found: dict[tuple[str, str], str] = {}
    for town in TOWNS:
        for rng, places in ((known, OLD), (drawn, NEW)):
            found |= {(town, place): road for place, road in zip(places, rng.sample(ROADS, len(ROADS)), strict=True)}
    return found


@lru_cache(maxsize=64)
def signs(seed: int) -> dict[tuple[str, str], str]:
    """(town, road) -> the new place that the sign on that road tells of; every place has one sign in every town."""
    rng = random.Random(f"signposts/{seed}/signs")
    return {(town, road): place for town in TOWNS for road, place in zip(ROADS, rng.sample(NEW, len(NEW)), strict=True)}


@lru_cache(maxsize=64)
def asked(seed: int) -> frozenset[tuple[str, str]]:
    """The half of the questions that training tasks ask: of every town, four of the eight new places."""
    rng = random.Random(f"signposts/{seed}/asked")
    return frozenset((town, place) for town in TOWNS for place in rng.sample(NEW, len(NEW) // 2))
