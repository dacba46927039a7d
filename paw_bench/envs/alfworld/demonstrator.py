"""A demonstrator without hidden state: it knows the rules of the house and searches it blindly.

It reads only what the policy could read (observations and admissible actions). It knows how to open, take, clean, heat,
cool, use and move, but not where things are likely to be: it begins its search anywhere and goes on from place to place
in the order of the list. A policy cloned from it can master the mechanics; where to look first is left to RL.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

_ENTITY = re.compile(r"\b([a-z]+ \d+)\b")
_STATIONS = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
_STATES = {"clean": "clean", "hot": "heat", "heat": "heat", "cool": "cool"}
_GOALS = (
    re.compile(r"(?:look at|examine the) (?P<object>\w+) (?:under|with) the (?P<lamp>\w+)"),
    re.compile(r"(?:put|find) (?P<two>two) (?P<object>\w+)(?: and put them)? (?:in|on) (?P<target>\w+)"),
    re.compile(r"(?P<state>clean|heat|cool) some (?P<object>\w+) and put it (?:in|on) (?P<target>\w+)"),
    re.compile(r"put (?:a|some) (?:(?P<state>clean|hot|cool) )?(?P<object>\w+) (?:in|on) (?P<target>\w+)"),
)


@dataclass(frozen=True, slots=True)
class Goal:
    """An instruction, understood: which object, what to do to it, where it goes (or which lamp to look under)."""

    object: str
    target: str | None
    lamp: str | None
    treatment: str | None
    """`clean`, `heat`, `cool` or None."""

    @classmethod
    def parse(cls, task: str) -> Goal:
        """Read an ALFWorld instruction; raises ValueError for one that is none."""
        for pattern in _GOALS:
            if found := pattern.search(task):
                groups = found.groupdict()
                treatment = _STATES.get(groups.get("state") or "")
                return cls(found["object"], groups.get("target"), groups.get("lamp"), treatment)
        raise ValueError(f"not an ALFWorld instruction: {task!r}")


def kind(entity: str) -> str:
    """`cabinet 3` -> `cabinet`."""
    return entity.rsplit(" ", 1)[0]


@dataclass(slots=True)
class Searcher:
    """Knows what to do next from what it has read so far."""

    goal: Goal
    receptacles: tuple[str, ...]
    visited: set[str] = field(default_factory=set)
    seen: dict[str, str] = field(default_factory=dict)
    """Relevant entity -> receptacle where it was last seen."""
    held: str | None = None
    treated: bool = False
    place: str | None = None
    closed: bool = False

    @classmethod
    def start(cls, task: str, admissible: tuple[str, ...]) -> Searcher:
        """Begin an episode from its instruction and first admissible actions."""
        places = tuple(action[6:] for action in admissible if action.startswith("go to "))
        return cls(Goal.parse(task), places)

    def read(self, action: str, observation: str) -> None:
        """Take note of a played action and its answer."""
        if observation.startswith("Nothing happens"):
            return
        verb, _, rest = action.partition(" ")
        if verb == "go":
            self.place = rest[3:]
            self.closed = "is closed" in observation
            if not self.closed:
                self._look(observation)
        elif verb == "open":
            self.closed = False
            self._look(observation)
        elif verb == "close":
            self.closed = True
        elif verb == "take":
            self.held, self.treated = rest.split(" from ")[0], False
            self.seen.pop(self.held, None)
        elif verb == "move":
            entity, place = rest.split(" to ")
            self.held, self.treated = None, False
            self.seen[entity] = place
        elif verb in _STATIONS and self.held and verb == self.goal.treatment:
            self.treated = True

    def _look(self, observation: str) -> None:
        assert self.place is not None
        self.visited.add(self.place)
        self.seen = {entity: place for entity, place in self.seen.items() if place != self.place}
        for entity in _ENTITY.findall(observation.partition("you see")[2]):
            if kind(entity) in (self.goal.object, self.goal.lamp):
                self.seen[entity] = self.place

    def choices(self, admissible: tuple[str, ...]) -> tuple[str, ...]:
        """The actions that are equally good to the demonstrator, all of them among `admissible`.

        One, but for the first: the search may begin at any place.
        """
        action = self._bring(admissible) if self.held else self._fetch(admissible)
        return (action,) if action in admissible else self._search()

    def slips(self, rng: random.Random) -> tuple[str, ...]:
        """Reaching for what may not be there, opening from afar, going where one stands."""
        here = self.place or self.receptacles[0]
        return (
            f"take {self.goal.object} 1 from {here}",
            f"move {self.goal.object} 1 to {here}",
            f"open {rng.choice(self.receptacles)}",
            f"go to {here}",
        )

    def _bring(self, admissible: tuple[str, ...]) -> str | None:
        assert self.held is not None
        goal = self.goal
        if kind(self.held) != goal.object:
            return self._put_down(admissible)
        if goal.treatment and not self.treated:
            station = _STATIONS[goal.treatment]
            if self._stands_at(station):
                return f"{goal.treatment} {self.held} with {self.place}"
            return self._go_to_a(station)
        if goal.lamp:
            use = [action for action in admissible if action.startswith(f"use {goal.lamp}")]
            known = [place for entity, place in self.seen.items() if kind(entity) == goal.lamp]
            return use[0] if use else f"go to {known[0]}" if known else self._open_here()
        assert goal.target is not None
        if self._stands_at(goal.target):
            return f"open {self.place}" if self.closed else f"move {self.held} to {self.place}"
        return self._go_to_a(goal.target)

    def _put_down(self, admissible: tuple[str, ...]) -> str | None:
        """Free the hand of a wrong object, here if the place allows it."""
        here = f"move {self.held} to {self.place}"
        return here if here in admissible else self._open_here()

    def _fetch(self, admissible: tuple[str, ...]) -> str | None:
        goal = self.goal
        if self.place and not self._stands_at(goal.target):
            takes = sorted(action for action in admissible if action.startswith(f"take {goal.object} "))
            if takes:
                return takes[0]
        if opening := self._open_here():
            return opening
        known = sorted(
            place
            for entity, place in self.seen.items()
            if kind(entity) == goal.object and kind(place) != goal.target and place != self.place
        )
        return f"go to {known[0]}" if known else None

    def _open_here(self) -> str | None:
        return f"open {self.place}" if self.closed and self.place not in self.visited else None

    def _stands_at(self, receptacle_kind: str | None) -> bool:
        return self.place is not None and kind(self.place) == receptacle_kind

    def _go_to_a(self, receptacle_kind: str) -> str:
        return f"go to {next(place for place in sorted(self.receptacles) if kind(place) == receptacle_kind)}"

    def _search(self) -> tuple[str, ...]:
        """Anywhere at first, then from place to place in the order of the list."""
        if self.place is None:
            return tuple(f"go to {place}" for place in self.receptacles)
        here = self.receptacles.index(self.place)
        others = self.receptacles[here + 1 :] + self.receptacles[:here]
        fresh = [place for place in others if place not in self.visited and kind(place) != self.goal.target]
        return (f"go to {(fresh or others)[0]}",)
