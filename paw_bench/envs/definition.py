"""What an entry point of the group `paw_bench.envs` names: all that the suite knows of an environment.

The modules of definitions are imported wherever a config is read. They import no game engine, no numpy and no torch at
their top; `tasks` and `make` import what they need.
"""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paw_bench.config.environments import find, names
from paw_bench.config.schema import EnvironmentConfig
from paw_bench.config.section import PositiveInt, Section
from paw_bench.envs.protocol import Demonstrator, Environment, Player, StepResult, Task
from paw_bench.envs.words import Words
from paw_bench.errors import UserError


class PanelOptions(Section):
    """Options of an environment with the usual panels: their sizes. Environments add keys of their own."""

    train: PositiveInt = 512
    tune: PositiveInt = 64
    test: PositiveInt = 128


@dataclass(frozen=True, slots=True)
class Listed:
    """A task of a panel. `sha256` covers what the environment will play, so that a panel's hash does."""

    task: Task
    sha256: str


@dataclass(frozen=True, slots=True)
class Missing:
    """What a config needs and this machine lacks."""

    needs: str
    found: str
    remedy: str


class Definition(ABC):
    """An environment: its options, its panels, how it is played and how it is put into words."""

    options: type[Section] = PanelOptions
    panels: tuple[str, ...] = ("train", "tune", "test")
    """`train` and `tune` are needed: runs train on the first and measure fixed transitions on the second."""
    task_types: tuple[str, ...] = ()
    """Order in which types take turns in a panel; others follow in the order in which they appear."""
    words: Words

    @abstractmethod
    def tasks(self, config: EnvironmentConfig, cache: Path) -> Mapping[str, Sequence[Listed]]:
        """Every panel's tasks, at least as many as `sizes` says; no task in two panels.

        The order within a type is kept. What must be made is made once, into `cache`. Raises UserError where the tasks
        cannot be had.
        """

    @abstractmethod
    def make(self, config: EnvironmentConfig) -> Environment:
        """A new environment: called in a worker, for every episode."""

    def sizes(self, config: EnvironmentConfig) -> dict[str, int]:
        """Panel -> how many tasks the config asks for."""
        return {name: int(config.options[name]) for name in self.panels}

    def read_options(self, config: EnvironmentConfig) -> Any:
        """`config.options` as an object of the class `options`."""
        return self.options.model_validate(config.options)

    def player(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Player:
        """One who knows how to play `task`: for tests and fixed transitions. By default a random one."""
        return RandomPlayer(f"{task.task_id}/{opening.observation}")

    def demonstrator(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Demonstrator:
        """One whom the policy of a warm start is cloned from. Raises UserError where there is none."""
        raise UserError(
            f"the environment {config.name!r} has no demonstrator",
            "write its `Definition.demonstrator`: a player that uses only what the policy reads",
        )

    def oracle(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Player:
        """One who wins wherever it can be done, by whatever it takes: for people to watch. By default the player."""
        return self.player(config, task, opening)

    def experts(self) -> Mapping[str, Callable[[EnvironmentConfig, Task, StepResult], Demonstrator]]:
        """Further demonstrators by name, which a warm start can be given instead of the environment's own."""
        return {}

    def max_return(self, config: EnvironmentConfig) -> float:
        """R_max: the largest return of an episode."""
        return config.success_reward

    def missing(self, config: EnvironmentConfig) -> Missing | None:
        """What this machine lacks for the config, looked up without loading it."""
        return None


def definition(name: str) -> Definition:
    """The environment `name`. Raises UserError where it is not installed."""
    found = find(name)
    if found is None:
        raise UserError(
            f"the environment {name!r} is not installed",
            f"install the package that offers it; installed are {', '.join(names())}",
        )
    if not isinstance(found, Definition):
        raise TypeError(f"the entry point {name!r} names {found!r}, which is no Definition")
    return found


class RandomPlayer:
    """Plays any admissible action; `<...>` in one, which stands for free text, becomes a few words of the opening."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)
        self._text = seed

    def choices(self, admissible: Sequence[str]) -> tuple[str, ...]:
        """One action."""
        return (random_action(self._rng, admissible, self._text),) if admissible else ("look",)

    def read(self, action: str, observation: str) -> None:
        """Nothing is learned."""


def random_action(rng: random.Random, admissible: Sequence[str], text: str) -> str:
    """One of the admissible actions; free text in it is made of one to four neighbouring words of `text`."""
    action = rng.choice(admissible)
    if "<" not in action:
        return action
    words = re.findall(r"\w+", text) or ["a"]
    first = rng.randrange(len(words))
    return re.sub(r"<[^>]*>", " ".join(words[first : first + rng.randint(1, 4)]), action)
