"""Panels: versioned, sorted, hashed lists of tasks.

The order of a panel: the tasks of each type by rank (as the environment lists them), then rank by rank with the types
in the environment's order. So the first n tasks hold all types about equally.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.cache import cache_root
from paw_bench.envs.definition import Listed, definition
from paw_bench.envs.protocol import Task

PANEL_VERSION = 1
"""Counted up whenever the same games give another order or another hash."""


@dataclass(frozen=True)
class Panel:
    """One list of tasks. `sha256` covers version, name, sorted task ids and the hashes of what is played."""

    name: str
    version: int
    tasks: tuple[Task, ...]
    sha256: str


def load_panels(config: EnvironmentConfig, cache: Path | None = None) -> dict[str, Panel]:
    """The panels of a config's environment (ALFWorld: train, tune, valid_seen, valid_unseen); no task is in two.

    Generated games are made once, into `cache` (default: `cache_root()`). When they are there no game engine is
    imported. Raises UserError, ConfigError or StoreError when the tasks cannot be had.
    """
    kind = definition(config.name)
    listed = kind.tasks(config, cache or cache_root())
    return {
        name: _panel(name, interleaved(listed[name], kind.task_types)[:size])
        for name, size in kind.sizes(config).items()
    }


def _panel(name: str, listed: list[Listed]) -> Panel:
    digest = hashlib.sha256(f"panel v{PANEL_VERSION} {name}\n".encode())
    for entry in sorted(listed, key=lambda entry: entry.task.task_id):
        digest.update(f"{entry.task.task_id} {entry.sha256}\n".encode())
    return Panel(name, PANEL_VERSION, tuple(entry.task for entry in listed), digest.hexdigest())


def interleaved(listed: Sequence[Listed], types: Sequence[str]) -> list[Listed]:
    """The tasks rank by rank: the first of every type, then the second of every type, and so on."""
    order = {name: place for place, name in enumerate(dict.fromkeys((*types, *(e.task.task_type for e in listed))))}
    seen: dict[str, int] = defaultdict(int)
    ranked = []
    for entry in listed:
        ranked.append((seen[entry.task.task_type], order[entry.task.task_type], entry))
        seen[entry.task.task_type] += 1
    return [entry for _, _, entry in sorted(ranked, key=lambda item: item[:2])]
