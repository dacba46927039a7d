"""The PDDL problem of one game, in the form of ALFRED's planner files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paw_bench.envs.alfworld.package import constants, goal_library
from paw_bench.envs.alfworld.scenes import FURNITURE, Scene, receptacle_type

# No receptacle stands here; from any other place the opening would not list the receptacles of the room.
_START = "loc|0|0|0|99"
# The domain names these types as constants, so a problem must declare them.
_REQUIRED_RECEPTACLE_TYPES = frozenset({"Fridge", "Microwave", "SinkBasin"})
_REQUIRED_OBJECT_TYPES = frozenset({"ButterKnife", "Knife"})
_PROPERTIES = {"Cleanable": "cleanable", "Heatable": "heatable", "Coolable": "coolable", "Sliceable": "sliceable"}
_MANGLED = {"-": "_minus_", "|": "_bar_", "+": "_plus_", ".": "_dot_", ",": "_comma_"}


@dataclass(frozen=True)
class Goal:
    """What a game asks for: `target` is the receptacle type, None when the object is looked at under a lamp."""

    task_type: str
    object_type: str
    target: str | None

    @property
    def toggle(self) -> str | None:
        """The lamp's class for `look_at_obj_in_light`, else None."""
        return "DeskLamp" if self.target is None else None


def problem_text(name: str, goal: Goal, scene: Scene, objects: Mapping[str, str], lamps: Mapping[str, str]) -> str:
    """PDDL of a game: `objects` and `lamps` map an object id to the receptacle id that it starts in."""
    placed = {**objects, **lamps}
    locations = {identifier: "loc|{}|{}|{}|{}".format(*point) for identifier, point in scene.receptacles.items()}
    receptacle_types = sorted(scene.receptacle_types | _REQUIRED_RECEPTACLE_TYPES)
    object_types = sorted({object_class(identifier) for identifier in placed} | _REQUIRED_OBJECT_TYPES)

    declared = ["agent1 - agent"]
    declared += [f"{_mangle(identifier)} - object" for identifier in sorted(placed)]
    declared += [f"{_mangle(identifier)} - receptacle" for identifier in sorted(scene.receptacles)]
    declared += [f"{_mangle(location)} - location" for location in sorted({*locations.values(), _START})]
    declared += [f"{kind}Type - otype" for kind in object_types]
    declared += [f"{kind}Type - rtype" for kind in receptacle_types]

    facts = ["(= (total-cost) 0)"]
    for identifier in sorted(scene.receptacles):
        kind, mangled = receptacle_type(identifier), _mangle(identifier)
        facts.append(f"(receptacleType {mangled} {kind}Type)")
        facts.append(f"(receptacleAtLocation {mangled} {_mangle(locations[identifier])})")
        if kind in constants.OPENABLE_CLASS_SET:
            facts.append(f"(openable {mangled})")
    for kind in receptacle_types:
        held = FURNITURE.get(kind, frozenset())
        facts += [f"(canContain {kind}Type {other}Type)" for other in object_types if other in held]
    for identifier, receptacle in sorted(placed.items()):
        mangled = _mangle(identifier)
        facts.append(f"(objectType {mangled} {object_class(identifier)}Type)")
        facts.append(f"(inReceptacle {mangled} {_mangle(receptacle)})")
        facts.append(f"(objectAtLocation {mangled} {_mangle(locations[receptacle])})")
        if identifier in lamps:
            facts.append(f"(toggleable {mangled})")
            continue
        facts.append(f"(pickupable {mangled})")
        facts += [
            f"({predicate} {mangled})"
            for group, predicate in _PROPERTIES.items()
            if object_class(identifier) in constants.VAL_ACTION_OBJECTS[group]
        ]
    facts.append(f"(atLocation agent1 {_mangle(_START)})")

    lines = [f"(define (problem {name})", "(:domain alfred)", "(:objects"]
    lines += [f"    {line}" for line in declared]
    lines += [")", "(:init"]
    lines += [f"    {line}" for line in facts]
    lines += [")", _goal_text(goal)]
    return "\n".join(lines)


def object_class(identifier: str) -> str:
    """Class of an object id: `Apple|x|y|z` is an Apple."""
    return identifier.split("|", 1)[0]


def _goal_text(goal: Goal) -> str:
    template: str = goal_library.gdict[goal.task_type]["pddl"]
    filled = template.format(obj=goal.object_type, recep=goal.target or "", toggle=goal.toggle or "")
    closed = filled.replace("#", "-").rstrip()
    # The template also closes the problem, but the translator wants the metric after the goal.
    assert closed.endswith(")")
    return closed[:-1] + "    (:metric minimize (total-cost))\n)"


def _mangle(identifier: str) -> str:
    for character, word in _MANGLED.items():
        identifier = identifier.replace(character, word)
    return identifier
