"""A player who is told the way by TextWorld: it plays along on a copy of the game, which knows what wins from there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from paw_bench.envs.textworld.environment import start
from paw_bench.envs.textworld.maker import DESCRIPTION


class Guide:
    """Follows the game's winning policy; where TextWorld has none, the walkthrough of its description."""

    def __init__(self, path: str) -> None:
        self._copy = start(path, policy=True)
        self._state = self._copy.reset()
        self._walkthrough = _walkthrough(Path(path).with_name(DESCRIPTION))

    def choices(self, admissible: Sequence[str]) -> tuple[str, ...]:
        """The next command that wins; `look` where nobody knows one."""
        commands = self._state["policy_commands"] or self._walkthrough
        return (commands[0] if commands and commands[0] in admissible else "look",)

    def read(self, action: str, observation: str) -> None:
        """Play along."""
        if self._walkthrough[:1] == [action]:
            self._walkthrough = self._walkthrough[1:]
        if action in self._state["admissible_commands"] and not (self._state["won"] or self._state["lost"]):
            self._state, _, _ = self._copy.step(action)


def _walkthrough(description: Path) -> list[str]:
    commands = orjson.loads(description.read_bytes()).get("metadata", {}).get("walkthrough") or []
    return [str(command) for command in commands]
