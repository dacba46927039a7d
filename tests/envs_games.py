"""Small ALFWorld-format games for the tests of the environments."""

from __future__ import annotations

from pathlib import Path

from paw_bench.config.schema import EnvironmentConfig, GamesConfig
from paw_bench.envs.alfworld.files import GAME_FILE, TRAJECTORY_FILE, split_folder
from paw_bench.envs.alfworld.generator import generate_game

SMALL = 16
"""The fewest receptacles that all six task types can do with: these games are translated in a tenth of a second."""


def small_config(**games: int) -> EnvironmentConfig:
    sizes = {"train": 12, "tune": 6, "valid_seen": 6, "valid_unseen": 6, **games}
    return EnvironmentConfig(games=GamesConfig(max_receptacles=SMALL, **sizes))


def write_games(root: Path, split: str, indexes: range, cap: int | None = SMALL) -> list[Path]:
    """Game files of `split` in the layout of the original data."""
    paths = []
    for index in indexes:
        game = generate_game(split, index, 0, cap)
        folder = split_folder(root, split) / game.task_id
        folder.mkdir(parents=True)
        (folder / GAME_FILE).write_bytes(game.game_file)
        (folder / TRAJECTORY_FILE).write_bytes(game.trajectory_file)
        paths.append(folder / GAME_FILE)
    return paths
