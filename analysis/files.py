"""What may be read at all: files of a run are regular, of a sane size, and say what they say on one line."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from paw_bench.errors import StoreError

_MB = 1_000_000
_DOCUMENT = 8 * _MB
_RECORDS = 64 * _MB
"""Ten thousand updates, or a hundred thousand episodes, need a fifth of this."""

LIMITS = {
    "config.json": _DOCUMENT,
    "result.json": _DOCUMENT,
    "journal.jsonl": _RECORDS,
    "metrics.jsonl": _RECORDS,
    "episodes.jsonl": _RECORDS,
    "fixed_transitions.jsonl": _RECORDS,
    "samples.jsonl": _DOCUMENT,
    "lock": _DOCUMENT,
    "provenance.json": _DOCUMENT,
    "sweep.json": _RECORDS,
}
"""File name -> bytes that it may have: reading takes about ten times as much memory."""

_LONGEST = 300
"""Characters of a message."""


def check_file(path: Path, name: str) -> bool:
    """Whether there is something to read. Raises StoreError, naming it `name`, where reading would hang or swell."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        circle = "is a symbolic link that leads in a circle" if error.errno == errno.ELOOP else error.strerror
        raise StoreError(f"{name}: {circle}") from None
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{name}: is no regular file")
    limit = LIMITS[path.name]
    if found.st_size > limit:
        raise StoreError(f"{name}: has {found.st_size / _MB:,.0f} MB, no such file has more than {limit / _MB:.0f}")
    return True


def check_run_files(path: Path) -> bool:
    """Whether there is a run in the folder `path`; raises StoreError where its files cannot be read as such."""
    try:
        names = [entry.name for entry in os.scandir(path)]
    except FileNotFoundError:
        if path.is_symlink():
            raise StoreError("its folder is a symbolic link to nothing") from None
        return False
    except OSError as error:
        circle = "is a symbolic link that leads in a circle" if error.errno == errno.ELOOP else error.strerror
        raise StoreError(f"its folder cannot be read: {circle}") from None
    there = {name: check_file(path / name, name) for name in LIMITS if name in names}
    if there.get("config.json"):
        return True
    if any(not name.startswith(".") for name in names):
        raise StoreError("its folder has no config.json")
    return False


def strangers(folder: Path, known: Iterable[str]) -> list[str]:
    """Names in `folder` besides `known`, as printable text; hidden ones are writers' leftovers and do not count."""
    try:
        names = {entry.name for entry in os.scandir(folder)}
    except OSError:
        return []
    return sorted(printable(name) for name in names.difference(known) if not name.startswith("."))


def printable(text: str) -> str:
    """The text without what a terminal would obey, and without what cannot be encoded."""
    if text.isprintable():
        return text
    fine = (character.isprintable() or unicodedata.category(character) == "Zs" for character in text)
    return "".join(
        character if good else "\N{REPLACEMENT CHARACTER}" for character, good in zip(text, fine, strict=True)
    )


def printable_lines(text: str) -> str:
    """The printable text, its lines kept."""
    return "\n".join(map(printable, text.split("\n")))


def one_line(text: str) -> str:
    """A message on one printable line of bounded length."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
