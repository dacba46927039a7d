"""ALFWorld behind the environment protocol."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.alfworld.engine import Engine, Game, Node
from paw_bench.envs.cache import cache_root
from paw_bench.envs.protocol import StepResult, Task
from paw_bench.errors import StoreError

_BANNER = "-= Welcome to TextWorld, ALFRED! =-"


class AlfworldEnvironment:
    """One episode at a time. Deterministic in (task, actions): the seed has no effect on ALFWorld.

    Actions are stripped, lower-cased and their white space is collapsed; `put X in/on Y` (also `in`, `on`) stands for
    `move X to Y`. Nothing else is mended. An action that the engine does not know gives "Nothing happens.".
    """

    def __init__(self, config: EnvironmentConfig) -> None:
        self._max_turns = config.max_turns
        self._success_reward = config.success_reward
        self._game: Game
        self._node: Node
        self._admissible: tuple[str, ...] = ()
        self._turns = 0
        self._done = True

    def reset(self, task: Task, seed: int) -> StepResult:
        """Start `task`; its location is the path of a game.tw-pddl file."""
        self._game = open_game(Path(task.location))
        self._turns = 0
        return self._result(self._game.opening, self._game.root, reward=0.0, accepted=True)

    def step(self, action: str) -> StepResult:
        """Play one action; RuntimeError when the episode is over."""
        if self._done:
            raise RuntimeError("the episode is over: reset first")
        command = self._game.command(self._node, action)
        accepted = command in self._admissible
        feedback, node = self._game.play(self._node, command)
        self._turns += 1
        return self._result(feedback, node, reward=self._success_reward if node.won else 0.0, accepted=accepted)

    def close(self) -> None:
        """Nothing to free: the engine is the process's and is used again."""

    def _result(self, text: str, node: Node, *, reward: float, accepted: bool) -> StepResult:
        self._node = node
        self._admissible = tuple(command for command in node.admissible if command != "help")
        self._done = node.won or self._turns >= self._max_turns
        return StepResult(
            observation=text.replace(_BANNER, "").strip(),
            admissible=self._admissible,
            reward=reward,
            done=self._done,
            success=node.won,
            accepted=accepted,
        )


def open_game(path: Path) -> Game:
    """The game of a game.tw-pddl file, which all episodes of this process share.

    Raises StoreError where the file is none.
    """
    try:
        return _engine().open(path)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise StoreError(
            f"{path}: is no game that can be played: {type(error).__name__}: {error}",
            "restore it; generated games are made again at the next start, once their folder is removed",
        ) from error


@cache
def _engine() -> Engine:
    # One for the whole process: its episodes share what it knows of a game.
    return Engine(cache_root() / "translations")
