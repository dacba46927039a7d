"""ALFWorld behind the environment protocol."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.alfworld.engine import make_engine
from paw_bench.envs.cache import cache_root
from paw_bench.envs.protocol import StepResult, Task

_BANNER = "-= Welcome to TextWorld, ALFRED! =-"
# Published prompts say `put`; the games of alfworld 0.4 say `move`.
_PUT = re.compile(r"put (?P<object>.+) (?:in/on|in|on) (?P<receptacle>.+)")


class AlfworldEnvironment:
    """One episode at a time. Deterministic in (task, actions): the seed has no effect on ALFWorld.

    Actions are stripped, lower-cased and their white space is collapsed; `put X in/on Y` (also `in`, `on`) stands for
    `move X to Y`. Nothing else is mended. An action that the engine does not know gives "Nothing happens.".
    """

    def __init__(self, config: EnvironmentConfig) -> None:
        self._max_turns = config.max_turns
        self._success_reward = config.success_reward
        self._admissible: tuple[str, ...] = ()
        self._turns = 0
        self._done = True

    def reset(self, task: Task, seed: int) -> StepResult:
        """Start `task`; its location is the path of a game.tw-pddl file."""
        engine = _engine()
        engine.load(task.location)
        state = engine.reset()
        self._turns = 0
        self._done = False
        return self._result(state, reward=0.0, accepted=True)

    def step(self, action: str) -> StepResult:
        """Play one action; RuntimeError when the episode is over."""
        if self._done:
            raise RuntimeError("the episode is over: reset first")
        command = self._command(action)
        accepted = command in self._admissible
        state, _, won = _engine().step(command)
        self._turns += 1
        self._done = won or self._turns >= self._max_turns
        return self._result(state, reward=self._success_reward if won else 0.0, accepted=accepted)

    def close(self) -> None:
        """Nothing to free: the engine is the process's and is used again."""

    def _command(self, action: str) -> str:
        command = " ".join(action.lower().split())
        put = _PUT.fullmatch(command)
        if put and command not in self._admissible:
            return f"move {put['object']} to {put['receptacle']}"
        return command

    def _result(self, state: Any, *, reward: float, accepted: bool) -> StepResult:
        self._admissible = tuple(command for command in state["admissible_commands"] if command != "help")
        return StepResult(
            observation=state.feedback.replace(_BANNER, "").strip(),
            admissible=self._admissible,
            reward=reward,
            done=self._done,
            success=bool(state["won"]),
            accepted=accepted,
        )


@cache
def _engine() -> Any:
    # One for the whole process: every environment object of textworld leaks 5 MB.
    return make_engine(cache_root() / "translations")
