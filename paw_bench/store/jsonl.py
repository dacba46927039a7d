"""Append-only record files: one JSON object a line, the first line is the head with the schema version.

A record counts once its newline is on the disk. A crash in the middle of an append leaves a torn last line: readers
drop it with a warning, and the next append cuts it off first, so that it can never merge with a new record.
Every append is fsynced, metrics included: updates are seconds apart, an fsync costs milliseconds, and a record that
was acknowledged must not be missing after a power cut. One process appends to a file at a time (the run's lock).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from paw_bench.config.schema import SCHEMA_VERSION
from paw_bench.errors import StoreError
from paw_bench.store.atomic import fsync_directory, write_all, write_bytes, writing
from paw_bench.store.documents import check_version

Record = dict[str, Any]

_BLOCK = 65536


class TornLineWarning(UserWarning):
    """The last line of a record file was cut off by a crash and is not used."""


def append(path: Path, records: Iterable[Record]) -> None:
    """Add `records` to the file with one write and one fsync; the file and its head are made when it is not there.

    All or, after a crash, the first few of the records are in the file. Raises StoreError where it cannot be written;
    the file is then as it was.
    """
    data = b"".join(map(_line, records))
    if not data:
        return
    with writing(path, needed=len(data)):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            size = _cut_torn_tail(descriptor)
            try:
                write_all(descriptor, data if size else _head() + data)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        if not size:
            fsync_directory(path.parent)


def rewrite(path: Path, records: Iterable[Record]) -> None:
    """Replace the whole file by `records`, atomically: the old ones or the new ones are there, never a mixture."""
    write_bytes(path, _head() + b"".join(map(_line, records)))


def read(path: Path) -> list[Record]:
    """All records, oldest first; [] where there is no file. A torn last line is dropped with a TornLineWarning.

    Raises StoreError, naming file and line, for anything else that is no JSON object, and for another schema version.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return parse(path, data)


def parse(path: Path, data: bytes) -> list[Record]:
    """The records of the file at `path`, whose content is `data`; as `read`."""
    *lines, torn = data.split(b"\n")
    if torn:
        warnings.warn(f"{path}: the last line is torn and is dropped", TornLineWarning, stacklevel=3)
    if not lines:
        return []
    try:
        records = list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        records = []
    if not records or not {dict}.issuperset(map(type, records)):
        # Line by line is slower, and says which line it is.
        records = [_parse(path, number, line) for number, line in enumerate(lines, start=1)]
    check_version(path, records[0])
    return records[1:]


def _parse(path: Path, number: int, line: bytes) -> Record:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        record = None
    if not isinstance(record, dict):
        raise StoreError(
            f"{path}:{number}: is no JSON object: {line[:80]!r}",
            "restore the file from a copy, or remove the damaged line",
        )
    return record


def _head() -> bytes:
    return _line({"schema_version": SCHEMA_VERSION})


def _line(record: Record) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)


def _cut_torn_tail(descriptor: int) -> int:
    """Cut everything after the last newline; returns the size that is left (bytes)."""
    size = os.fstat(descriptor).st_size
    end = size
    while end:
        start = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
    return end
