"""A wanderer who knows the words of a quest, but neither the map nor what an earlier room held.

It takes what the instruction names, opens what is closed, and else walks on: anywhere but back, and back from a dead
end. Its next action follows from the instruction, the last action and what is listed now, as a window of one turn shows
them. Cooking asks for more than that: a recipe to remember.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

_BACK = {"north": "south", "south": "north", "east": "west", "west": "east"}
_TAKE = re.compile(r"take (.+?)(?: from .+)?")


@dataclass(slots=True)
class Wanderer:
    """Looks for what `quest`, an instruction, names."""

    quest: str
    entered: str | None = None
    """Direction of the last step, where the last action was one."""

    def choices(self, admissible: Sequence[str]) -> tuple[str, ...]:
        """One action, or several ways that are equally good."""
        for action in admissible:
            found = _TAKE.fullmatch(action)
            if found and re.search(rf"\b{re.escape(found[1])}\b", self.quest):
                return (action,)
        closed = [action for action in admissible if action.startswith("open ")]
        if closed:
            return (closed[0],)
        exits = [action for action in admissible if action.startswith("go ")]
        onward = [way for way in exits if self.entered is None or way != f"go {_BACK[self.entered]}"]
        return tuple(onward or exits or ["look"])

    def read(self, action: str, observation: str) -> None:
        """Remember the last action only."""
        verb, _, way = action.partition(" ")
        self.entered = way if verb == "go" and way in _BACK and observation.startswith("-=") else None

    def slips(self, rng: random.Random) -> tuple[str, ...]:
        """Walking into walls, and reaching for what is not here."""
        thing = rng.choice(re.findall(r"\w+", self.quest))
        return (f"go {rng.choice(list(_BACK))}", f"take {thing}")
