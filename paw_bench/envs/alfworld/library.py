"""Procedural games in the cache: made once, checked by hash at every start, mended where a file is lost or damaged.

A game does not depend on how many are asked for, so configs that differ only in panel sizes share one folder:
`<cache>/games/v<generator>-seed<seed>-<cap>/`. Its `index-<split>.json` says what each game must be. It is written
after the games and can itself be lost: games that are there are then only compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from paw_bench.config.schema import GamesConfig
from paw_bench.envs.alfworld.files import GAME_FILE, GENERATOR_VERSION, TRAJECTORY_FILE, GameFile, split_folder
from paw_bench.envs.progress import with_progress
from paw_bench.errors import StoreError
from paw_bench.store.atomic import write_json, writing
from paw_bench.store.documents import read_json

_Entry = dict[str, str]
"""task_id, task_type, game (SHA-256 of game.tw-pddl), trajectory (SHA-256 of traj_data.json)."""
_Want = tuple[str, int]
"""(split, index)."""


def procedural_games(games: GamesConfig, cache: Path) -> dict[str, list[GameFile]]:
    """The games of every split by index; what is missing or damaged is made first.

    Raises ConfigError where the cap on receptacles leaves a task type without a floor plan, StoreError where the cache
    cannot be written.
    """
    cap = "all" if games.max_receptacles is None else f"max{games.max_receptacles}"
    root = cache / "games" / f"v{GENERATOR_VERSION}-seed{games.seed}-{cap}"
    counts = {
        "train": games.train,
        "tune": games.tune,
        "valid_seen": games.valid_seen,
        "valid_unseen": games.valid_unseen,
    }
    indexes = {split: _read_index(root, split) for split in counts}
    if _missing(root, counts, indexes):
        with writing(root):
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / ".lock"):
                # Another process may have made them while this one waited.
                indexes = {split: _read_index(root, split) for split in counts}
                _make(root, games, _missing(root, counts, indexes), indexes)
    return {
        split: [_game_file(root, split, indexes[split][index]) for index in range(count)]
        for split, count in counts.items()
    }


def _make(root: Path, games: GamesConfig, missing: Sequence[_Want], indexes: dict[str, dict[int, _Entry]]) -> None:
    from paw_bench.envs.alfworld.generator import generate_game

    for split, index in with_progress(missing, "Generating games"):
        game = generate_game(split, index, games.seed, games.max_receptacles)
        folder = split_folder(root, split) / game.task_id
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in ((GAME_FILE, game.game_file), (TRAJECTORY_FILE, game.trajectory_file)):
            path = folder / name
            # A process that plays the game may be reading it: leave a good file alone.
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
        indexes[split][index] = {
            "task_id": game.task_id,
            "task_type": game.task_type,
            "game": hashlib.sha256(game.game_file).hexdigest(),
            "trajectory": hashlib.sha256(game.trajectory_file).hexdigest(),
        }
    for split in {split for split, _ in missing}:
        entries = {str(index): entry for index, entry in sorted(indexes[split].items())}
        write_json(_index_path(root, split), {"split": split, "games": entries})


def _missing(root: Path, counts: dict[str, int], indexes: dict[str, dict[int, _Entry]]) -> list[_Want]:
    return [
        (split, index)
        for split, count in counts.items()
        for index in range(count)
        if index not in indexes[split] or not _intact(root, split, indexes[split][index])
    ]


def _intact(root: Path, split: str, entry: _Entry) -> bool:
    folder = split_folder(root, split) / entry["task_id"]
    try:
        return all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry[key]
            for name, key in ((GAME_FILE, "game"), (TRAJECTORY_FILE, "trajectory"))
        )
    except OSError:
        return False


def _game_file(root: Path, split: str, entry: _Entry) -> GameFile:
    folder = split_folder(root, split) / entry["task_id"]
    return GameFile(entry["task_id"], entry["task_type"], folder, entry["game"])


def _index_path(root: Path, split: str) -> Path:
    return root / f"index-{split}.json"


def _read_index(root: Path, split: str) -> dict[int, _Entry]:
    try:
        return {int(index): entry for index, entry in read_json(_index_path(root, split))["games"].items()}
    except (StoreError, KeyError, ValueError, AttributeError):
        return {}
