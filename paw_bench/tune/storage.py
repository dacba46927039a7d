"""Where Optuna keeps a study: a journal file that survives crashes, or a database that the user names.

Optuna's own journal file becomes unreadable when a writer dies in the middle of a line and another one appends: the
torn line and the new one are then one line that is no JSON. Its own lock is a file that a killed writer leaves behind;
others wait for 30 seconds and break it. Here the tail is mended under the lock before every append and when the file is
opened, and the lock is the kernel's, which ends with its holder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from paw_bench.errors import StoreError, UserError
from paw_bench.store.atomic import write_bytes, writing

JOURNAL = "optuna.log"
_START = b'{"op_code"'
"""How every record of Optuna's journal begins."""
_PATIENCE_S = 60.0
"""How long another process may hold the journal: an append takes milliseconds."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


class JournalFile(JournalFileBackend):
    """Optuna's journal file, with whole lines only and a lock that no dead process holds."""

    def __init__(self, path: Path) -> None:
        """Open or make the journal at `path`. Raises StoreError where a line in it is damaged beyond repair."""
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with self._held():
            mend(path)
        super().__init__(str(path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add records with one write and one fsync. Raises StoreError where the file cannot be written."""
        data = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._held(), writing(self._path, needed=len(data)):
            if _torn(self._path):
                mend(self._path)
            with self._path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

    @contextmanager
    def _held(self) -> Iterator[None]:
        # A new one each time: a forked process must not believe that it holds its parent's.
        lock = FileLock(self._path.with_name(f"{self._path.name}.lock"), timeout=_PATIENCE_S)
        try:
            lock.acquire()
        except Timeout:
            problem = f"{self._path}: another process has held it for {_PATIENCE_S:.0f} s"
            raise StoreError(problem, "is a paw-bench tune stuck or stopped there? end it first") from None
        try:
            yield
        finally:
            lock.release()


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """The database at `url`, or the journal in the study's folder. Raises UserError where it cannot be opened."""
    if url is None:
        return JournalStorage(JournalFile(folder / JOURNAL))
    try:
        return RDBStorage(url)
    except Exception as error:
        problem = f"storage: the database cannot be opened: {str(error).splitlines()[0]}"
        raise UserError(problem, "check its URL and driver, or remove the key: a file serves") from error


def mend(path: Path) -> Path | None:
    """Make every line of the journal whole; returns a copy of the file as it was, where it was damaged.

    A torn last line is dropped: nobody was told that it was written. Where a record was appended to a torn line, the
    torn part is dropped and the record kept. Raises StoreError for any other damage.
    """
    if not path.exists():
        return None
    data = path.read_bytes()
    *lines, tail = data.split(b"\n")
    kept = [_whole(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]
    kept += [tail] if tail and _is_record(tail) else []
    mended = b"".join(line + b"\n" for line in kept)
    if mended == data:
        return None
    copy = _free_name(path)
    write_bytes(copy, data)
    write_bytes(path, mended)
    return copy


def _whole(line: bytes, where: str) -> bytes:
    if _is_record(line):
        return line
    start = line.rfind(_START)
    if start > 0 and _is_record(line[start:]):
        return line[start:]
    raise StoreError(f"{where}: is no record of a study: {line[:80]!r}", "restore the file from a copy")


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _torn(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _free_name(path: Path) -> Path:
    taken = sum(1 for _ in path.parent.glob(f"{path.name}.damaged-*"))
    return path.with_name(f"{path.name}.damaged-{taken + 1}")
