"""The original ALFWorld games under `$ALFWORLD_DATA`, chosen as ALFWorld itself chooses them.

ALFWorld has no tune split: the games of every twentieth task folder of train are held out for it (folders ordered,
within each task type, by the SHA-256 of their names), whatever panel sizes a config asks for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson

from paw_bench.config.schema import GamesConfig
from paw_bench.envs.alfworld.files import (
    DATA_FOLDER,
    GAME_FILE,
    TASK_TYPE_NAMES,
    TRAJECTORY_FILE,
    VARIABLE,
    GameFile,
    split_folder,
)
from paw_bench.envs.data_folder import data_folder
from paw_bench.errors import ConfigError, UserError

TUNE_EVERY = 20
"""Every n-th task folder of train belongs to tune."""

_DOWNLOAD = "set it to a folder and give `paw-bench games download`, or use games.source: procedural"


def original_games(games: GamesConfig) -> dict[str, list[GameFile]]:
    """All playable games of every split, in the order of the SHA-256 of their task ids.

    Raises UserError where the variable is unset or points to no data, ConfigError where a split has fewer games than
    the config asks for.
    """
    root = _data_root()
    train = _games_of(root, "train")
    held_out = _tune_folders(train)
    found = {
        "train": [game for game in train if _task_folder(game) not in held_out],
        "tune": [game for game in train if _task_folder(game) in held_out],
        "valid_seen": _games_of(root, "valid_seen"),
        "valid_unseen": _games_of(root, "valid_unseen"),
    }
    for name, there in found.items():
        asked = getattr(games, name)
        if len(there) < asked:
            raise ConfigError(
                file="experiment",
                key=f"environment.games.{name}",
                value=asked,
                problem=f"the data under {root} has only {len(there)} playable games for the panel {name}",
                remedy=f"set it to {len(there)} or less, or complete the data with `paw-bench games download`",
            )
    return found


def _data_root() -> Path:
    root = data_folder(VARIABLE, _DOWNLOAD, key="environment.games.source")
    if not (root / DATA_FOLDER).is_dir():
        raise UserError(f"${VARIABLE} points to {root}, which has no folder {DATA_FOLDER}", _DOWNLOAD)
    return root


def _games_of(root: Path, split: str) -> list[GameFile]:
    folder = split_folder(root, split)
    found = (_game_file(folder, path.parent) for path in sorted(folder.rglob(TRAJECTORY_FILE)))
    games = [game for game in found if game is not None]
    return sorted(games, key=lambda game: _digest(game.task_id))


def _game_file(split: Path, folder: Path) -> GameFile | None:
    """The game in `folder`, or None where ALFWorld would skip it."""
    task_id = folder.relative_to(split).as_posix()
    # ALFWorld looks at the whole path, so a user's own folder of such a name would hide all games.
    if "movable" in task_id or "Sliced" in task_id:
        return None
    task_type = _json(folder / TRAJECTORY_FILE).get("task_type")
    path = folder / GAME_FILE
    if task_type not in TASK_TYPE_NAMES or not path.exists():
        return None
    if not _json(path).get("solvable"):
        return None
    return GameFile(task_id, task_type, folder, hashlib.sha256(path.read_bytes()).hexdigest())


def _json(path: Path) -> dict[str, Any]:
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})", "run `paw-bench games download` again") from error
    if not isinstance(document, dict):
        raise UserError(f"{path}: holds no JSON object", "run `paw-bench games download` again")
    return document


def _task_folder(game: GameFile) -> str:
    return game.task_id.split("/", 1)[0]


def _tune_folders(train: list[GameFile]) -> set[str]:
    folders = defaultdict(set)
    for game in train:
        folders[game.task_type].add(_task_folder(game))
    return {name for names in folders.values() for name in sorted(names, key=_digest)[TUNE_EVERY - 1 :: TUNE_EVERY]}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
