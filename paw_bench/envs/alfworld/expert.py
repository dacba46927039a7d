"""The alfworld package's hand-coded expert, `HandCodedTWAgent`, as a player.

It is the teacher of the published imitation baselines: it reads facts of the game as well as its texts, knows where
things are likely to be, and searches there. Mended are what keeps 0.4.2 from playing its own games: it waits for `put`,
which became `move`; it takes `winebottleopener` for an `open`; and it draws from the process's random numbers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from paw_bench.envs.alfworld.engine import Game
from paw_bench.envs.alfworld.files import GAME_FILE
from paw_bench.envs.alfworld.package import HandCodedAgentFailed, HandCodedAgentTimeout, HandCodedTWAgent, hand_coded

_READ = ("holds", "inreceptacle", "isclean", "iscool", "ishot")
"""Predicates that it looks at."""


class _Fact(NamedTuple):
    """As textworld shows facts: with the names of things that a player reads."""

    name: str
    names: tuple[str, ...]


class Expert:
    """Plays one episode of `game`, whose files are in `folder`; `opening` is its first observation.

    It follows what others play in its place. Where it gives up it plays at random, as its own agent does.
    """

    def __init__(self, game: Game, folder: Path, opening: str) -> None:
        self._game, self._node = game, game.root
        self._rng = random.Random(f"expert/{folder.name}")
        agent = HandCodedTWAgent()
        agent.get_task_policy = lambda task: _mended(HandCodedTWAgent.get_task_policy(agent, task))
        agent.reset(str(folder / GAME_FILE))
        self._agent = agent
        self._agent.observe(f"Welcome\n{opening}")  # by this word it knows an opening
        self._last, self._observation = "", opening
        self._choice: tuple[str, ...] = ("look",)

    def choices(self, admissible: Sequence[str]) -> tuple[str, ...]:
        """One action, which is admissible."""
        if not self._choice:
            self._choice = (self._chosen(admissible),)
        return self._choice

    def read(self, action: str, observation: str) -> None:
        """Take note of a played action, its own or another, and its answer."""
        command = self._game.command(self._node, action)
        _, self._node = self._game.play(self._node, command)
        self._last, self._observation, self._choice = command, observation, ()

    def slips(self, rng: random.Random) -> tuple[str, ...]:
        """What mostly fails: opening and going where one stands already, taking from afar."""
        places = [command[6:] for command in self._game.root.admissible if command.startswith("go to ")]
        there = rng.choice(places)
        return (f"open {there}", f"close {there}", f"take {self._agent.task_params['object_target']} 1 from {there}")

    def _chosen(self, admissible: Sequence[str]) -> str:
        state = {"feedback": self._observation, "admissible_commands": list(admissible), "facts": self._facts()}
        hand_coded.random = self._rng  # the module's own name for the random numbers of the process
        try:
            action: str = self._agent.act(state, 0, self._node.won, self._last)
        except (HandCodedAgentTimeout, HandCodedAgentFailed, IndexError):
            return self._rng.choice(admissible)  # it gave up, or looks for a thing in an empty list
        return action if action in admissible else "look"

    def _facts(self) -> list[_Fact]:
        return [
            _Fact(predicate, tuple(self._game.names[thing].strip() for thing in arguments))
            for predicate, arguments in sorted(self._game.facts(self._node))
            if predicate in _READ
        ]


def _mended(policy: type[Any]) -> type[Any]:
    """A policy of the package whose notes of its own actions follow the verb, with `move` for `put`."""

    class Mended(policy):  # type: ignore[misc]
        def update_state_tracking(self, game_state: dict[str, Any], last_action: str) -> None:
            verb, _, rest = last_action.partition(" ")
            worked = "Nothing happens" not in game_state["feedback"]
            if verb == "go":
                super().update_state_tracking(game_state, last_action)
            elif worked and verb == "open" and rest == self.curr_recep:
                self.checked_inside_curr_recep = True
                self.action_backlog.append(f"close {rest}")
            elif worked and verb == "close" and last_action in self.action_backlog:
                self.action_backlog.remove(last_action)
            elif worked and verb == "take":
                thing, _, self.got_inventory_from_recep = rest.partition(" from ")
                self.inventory.append(thing)
                self.blacklist_obj(thing)
            elif worked and verb == "move" and self.inventory:
                self.got_inventory_from_recep = ""
                thing = self.inventory.pop()
                self.blacklist_obj(thing)
                if self.object_id_to_cls(thing) == self.task_params["object_target"]:
                    self.object_blacklist.append(thing)

    return Mended
