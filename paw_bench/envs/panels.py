"""Panels: versioned, sorted, hashed lists of games.

The order of a panel: the games of each task type by rank (procedural games by index, original ones by the SHA-256 of
their task id), then rank by rank with the types in ALFWorld's order. So the first n games hold all types about equally.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.alfworld.data import original_games
from paw_bench.envs.alfworld.files import GAME_FILE, TASK_TYPE_NAMES, GameFile
from paw_bench.envs.alfworld.library import procedural_games
from paw_bench.envs.cache import cache_root
from paw_bench.envs.protocol import Task

PANEL_VERSION = 1
"""Counted up whenever the same games give another order or another hash."""


@dataclass(frozen=True)
class Panel:
    """One list of tasks. `sha256` covers version, name, sorted task ids and the hashes of their game files."""

    name: str
    version: int
    tasks: tuple[Task, ...]
    sha256: str


def load_panels(config: EnvironmentConfig, cache: Path | None = None) -> dict[str, Panel]:
    """The panels train, tune, valid_seen and valid_unseen of a config; no game is in two of them.

    Procedural games are made once, into `cache` (default: `cache_root()`). When they are there nothing of alfworld is
    imported. Raises UserError, ConfigError or StoreError when the games cannot be had: see `library.py` and `data.py`.
    """
    if config.games.source == "data":
        splits = original_games(config.games)
    else:
        splits = procedural_games(config.games, cache or cache_root())
    return {name: _panel(name, interleaved(games)[: getattr(config.games, name)]) for name, games in splits.items()}


def _panel(name: str, games: list[GameFile]) -> Panel:
    digest = hashlib.sha256(f"panel v{PANEL_VERSION} {name}\n".encode())
    for game in sorted(games, key=lambda game: game.task_id):
        digest.update(f"{game.task_id} {game.sha256}\n".encode())
    tasks = tuple(Task(game.task_id, game.task_type, str(game.folder / GAME_FILE)) for game in games)
    return Panel(name, PANEL_VERSION, tasks, digest.hexdigest())


def interleaved(games: list[GameFile]) -> list[GameFile]:
    """The games rank by rank: the first of every type, then the second of every type, and so on."""
    seen: dict[str, int] = defaultdict(int)
    ranked = []
    for game in games:
        ranked.append((seen[game.task_type], TASK_TYPE_NAMES.index(game.task_type), game))
        seen[game.task_type] += 1
    return [game for _, _, game in sorted(ranked, key=lambda item: item[:2])]
