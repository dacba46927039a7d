"""ALFWorld as an environment of the suite. Its settings are in `environment.games`; it has no options."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.config.section import Section
from paw_bench.envs.alfworld.files import DATA_FOLDER, GAME_FILE, TASK_TYPE_NAMES, VARIABLE
from paw_bench.envs.definition import Definition, Listed, Missing
from paw_bench.envs.protocol import Demonstrator, Environment, Player, StepResult, Task
from paw_bench.envs.words import Words


class Alfworld(Definition):
    """Text games in rooms."""

    options = Section
    panels = ("train", "tune", "valid_seen", "valid_unseen")
    task_types = TASK_TYPE_NAMES
    words = Words(role="You are an expert agent operating in the ALFRED Embodied Environment.", by_verb=True)

    def sizes(self, config: EnvironmentConfig) -> dict[str, int]:
        """The sizes in `environment.games`."""
        return {name: getattr(config.games, name) for name in self.panels}

    def tasks(self, config: EnvironmentConfig, cache: Path) -> dict[str, list[Listed]]:
        """Procedural games, made once into `cache`, or the original ones."""
        from paw_bench.envs.alfworld.data import original_games
        from paw_bench.envs.alfworld.library import procedural_games

        original = config.games.source == "data"
        games = original_games(config.games) if original else procedural_games(config.games, cache)
        return {
            name: [
                Listed(Task(game.task_id, game.task_type, str(game.folder / GAME_FILE)), game.sha256) for game in split
            ]
            for name, split in games.items()
        }

    def make(self, config: EnvironmentConfig) -> Environment:
        """The caching engine."""
        from paw_bench.envs.alfworld.adapter import AlfworldEnvironment

        return AlfworldEnvironment(config)

    def demonstrator(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Demonstrator:
        """One who knows the rules of the house and searches it blindly."""
        from paw_bench.envs.alfworld.demonstrator import Searcher

        found = self.words.instruction.search(opening.observation)
        return Searcher.start(found[1] if found else "", opening.admissible)

    player = demonstrator

    def oracle(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Player:
        """One who has read the game's file."""
        from paw_bench.envs.alfworld.adapter import open_game
        from paw_bench.envs.alfworld.oracle import Oracle

        return Oracle(open_game(Path(task.location)), Path(task.location).parent)

    def experts(self) -> Mapping[str, Callable[[EnvironmentConfig, Task, StepResult], Demonstrator]]:
        """`handcoded`: the alfworld package's own, which also reads facts of the game."""
        return {"handcoded": self._handcoded}

    def _handcoded(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Demonstrator:
        from paw_bench.envs.alfworld.adapter import open_game
        from paw_bench.envs.alfworld.expert import Expert

        path = Path(task.location)
        return Expert(open_game(path), path.parent, opening.observation)

    def missing(self, config: EnvironmentConfig) -> Missing | None:
        """The original games, where the config asks for them."""
        given = os.environ.get(VARIABLE)
        if config.games.source != "data" or (given and Path(given).expanduser().joinpath(DATA_FOLDER).is_dir()):
            return None
        found = f"{VARIABLE}={given} has no folder {DATA_FOLDER}" if given else f"{VARIABLE} is not set"
        if given and not Path(given).expanduser().is_dir():
            found = f"{VARIABLE}={given} is not there"
        return Missing("the ALFWorld games", found, "set ALFWORLD_DATA to a folder, and paw-bench games download")


ALFWORLD = Alfworld()
