"""A player that reads the game's facts, and so needs no search: it shows that a game can be won."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paw_bench.envs.alfworld.engine import Game
from paw_bench.envs.alfworld.files import TRAJECTORY_FILE

_APPLIANCES = {
    "pick_clean_then_place_in_recep": ("clean", "sinkbasintype"),
    "pick_heat_then_place_in_recep": ("heat", "microwavetype"),
    "pick_cool_then_place_in_recep": ("cool", "fridgetype"),
}


def oracle_commands(game: Game, folder: Path) -> list[str]:
    """Commands that win `game` from its start. `folder` holds its traj_data.json, which says what it asks for."""
    return _Plan(game, json.loads((folder / TRAJECTORY_FILE).read_text())).commands


class Oracle:
    """Plays `oracle_commands` from the start of an episode; it does not find back from other actions."""

    def __init__(self, game: Game, folder: Path) -> None:
        self._left = oracle_commands(game, folder)

    def choices(self, admissible: Sequence[str]) -> tuple[str, ...]:
        """The next command of the plan; `look` after its end."""
        return (self._left[0] if self._left else "look",)

    def read(self, action: str, observation: str) -> None:
        """Go on in the plan."""
        if self._left[:1] == [action]:
            self._left.pop(0)


class _Plan:
    def __init__(self, game: Game, trajectory: Mapping[str, Any]) -> None:
        facts: defaultdict[str, list[Any]] = defaultdict(list)
        for fact in sorted(game.initial_facts):
            facts[fact[0]].append(fact[1])
        self._names = game.names
        self._object_types: dict[str, str] = dict(facts["objecttype"])
        self._receptacle_types: dict[str, str] = dict(facts["receptacletype"])
        self._place: dict[str, str] = dict(facts["inreceptacle"])
        self._closed = {name for (name,) in facts["openable"]} - {name for (name,) in facts["opened"]}
        self.commands: list[str] = []

        task_type, goal = trajectory["task_type"], trajectory["pddl_params"]
        if task_type == "look_at_obj_in_light":
            self._take(self._objects(goal["object_target"], but_not_in="")[0])
            lamp = self._objects(goal["toggle_target"], but_not_in="")[0]
            self._go_to(self._place[lamp])
            self.commands.append(f"use {self._names[lamp]}")
            return
        target = self._receptacle(_pddl_type(goal["parent_target"]))
        count = 2 if task_type == "pick_two_obj_and_place" else 1
        for item in self._objects(goal["object_target"], but_not_in=goal["parent_target"])[:count]:
            self._take(item)
            if task_type in _APPLIANCES:
                verb, kind = _APPLIANCES[task_type]
                appliance = self._receptacle(kind)
                self._go_to(appliance)
                self.commands.append(f"{verb} {self._names[item]} with {self._names[appliance]}")
            self._go_to(target)
            self._open(target)
            self.commands.append(f"move {self._names[item]} to {self._names[target]}")

    def _objects(self, kind: str, *, but_not_in: str) -> list[str]:
        """Things of a class that lie somewhere, except in receptacles of one type."""
        return [
            name
            for name, its_type in sorted(self._object_types.items())
            if its_type == _pddl_type(kind)
            and name in self._place
            and self._receptacle_types[self._place[name]] != _pddl_type(but_not_in)
        ]

    def _receptacle(self, kind: str) -> str:
        return min(name for name, its_type in self._receptacle_types.items() if its_type == kind)

    def _take(self, item: str) -> None:
        place = self._place[item]
        self._go_to(place)
        self._open(place)
        self.commands.append(f"take {self._names[item]} from {self._names[place]}")

    def _go_to(self, receptacle: str) -> None:
        command = f"go to {self._names[receptacle]}"
        moves = [known for known in self.commands if known.startswith("go to ")]
        if moves[-1:] != [command]:
            self.commands.append(command)

    def _open(self, receptacle: str) -> None:
        if receptacle in self._closed:
            self._closed.remove(receptacle)
            self.commands.append(f"open {self._names[receptacle]}")


def _pddl_type(kind: str) -> str:
    return f"{kind.lower()}type"
