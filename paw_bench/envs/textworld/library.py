"""TextWorld games in the cache: made once under a lock, checked by hash at every start, made again where damaged."""

from __future__ import annotations

import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from paw_bench.envs.progress import with_progress
from paw_bench.envs.textworld.maker import DESCRIPTION, GAME, VERSION, Wanted, make_games
from paw_bench.errors import StoreError
from paw_bench.store.atomic import write_json, writing
from paw_bench.store.documents import read_json

_RECORD = "made.json"


def ready(wanted: list[Wanted], cache: Path) -> dict[str, tuple[Path, str]]:
    """Name -> (game file, SHA-256 of its description); what is missing or damaged is made first.

    Raises StoreError where the cache cannot be written.
    """
    root = cache / "textworld" / f"v{VERSION}-{version('textworld')}"
    found = {game.name: _intact(root / game.name) for game in wanted}
    if None in found.values():
        with writing(root):
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / ".lock"):
                # Another process may have made some while this one waited.
                missing = [game for game in wanted if _intact(root / game.name) is None]
                _make(root, missing)
        found = {game.name: _intact(root / game.name) for game in wanted}
    return {name: (root / name / GAME, digest) for name, digest in found.items() if digest is not None}


def _make(root: Path, missing: list[Wanted]) -> None:
    fresh = [root / f".{game.name}.new" for game in missing]
    for folder in fresh:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    made = make_games(list(zip(missing, fresh, strict=True)))
    for game, folder in with_progress(list(zip(missing, fresh, strict=True)), "Making TextWorld games"):
        next(made)
        record = {"description": _digest(folder / DESCRIPTION), "game": _digest(folder / GAME)}
        write_json(folder / _RECORD, record)
        shutil.rmtree(root / game.name, ignore_errors=True)
        folder.rename(root / game.name)
    made.close()


def _intact(folder: Path) -> str | None:
    """The description's hash, where both files are what they were when they were made."""
    try:
        made = read_json(folder / _RECORD)
        if made["description"] == _digest(folder / DESCRIPTION) and made["game"] == _digest(folder / GAME):
            return str(made["description"])
    except (StoreError, OSError, KeyError):
        pass
    return None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
