"""ALFWorld's original games: fetched, checked against a lock file of hashes, unpacked under `$ALFWORLD_DATA`.

Two archives of the alfworld project hold what is played: the trajectories (tasks and goals) and the games. The first
download writes their SHA-256 into `paw-bench.lock.json` beside the data; later ones, and those of others who were given
the file, must have the same.
"""

from __future__ import annotations

import hashlib
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from paw_bench.envs.alfworld.fetch import Shown, fetch
from paw_bench.envs.alfworld.files import DATA_FOLDER, GAME_FILE, split_folder
from paw_bench.envs.progress import with_progress
from paw_bench.errors import UserError
from paw_bench.store.atomic import no_space, write_json, writing
from paw_bench.store.documents import read_json

LOCK = "paw-bench.lock.json"
_RELEASES = "https://github.com/alfworld/alfworld/releases/download"
ARCHIVES = {
    "json_2.1.1_json.zip": f"{_RELEASES}/0.2.2/json_2.1.1_json.zip",
    "json_2.1.2_tw-pddl.zip": f"{_RELEASES}/0.4.0/json_2.1.2_tw-pddl.zip",
}
"""Name -> where alfworld's own `alfworld-download` finds it."""


@dataclass(frozen=True)
class Downloaded:
    """What is there now."""

    root: Path
    games: dict[str, int]
    """Split -> game files."""
    archives: dict[str, str]
    """Name -> SHA-256."""


def download(root: Path, show: Callable[[str], Shown], *, url: str | None = None, wait_s: float = 2.0) -> Downloaded:
    """Fetch and unpack what is missing of the original games below `root`; the same call again goes on.

    `url`: a folder that holds the archives, instead of the project's releases. `show(name)` gives what is told of a
    download's progress. Raises UserError where the server, an archive or its hash is not as it must be, StoreError
    where there is no room.
    """
    downloads = root / ".downloads"
    with writing(downloads):
        downloads.mkdir(parents=True, exist_ok=True)
    with FileLock(downloads / ".lock"):
        for name, address in ARCHIVES.items():
            if not _lock(root).get(name, {}).get("unpacked"):
                path = downloads / name
                if not path.exists():
                    fetch(f"{url.rstrip('/')}/{name}" if url else address, path, show(name), wait_s=wait_s)
                _check(root, path)
                _unpack(root, path)
                _note(root, name, unpacked=True)
                path.unlink()
        path = root / DATA_FOLDER
        if not path.is_dir():
            raise UserError(f"{root}: the archives hold no folder {DATA_FOLDER}", "check --url")
    games = {split: _count(root, split) for split in ("train", "valid_seen", "valid_unseen")}
    return Downloaded(root, games, {name: entry["sha256"] for name, entry in _lock(root).items()})


def _count(root: Path, split: str) -> int:
    return sum(1 for _ in split_folder(root, split).rglob(GAME_FILE))


def _check(root: Path, path: Path) -> None:
    """Compare an archive with the lock file, or enter it there. One that differs is removed."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    expected = _lock(root).get(path.name, {}).get("sha256")
    if expected is None:
        if not zipfile.is_zipfile(path):
            path.unlink()
            raise UserError(f"{path.name}: what the server sent is no zip archive", "check --url")
        _note(root, path.name, sha256=found, bytes=path.stat().st_size)
    elif found != expected:
        path.unlink()
        raise UserError(
            f"{path.name}: its SHA-256 is {found}, but {root / LOCK} says {expected}; it was removed",
            "give the same command again, or another --url; delete the lock file only if you trust the new archive",
        )


def _unpack(root: Path, path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            for entry in entries:
                _refuse_escape(path.name, entry)
            missing = [entry for entry in entries if _size(root / entry.filename) != entry.file_size]
            needed = sum(entry.file_size for entry in missing)
            if shutil.disk_usage(root).free < needed:
                raise no_space(root, needed)
            for entry in with_progress(missing, f"Unpacking {path.name}"):
                target = root / entry.filename
                with writing(target), archive.open(entry) as source:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    temporary = target.with_name(f".{target.name}.tmp")
                    with temporary.open("wb") as file:
                        shutil.copyfileobj(source, file)
                    temporary.replace(target)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        path.unlink()
        raise UserError(
            f"{path.name}: is damaged ({error}); it was removed", "give the same command again to fetch it anew"
        ) from error


def _refuse_escape(archive: str, entry: zipfile.ZipInfo) -> None:
    """Everything must lie in the data's folder: no absolute paths, no `..`, no links."""
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    linked = stat.S_ISLNK(entry.external_attr >> 16)
    if linked or path.is_absolute() or ".." in path.parts:
        problem = "a link" if linked else "outside the data's folder"
        raise UserError(
            f"{archive}: holds {entry.filename!r}, which is {problem}; nothing was unpacked",
            "this is not ALFWorld's archive: check --url",
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1


def _lock(root: Path) -> dict[str, Any]:
    path = root / LOCK
    archives = read_json(path).get("archives") if path.exists() else {}
    if not isinstance(archives, dict):
        raise UserError(f"{path}: lists no archives", "delete it; the next download writes a new one")
    return archives


def _note(root: Path, name: str, **facts: Any) -> None:
    archives = _lock(root)
    write_json(root / LOCK, {"archives": {**archives, name: {**archives.get(name, {}), **facts}}})
