"""What is known of finished runs: an index that spares status the reading of thousands of results.

`finished.json` in the sweep's folder may be deleted at any time: the next look at the sweep makes it again. It holds
nothing but what is in the runs' own `result.json`, and an entry counts only while that file is the same one: inode,
size and time of change. Unfinished runs are read afresh every time.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import orjson

from paw_bench.config.schema import SCHEMA_VERSION
from paw_bench.store.atomic import temporary_sibling

_FILE = "finished.json"
_YOUNG_NS = 2_000_000_000
"""A file that was changed so recently could be changed again without its time telling."""


class Finished(NamedTuple):
    """A finished run, as its status shows it."""

    inode: int
    size: int
    changed_ns: int
    updates_planned: int
    updates: int
    success: float
    seconds: float
    training_s: float
    evaluation_s: float
    attempts: int


class FinishedRuns:
    """The finished runs of the sweep in `folder`. Look runs up, `add` what was read, then `save`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._runs = _load(self._path)
        self._changed = False

    def look(self, path: Path) -> Finished | None:
        """What is known of the run in `path`; None where it is not finished, or was not looked at yet."""
        try:
            os.stat(f"{path}/config.json")
            return self.get(path.name, os.stat(f"{path}/result.json"))
        except FileNotFoundError:
            return None

    def get(self, run_id: str, result: os.stat_result) -> Finished | None:
        """What is known of the run whose `result.json` is `result`; None where that is another file than then."""
        known = self._runs.get(run_id)
        same = known is not None and known[:3] == (result.st_ino, result.st_size, result.st_mtime_ns)
        return known if same else None

    def add(self, run_id: str, read: Finished) -> None:
        """Keep what was read from the run's `result.json`, with what the file was before that."""
        if abs(time.time_ns() - read.changed_ns) > _YOUNG_NS:
            self._runs[run_id] = read
            self._changed = True

    def save(self) -> None:
        """Write the index if it changed. Where the sweep's folder cannot be written there is none, and no harm."""
        if not self._changed:
            return
        temporary = temporary_sibling(self._path)
        runs = {run_id: tuple(known) for run_id, known in self._runs.items()}
        with suppress(OSError):
            try:
                # Not synced: a file that a power cut emptied is not read, and made again.
                temporary.write_bytes(orjson.dumps({"schema_version": SCHEMA_VERSION, "runs": runs}))
                os.replace(temporary, self._path)
                self._changed = False
            finally:
                temporary.unlink(missing_ok=True)


def _load(path: Path) -> dict[str, Finished]:
    """The index at `path`; nothing where it is absent, damaged or of another version."""
    try:
        document = orjson.loads(path.read_bytes())
        if document["schema_version"] != SCHEMA_VERSION:
            return {}
        return {run_id: Finished(*known) for run_id, known in document["runs"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
