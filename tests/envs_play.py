"""Plays any environment: in this process, on the pool, and through the collector with a scripted engine."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.definition import definition, random_action
from paw_bench.envs.protocol import Environment, Player, StepResult, Task
from paw_bench.rollout.engine import Reply, Request

SIZES = {"train": 12, "tune": 6, "test": 12}


def config_of(name: str, max_turns: int, **options: Any) -> EnvironmentConfig:
    return EnvironmentConfig(name=name, max_turns=max_turns, options={**SIZES, **options})


def play(environment: Environment, task: Task, start: Callable[[Task, StepResult], Player]) -> list[Any]:
    """One episode: [opening, (action, result), ...]."""
    opening = environment.reset(task, 0)
    player, told, result = start(task, opening), [opening], opening
    while not result.done:
        action = player.choices(result.admissible)[0]
        result = environment.step(action)
        player.read(action, result.observation)
        told.append((action, result))
    return told


def oracle(config: EnvironmentConfig) -> Callable[[Task, StepResult], Player]:
    return lambda task, opening: definition(config.name).player(config, task, opening)


def play_on_pool(pool: Any, assignments: Sequence[tuple[Task, int]], disturb: Callable[[int], None]) -> list[Any]:
    """Random episodes in all slots; what each slot saw."""
    histories = [[opening] for opening in pool.reset(assignments)]
    rngs = [random.Random(slot) for slot in range(len(assignments))]
    for turn in range(100):
        disturb(turn)
        actions = {
            slot: random_action(rngs[slot], history[-1].admissible, history[0].observation)
            for slot, history in enumerate(histories)
            if not history[-1].done
        }
        if not actions:
            return histories
        for slot, result in pool.step(actions).items():
            histories[slot].append(result)
    raise AssertionError("an episode does not end")


class ScriptedEngine:
    """Says what the script has for a key of sampling noise, which names the episode and the turn."""

    def __init__(self, script: Mapping[Any, str], encode: Callable[[str], list[int]], end_id: int) -> None:
        self._script, self._encode, self._end_id = script, encode, end_id
        self.prompts: list[list[int]] = []

    def generate(self, requests: Sequence[Request], temperature: float) -> list[Reply]:
        self.prompts += [request.prompt for request in requests]
        said = [[*self._encode(self._script[request.key]), self._end_id] for request in requests]
        return [Reply(ids, [-0.5] * len(ids), [0.5] * len(ids)) for ids in said]

    def forget(self, conversations: Iterable[int]) -> None:
        """Nothing is kept."""

    def load_weights(self, model: Any) -> None:
        raise AssertionError("a script has no weights")

    def close(self) -> None:
        """Nothing is held."""
