"""One question, and a signpost after every wrong road: `red` takes the red road."""

from __future__ import annotations

import random

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.protocol import StepResult, Task
from paw_bench.envs.signposts.country import NEW, ROADS, roads, signs

NO_ROAD = "No such road."


def question(town: str, place: str) -> str:
    """The opening of an episode."""
    return f"A crossroads.\n\nYour task is to: travel from {town} to {place}."


def sign(place: str, road: str) -> str:
    """What a sign says. As in an answer, the road stands alone: a reader's tokens are the same in both."""
    return f"to {place}; {road}"


class SignpostsEnvironment:
    """One episode at a time. Deterministic in (task, seed, actions). The task's location is `TOWN PLACE`.

    The right road ends the episode; every other one leads back. On every road, right or wrong, stands a sign: to which
    place one comes from this town by which road. With `noise` both are drawn at random whenever it is read.
    """

    def __init__(self, config: EnvironmentConfig, *, seed: int, noise: bool) -> None:
        self._config = config
        self._roads, self._signs = roads(seed), signs(seed)
        self._noise = noise
        self._turns = 0
        self._done = True

    def reset(self, task: Task, seed: int) -> StepResult:
        """Ask the question of `task`; `seed` draws the noise."""
        self._town, self._place = task.location.split()
        self._drawn = f"{task.task_id}/{seed}"
        self._turns = 0
        return self._result(question(self._town, self._place), accepted=True, right=False)

    def step(self, action: str) -> StepResult:
        """Take one road; RuntimeError when the episode is over."""
        if self._done:
            raise RuntimeError("the episode is over: reset first")
        self._turns += 1
        road = " ".join(action.lower().split())
        if road not in ROADS:
            return self._result(NO_ROAD, accepted=False, right=False)
        right = road == self._roads[self._town, self._place]
        return self._result(self._sign(road), accepted=True, right=right)

    def close(self) -> None:
        """Nothing to free."""

    def _sign(self, road: str) -> str:
        if self._noise:
            rng = random.Random(f"{self._drawn}/{self._turns}/{road}")
            return sign(rng.choice(NEW), rng.choice(ROADS))
        place = self._signs[self._town, road]
        return sign(place, self._roads[self._town, place])

    def _result(self, text: str, *, accepted: bool, right: bool) -> StepResult:
        self._done = right or self._turns >= self._config.max_turns
        reward = self._config.success_reward if right else 0.0
        return StepResult(text, ROADS, reward, self._done, right, accepted)
