"""A player who is told the way by TextWorld: it plays along on a copy of the game, which knows what wins from there."""

from __future__ import annotations

from collections.abc import Sequence

from paw_bench.envs.textworld.environment import start


class Guide:
    """Follows the game's winning policy, from wherever it finds itself."""

    def __init__(self, path: str) -> None:
        self._copy = start(path, policy=True)
        self._state = self._copy.reset()

    def choices(self, admissible: Sequence[str]) -> tuple[str, ...]:
        """The next command that wins; `look` where nothing wins any more."""
        commands = self._state["policy_commands"]
        return (commands[0] if commands and commands[0] in admissible else "look",)

    def read(self, action: str, observation: str) -> None:
        """Play along."""
        if action in self._state["admissible_commands"] and not (self._state["won"] or self._state["lost"]):
            self._state, _, _ = self._copy.step(action)
