"""Writes that are there as a whole or not at all.

Trade-offs: a write goes to a temporary file beside the target (same filesystem, name unique to the process and the
write), is fsynced, renamed over the target, and the folder is fsynced. A reader never sees half a file, a crash costs
at most the newest write, and an acknowledged write survives power loss. The price is two fsyncs (milliseconds on a
local disk) and, after a SIGKILL, a leftover `.NAME.*.tmp` that `remove_leftovers` clears. Where the filesystem has no
hard links, `publish_once` cannot be exclusive by itself; the run's lock then keeps a second writer out.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from paw_bench.config.schema import SCHEMA_VERSION
from paw_bench.errors import StoreError, WriteError

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_TMP = ".tmp"


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Replace `path` by `document` (with the schema version put first), atomically and durably.

    NaN and infinities become null. Raises StoreError where the file cannot be written; nothing is left behind.
    """
    write_bytes(path, _encode(document))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, atomically and durably. Raises StoreError where it cannot be written."""
    with writing(path, needed=len(data)), _temporary(path, data) as temporary:
        os.replace(temporary, path)
        fsync_directory(path.parent)


def publish_once(path: Path, document: dict[str, Any]) -> bool:
    """Write `document` to `path` unless something is there: True for the first writer, False for every later one."""
    data = _encode(document)
    with writing(path, needed=len(data)), _temporary(path, data) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            if path.exists():
                return False
            os.replace(temporary, path)
        fsync_directory(path.parent)
    return True


def publish_directory(temporary: Path, final: Path) -> None:
    """Rename the finished folder `temporary` to `final` (same filesystem) after syncing everything in it.

    `final` is complete or absent at any moment. Raises StoreError where `final` exists or cannot be written.
    """
    with writing(final):
        for folder, _, names in os.walk(temporary):
            for name in names:
                _fsync_file(Path(folder, name))
            fsync_directory(Path(folder))
        if final.exists():
            raise StoreError(f"{final}: is there already", "remove it, or start the run again")
        os.rename(temporary, final)
        fsync_directory(final.parent)


def temporary_sibling(path: Path) -> Path:
    """A name beside `path` that no other process or write uses, and that `remove_leftovers` recognises."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{_TMP}")


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove temporary files and folders that killed writers left directly in `folder`; returns what was removed.

    Only the holder of the run's lock may call this: it cannot tell a dead writer's file from a live one's.
    """
    leftovers = list(folder.glob(f".*{_TMP}"))
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return leftovers


@contextmanager
def writing(path: Path, *, needed: int | None = None) -> Iterator[None]:
    """Turn the operating system's refusals while writing `path` into a StoreError with the remedy."""
    try:
        yield
    except OSError as error:
        raise _refusal(error, path, needed) from error


def fsync_directory(folder: Path) -> None:
    """Make renames and new names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network filesystems refuse to sync a folder; the rename itself is still atomic.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte of `data`; a short write is gone on with, so that the refusal behind it is raised."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def _temporary(path: Path, data: bytes) -> Iterator[Path]:
    """A durable temporary file with `data` beside `path`; gone afterwards unless it was renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(path)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _fsync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encode(document: dict[str, Any]) -> bytes:
    versioned = {"schema_version": SCHEMA_VERSION, **document}
    return orjson.dumps(versioned, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)


def no_space(path: Path, needed: int | None = None) -> WriteError:
    """The refusal for a full disk: `needed` is what the write wanted (bytes), where that is known."""
    wants = f" for {needed} bytes" if needed is not None else ""
    return WriteError(
        f"{path}: no space left on the disk{wants}",
        "free some space and give the same command again (it goes on from there), or use --results on another disk",
    )


def _refusal(error: OSError, path: Path, needed: int | None) -> WriteError:
    if error.errno in NO_SPACE:
        return no_space(path, needed)
    return WriteError(f"{path}: cannot be written: {error.strerror or error}", "choose a folder that you may write to")
