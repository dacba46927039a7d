"""TextWorld's challenge games as an environment of the suite."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.config.section import NonNegativeInt, PositiveInt
from paw_bench.envs.definition import Definition, Listed, PanelOptions
from paw_bench.envs.protocol import Demonstrator, Environment, Player, StepResult, Task
from paw_bench.envs.words import Words

Kind = Literal["coin_collector", "treasure_hunter", "cooking"]


class TextWorldOptions(PanelOptions):
    """Which games, how hard, how many."""

    seed: NonNegativeInt = 0
    games: list[Kind] = Field(default=["coin_collector", "treasure_hunter", "cooking"], min_length=1)
    """Kinds of games; they take turns."""
    difficulty: Literal["easy", "medium", "hard"] = "easy"
    train: PositiveInt = 96
    tune: PositiveInt = 24
    test: PositiveInt = 60


class TextWorld(Definition):
    """Generated text games: find a coin, find a thing, cook a meal."""

    options = TextWorldOptions
    task_types = ("coin_collector", "treasure_hunter", "cooking")
    words = Words(role="You are an expert player of text adventure games in TextWorld.")

    def tasks(self, config: EnvironmentConfig, cache: Path) -> dict[str, list[Listed]]:
        """Games made once into the cache, a second or two each."""
        from paw_bench.envs.textworld.library import ready
        from paw_bench.envs.textworld.maker import Wanted

        options = self.read_options(config)
        kinds = list(dict.fromkeys(options.games))
        wanted = {
            panel: [
                Wanted(options.seed, panel, index, kinds[index % len(kinds)], options.difficulty)
                for index in range(size)
            ]
            for panel, size in self.sizes(config).items()
        }
        games = ready([game for panel in wanted.values() for game in panel], cache)
        return {
            panel: [Listed(Task(game.name, game.kind, str(games[game.name][0])), games[game.name][1]) for game in own]
            for panel, own in wanted.items()
        }

    def make(self, config: EnvironmentConfig) -> Environment:
        """An interpreter of its own for every episode."""
        from paw_bench.envs.textworld.environment import TextWorldEnvironment

        return TextWorldEnvironment(config)

    def player(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Player:
        """One whom TextWorld tells the way."""
        from paw_bench.envs.textworld.player import Guide

        return Guide(task.location)

    def demonstrator(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Demonstrator:
        """One who does not know the way."""
        from paw_bench.envs.textworld.demonstrator import Wanderer

        found = self.words.instruction.search(opening.observation)
        return Wanderer(found[1] if found else "")


TEXTWORLD = TextWorld()
