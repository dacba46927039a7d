"""AI2-THOR floor plans as alfworld ships them: receptacles with their standing points, and the classes of objects."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import cache

from paw_bench.envs.alfworld.package import LAYOUTS, constants

HELD_OUT_SCENES = frozenset({10, 219, 308, 424})
"""Scenes of ALFRED's valid_unseen split."""

FURNITURE = {
    kind: frozenset(objects)
    for kind, objects in constants.VAL_RECEPTACLE_OBJECTS.items()
    if kind not in constants.MOVABLE_RECEPTACLES_SET
}
"""Receptacle type -> classes of objects that it can hold; receptacles that can be carried are left out."""

LAMP_SPOTS = frozenset({"CoffeeTable", "CounterTop", "Desk", "DiningTable", "Dresser", "Shelf", "SideTable"})

# The layout files list only the receptacles that AI2-THOR can open or stand at; the class list names these as well.
_UNLISTED_COUNTS = {
    "CoffeeMachine": 1,
    "GarbageCan": 1,
    "HandTowelHolder": 1,
    "LaundryHamper": 1,
    "StoveBurner": 4,
    "Toaster": 1,
    "Toilet": 1,
    "ToiletPaperHanger": 1,
    "TowelHolder": 1,
}

Location = tuple[int, int, int, int]
"""x and z in quarter metres, rotation in quarter turns, horizon in degrees."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One floor plan, made once. `receptacles` maps an AI2-THOR id to its standing point; no two share one."""

    number: int
    kind: str
    receptacles: dict[str, Location]
    classes: frozenset[str]

    @property
    def receptacle_types(self) -> frozenset[str]:
        """Types of the receptacles that are there."""
        return frozenset(receptacle_type(name) for name in self.receptacles)

    @property
    def portable(self) -> tuple[str, ...]:
        """Classes of objects of this scene that some piece of furniture can hold, sorted."""
        return tuple(sorted(name for name in self.classes if any(name in held for held in FURNITURE.values())))


def receptacle_type(identifier: str) -> str:
    """Type of a receptacle id: `Sink|x|y|z|SinkBasin` is a SinkBasin, `Cabinet|x|y|z` a Cabinet."""
    parts = identifier.split("|")
    return parts[4] if len(parts) > 4 else parts[0]


@cache
def all_scenes() -> tuple[Scene, ...]:
    """Every shipped floor plan, by number."""
    numbers = [
        (number, kind)
        for kind, scene_range in constants.SCENE_TYPE.items()
        for number in scene_range
        if (LAYOUTS / f"FloorPlan{number}-openable.json").exists()
    ]
    return tuple(_load(number, kind) for number, kind in sorted(numbers))


def _load(number: int, kind: str) -> Scene:
    standing_points = json.loads((LAYOUTS / f"FloorPlan{number}-openable.json").read_text())
    classes = frozenset(json.loads((LAYOUTS / f"FloorPlan{number}-objects.json").read_text()))
    receptacles: dict[str, Location] = {}
    taken: set[Location] = set()

    def add(identifier: str, x: int, z: int, rotation: int, horizon: int) -> None:
        # Two receptacles at one location would be shown as one in the text: look a degree further down.
        while (x, z, rotation, horizon) in taken:
            horizon += 1
        taken.add((x, z, rotation, horizon))
        receptacles[identifier] = (x, z, rotation, horizon)

    for identifier, (x, z, rotation, horizon) in sorted(standing_points.items()):
        add(identifier, round(x * 4), round(z * 4), round(rotation) // 90, round(horizon))

    listed = {receptacle_type(identifier) for identifier in receptacles}
    rng = random.Random(number)
    for kind_of_receptacle, count in _UNLISTED_COUNTS.items():
        if kind_of_receptacle not in classes or kind_of_receptacle in listed:
            continue
        for i in range(count):
            x, z = rng.randint(-12, 12), rng.randint(-12, 12)
            identifier = f"{kind_of_receptacle}|{x / 4:+06.2f}|+00.90|{z / 4 + i / 10:+06.2f}"
            add(identifier, x, z, rng.randint(0, 3), 60)
    return Scene(number, kind, receptacles, classes)
