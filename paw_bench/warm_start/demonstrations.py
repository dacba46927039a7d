"""Plays an environment's demonstrator on training tasks, mistakes included, through the environments' own pool."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.definition import definition, random_action
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.envs.protocol import StepResult, Task
from paw_bench.rollout.prompts import Dialogue
from paw_bench.warm_start.config import DemonstrationConfig
from paw_bench.warm_start.examples import DemonstratedTurn, Demonstration

_AT_ONCE = 48
"""Episodes that are played side by side."""


def play_demonstrations(
    pool: EnvironmentPool,
    environment: EnvironmentConfig,
    tasks: tuple[Task, ...],
    config: DemonstrationConfig,
    on_progress: Callable[[int], None],
) -> list[Demonstration]:
    """Every task `config.episodes_per_game` times. `on_progress(episodes played)`."""
    played: list[Demonstration] = []
    jobs = [(task, episode) for task in tasks for episode in range(config.episodes_per_game)]
    for start in range(0, len(jobs), _AT_ONCE):
        played += _play(pool, environment, jobs[start : start + _AT_ONCE], config)
        on_progress(len(played))
    return played


def places_of(demonstrations: list[Demonstration]) -> dict[str, int]:
    """ALFWorld: kind of receptacle -> highest number seen. Empty where one does not `go to` places."""
    highest: Counter[str] = Counter()
    for demonstration in demonstrations:
        for place in (action[6:] for action in demonstration.admissible if action.startswith("go to ")):
            kind, number = place.rsplit(" ", 1)
            highest[kind] = max(highest[kind], int(number))
    return dict(highest)


class _Player:
    """One demonstrated episode in the making."""

    def __init__(
        self,
        environment: EnvironmentConfig,
        task: Task,
        episode: int,
        config: DemonstrationConfig,
        opening: StepResult,
    ) -> None:
        kind = definition(environment.name)
        self.task = task
        self.dialogue = Dialogue(opening.observation, opening.admissible, words=kind.words)
        self.rng = random.Random(f"demonstration/{config.seed}/{task.task_id}/{episode}")
        demonstrator = kind.experts()[config.expert] if config.expert else kind.demonstrator
        self.demonstrator = demonstrator(environment, task, opening)
        self.noise = self.rng.choice(config.noise)
        self.first_admissible = opening.admissible
        self.turns: list[DemonstratedTurn] = []
        self.success = False

    def choose(self) -> tuple[tuple[str, ...], str]:
        """(demonstrated choices, action to play)."""
        choices = tuple(self.demonstrator.choices(self.dialogue.admissible))
        draw = self.rng.random()
        if draw < self.noise * 2 / 3:
            return choices, random_action(self.rng, self.dialogue.admissible, self.dialogue.task)
        if draw < self.noise:
            return choices, self.rng.choice(self.demonstrator.slips(self.rng))
        return choices, self.rng.choice(choices)

    def finished(self) -> Demonstration:
        """The episode as it was played."""
        return Demonstration(
            self.task.task_id,
            self.task.task_type,
            self.dialogue.opening,
            self.first_admissible,
            tuple(self.turns),
            self.success,
            self.dialogue.words,
        )


def _play(
    pool: EnvironmentPool, environment: EnvironmentConfig, jobs: list[tuple[Task, int]], config: DemonstrationConfig
) -> list[Demonstration]:
    openings = pool.reset([(task, 0) for task, _ in jobs])
    players = [
        _Player(environment, task, episode, config, opening)
        for (task, episode), opening in zip(jobs, openings, strict=True)
    ]
    running = list(range(len(players)))
    while running:
        chosen = {slot: players[slot].choose() for slot in running}
        results = pool.step({slot: played for slot, (_, played) in chosen.items()})
        for slot, (choices, played) in chosen.items():
            player, result = players[slot], results[slot]
            player.turns.append(DemonstratedTurn(choices, played, result.observation, result.admissible))
            player.demonstrator.read(played, result.observation)
            player.dialogue.answer(played, result.observation, result.admissible)
            player.success = result.success
        running = [slot for slot in running if not results[slot].done]
    return [player.finished() for player in players]
