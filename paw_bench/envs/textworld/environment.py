"""TextWorld's games behind the environment protocol, on its own z-machine interpreter."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import textworld

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.protocol import StepResult, Task
from paw_bench.errors import StoreError

_STATUS = re.compile(r"\n*>\s*-=.*\Z", re.DOTALL)
"""The prompt and the status line that end every answer."""
_BLANK = re.compile(r"\n\s*\n+")
REFUSED = "That is not possible here."


class TextWorldEnvironment:
    """One episode at a time. Deterministic in (task, actions); the task's location is the path of a compiled game.

    Actions are lower-cased and their white space is collapsed. What the game does not list is not put to it (it would
    understand `quit`, `save` and `transcript`): that takes a turn and answers `REFUSED`.
    """

    def __init__(self, config: EnvironmentConfig) -> None:
        self._config = config
        self._game: Any = None
        self._admissible: tuple[str, ...] = ()
        self._turns = 0
        self._done = True

    def reset(self, task: Task, seed: int) -> StepResult:
        """Start `task`."""
        self.close()
        self._game = start(task.location)
        self._state = self._game.reset()
        self._turns = 0
        objective = self._state["objective"]
        room = self._state["feedback"].partition(objective)[2]
        goal = " ".join(objective.split()).rstrip(".!")
        return self._result(f"{told(room)}\n\nYour task is to: {goal}.", accepted=True)

    def step(self, action: str) -> StepResult:
        """Play one action; RuntimeError when the episode is over."""
        if self._done:
            raise RuntimeError("the episode is over: reset first")
        self._turns += 1
        command = " ".join(action.lower().split())
        if command not in self._admissible:
            return self._result(REFUSED, accepted=False)
        self._state, _, _ = self._game.step(command)
        return self._result(told(self._state["feedback"]), accepted=True)

    def close(self) -> None:
        """End the interpreter."""
        if self._game is not None:
            self._game.close()
            self._game = None

    def _result(self, text: str, *, accepted: bool) -> StepResult:
        state: Mapping[str, Any] = self._state
        won = bool(state["won"])
        self._done = won or bool(state["lost"]) or self._turns >= self._config.max_turns
        self._admissible = () if won or state["lost"] else tuple(sorted(state["admissible_commands"]))
        return StepResult(
            observation=text,
            admissible=self._admissible,
            reward=self._config.success_reward if won and accepted else 0.0,
            done=self._done,
            success=won,
            accepted=accepted,
            score=state["score"] / state["max_score"] if self._done else None,
        )


_REMEDY = "remove its folder: games are made again at the next start"


def start(path: str, *, policy: bool = False) -> Any:
    """A game of its own on the interpreter. `policy`: with the commands that win, which cost time at every step.

    Raises StoreError for a file that is no whole game: the interpreter would end this process.
    """
    _check(Path(path))
    infos = textworld.EnvInfos(
        admissible_commands=True,
        won=True,
        lost=True,
        objective=True,
        score=True,
        max_score=True,
        policy_commands=policy,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jericho cannot read scores out of these games; TextWorld can
        return textworld.start(path, infos)


def _check(path: Path) -> None:
    """Compare a game file with the length and the checksum in its header (the Z-machine standard, section 11)."""
    try:
        story = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}", _REMEDY) from error
    length = int.from_bytes(story[0x1A:0x1C], "big") * 8
    if story[:1] != b"\x08" or not 64 < length <= len(story):
        raise StoreError(f"{path}: is no Z-machine game of version 8, or not all of one", _REMEDY)
    if sum(memoryview(story)[0x40:length]) & 0xFFFF != int.from_bytes(story[0x1C:0x1E], "big"):
        raise StoreError(f"{path}: is damaged: its checksum differs", _REMEDY)


def told(feedback: str) -> str:
    """What the game says, without its prompt, status line and runs of empty lines."""
    return _BLANK.sub("\n", _STATUS.sub("", feedback)).strip()
