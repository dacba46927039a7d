"""Signposts as an environment of the suite: a calibration task, on which a world-model loss must help, or cannot."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Literal

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.config.section import NonNegativeInt
from paw_bench.envs.definition import Definition, Listed, PanelOptions
from paw_bench.envs.protocol import Environment, Player, StepResult, Task
from paw_bench.envs.signposts.country import PAIRS, asked, roads
from paw_bench.envs.words import Words


class SignpostsOptions(PanelOptions):
    """Which country, and whether its signs are true."""

    signs: Literal["map", "noise"] = "map"
    """`map`: a road's sign always says the same, and it is true; `noise`: what a sign says is drawn at random."""
    seed: NonNegativeInt = 0
    """Of the map: the roads to the new places, their signs, and which half of the questions is asked in training."""


class Signposts(Definition):
    """Which road leads from this town to that place? Half of the questions are asked in training."""

    options = SignpostsOptions
    task_types = ("asked", "told")
    words = Words(
        role="You are an expert traveller who takes the right one of eight roads.",
        instruction=re.compile(r"Your task is to: travel from (.*?)\.?\s*$", re.DOTALL),
        task="Your task is to: travel from {}.",
        listed=False,
    )

    def tasks(self, config: EnvironmentConfig, cache: Path) -> dict[str, list[Listed]]:
        """Questions in turn; those of `train` are of type `asked`, the other panels have both types."""
        return {name: self._panel(config, name, size) for name, size in self.sizes(config).items()}

    def make(self, config: EnvironmentConfig) -> Environment:
        """A traveller's seat."""
        from paw_bench.envs.signposts.environment import SignpostsEnvironment

        options = self.read_options(config)
        return SignpostsEnvironment(config, seed=options.seed, noise=options.signs == "noise")

    def player(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Player:
        """One who knows the map."""
        town, place = task.location.split()
        return Guide(roads(self.read_options(config).seed)[town, place])

    def _panel(self, config: EnvironmentConfig, name: str, size: int) -> list[Listed]:
        options = self.read_options(config)
        known = asked(options.seed)
        pairs = [pair for pair in PAIRS if name != "train" or pair in known]
        listed = []
        for number in range(size):
            town, place = pairs[number % len(pairs)]
            kind = "asked" if (town, place) in known else "told"
            task = Task(f"{name}-{town}-{place}-{number // len(pairs)}", kind, f"{town} {place}")
            listed.append(Listed(task, hashlib.sha256(f"{options.signs} {options.seed} {task!r}".encode()).hexdigest()))
        return listed


class Guide:
    """Takes the right road."""

    def __init__(self, road: str) -> None:
        self._road = road

    def choices(self, admissible: tuple[str, ...]) -> tuple[str, ...]:
        """That road."""
        return (self._road,)

    def read(self, action: str, observation: str) -> None:
        """The road stays the right one."""


SIGNPOSTS = Signposts()
