"""Checkpoints `update-000010/`: complete or absent, the newest two are kept.

A checkpoint is written into a temporary folder, gets a manifest with the size of every file, is fsynced and renamed.
The manifest catches what a rename cannot: files that were cut short later, by a copy or a filesystem.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from paw_bench.errors import StoreError, UserError
from paw_bench.store.atomic import no_space, publish_directory, remove_leftovers, temporary_sibling, write_json, writing
from paw_bench.store.documents import check_version

KEPT = 2
CHECKPOINT_FILE = "trainer.pt"
"""What training writes into a checkpoint: weights, optimizer, schedule, random states."""
_FULL_BYTES = 1 << 20
_NAME = re.compile(r"update-(\d{6,})")
_MANIFEST = "manifest.json"


def path_of(folder: Path, update: int) -> Path:
    """Where the checkpoint taken after `update` lies, or would."""
    return folder / f"update-{update:06d}"


@contextmanager
def checkpoint_writer(folder: Path, update: int) -> Iterator[Path]:
    """Give an empty folder to write the checkpoint of `update` into; it is published when the block ends well.

    After a failure nothing of it is left. Older checkpoints than the newest two are removed afterwards.
    """
    final = path_of(folder, update)
    temporary = temporary_sibling(final)
    try:
        with writing(final):
            temporary.mkdir(parents=True)
        with _saving(final):
            yield temporary
        write_json(temporary / _MANIFEST, {"update": update, "files": _sizes(temporary)})
        publish_directory(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for _, path in _published(folder)[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def latest_checkpoint(folder: Path, *, until: int) -> tuple[tuple[int, Path] | None, dict[int, str]]:
    """((update, path) of the newest complete checkpoint, or None; update -> why a newer one was removed).

    Checkpoints of updates after `until` are not used either: what the run recorded up to there is not whole.
    Only the holder of the run's lock may call this. Raises StoreError for a checkpoint of another schema version.
    """
    remove_leftovers(folder)
    removed: dict[int, str] = {}
    for update, path in reversed(_published(folder)):
        if update <= until and _complete(path):
            return (update, path), removed
        removed[update] = "it is incomplete" if update <= until else f"the run's records end at update {until}"
        warnings.warn(f"{path}: the checkpoint is removed: {removed[update]}", stacklevel=2)
        shutil.rmtree(path)
    return None, removed


def complete_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(update, path) of every complete checkpoint, oldest first. For readers: nothing is removed."""
    return [(update, path) for update, path in _published(folder) if _complete(path)]


@contextmanager
def _saving(final: Path) -> Iterator[None]:
    """Name a full disk as such: torch and safetensors report it as errors of their own."""
    try:
        with writing(final):
            yield
    except UserError:
        raise
    except Exception as error:
        # safetensors passes the system's words on and removes its file; torch says something else and leaves it.
        if os.strerror(errno.ENOSPC) in str(error) or shutil.disk_usage(final.parent).free < _FULL_BYTES:
            raise no_space(final) from error
        raise


def _complete(path: Path) -> bool:
    try:
        document = orjson.loads((path / _MANIFEST).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return False
    check_version(path / _MANIFEST, document)
    files: dict[str, int] = document["files"]
    return all((path / name).is_file() and (path / name).stat().st_size == size for name, size in files.items())


def _sizes(folder: Path) -> dict[str, int]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise StoreError(f"{folder}: a checkpoint was published without a file in it")
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _published(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    matches = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in matches if match)
