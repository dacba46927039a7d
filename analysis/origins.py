"""What a run's numbers were made with: code, packages, devices and settings of execution of the attempts that stand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from analysis.files import check_file, printable, strangers
from analysis.record_frames import Row
from paw_bench.errors import StoreError
from paw_bench.store.documents import read_json
from paw_bench.store.jsonl import Record
from paw_bench.store.run_directory import RunDirectory

ORIGIN = ("commits", "code", "packages", "devices", "execution", "resumed")
"""Columns of `analysis.frames.RUNS`."""

UNKNOWN = "unknown"
"""Stands for what an attempt did not record."""

_NUMERICS = ("processes", "threads", "micro_batch_rows", "generation_batch", "gradient_checkpointing")
"""Keys of `execution` that may change the last digits of a run's numbers; they are no part of its id."""
_LEAVES_WORK = frozenset({"checkpoint", "evaluation"})
"""Events after which an attempt's work is gone on with; without one of them a later attempt begins again."""


def origin(directory: RunDirectory, events: Iterable[Record]) -> tuple[Row, list[str]]:
    """The columns `ORIGIN`, and the problems.

    A provenance that is missing or cannot be read makes the origin unknown; the run's numbers stand on other files.
    """
    folder = directory.path / "attempts"
    names = strangers(folder, ())
    numbers = sorted(int(name) for name in names if name.isascii() and name.isdigit())
    problems = [
        f"attempts/{name}: is no attempt; not used" for name in names if not (name.isascii() and name.isdigit())
    ]
    found: dict[int, Record] = {}
    for number in numbers:
        try:
            found[number] = _provenance(folder / str(number) / "provenance.json", number)
        except (StoreError, LookupError, TypeError, ValueError, AttributeError) as error:
            problem = error.problem if isinstance(error, StoreError) else f"is not as it should be ({error!r})"
            problems.append(f"attempts/{number}/provenance.json: {problem}".replace(f"{directory.path}/", ""))
    worked = {event.get("attempt") for event in events if event["event"] in _LEAVES_WORK}
    stands = [found.get(number, _NOTHING) for number in numbers if number in worked or number == numbers[-1]]
    commits = (attempt["commit"] + "+" * bool(attempt["diff"]) for attempt in found.values() if attempt["commit"])
    row = {
        "commits": " ".join(dict.fromkeys(commits)),
        "code": " ".join(dict.fromkeys(attempt["code"] for attempt in stands or [_NOTHING])),
        "packages": " | ".join(dict.fromkeys(_words(attempt["packages"]) for attempt in stands or [_NOTHING])),
        "devices": " | ".join(dict.fromkeys(attempt["device"] for attempt in stands or [_NOTHING])),
        "execution": " | ".join(dict.fromkeys(attempt["execution"] for attempt in stands or [_NOTHING])),
        "resumed": ", ".join(_differences(stands)),
    }
    return row, problems


_NOTHING: Record = {"commit": "", "diff": "", "code": UNKNOWN, "packages": {}, "device": UNKNOWN, "execution": UNKNOWN}


def _provenance(file: Path, number: int) -> Record:
    """What the attempt recorded, checked. Raises StoreError and others where it cannot be read."""
    if not check_file(file, f"attempts/{number}/provenance.json"):
        raise StoreError("is missing")
    document = read_json(file)
    git = document.get("git")
    packages = {str(name): str(version) for name, version in (document.get("packages") or {}).items() if version}
    if "python" in document:
        packages["python"] = str(document["python"])
    commit = _text(git["commit"]) if git else ""
    diff = _text(git.get("diff_sha256") or "dirty")[:12] if git and git["dirty"] else ""
    installed = f"paw-bench-{packages['paw-bench']}" if "paw-bench" in packages else UNKNOWN
    code = f"{commit}+{diff}" if diff else commit or _text(installed)
    return {
        "commit": commit,
        "diff": diff,
        "code": code,
        "packages": packages,
        "device": printable(str(document.get("device", UNKNOWN))).replace("|", "/"),
        "execution": _execution(document),
    }


def _execution(document: Record) -> str:
    """The engine that sampled, and what else of the execution touches the numerics, in words."""
    settings = document.get("execution") or {}
    engine = (document.get("engine") or {}).get("name", settings.get("engine"))
    known = {"engine": engine} | {key: settings.get(key) for key in _NUMERICS}
    words = ", ".join(f"{key} {value}" for key, value in known.items() if value is not None)
    return printable(words).replace("|", "/") or UNKNOWN


def _text(value: Any) -> str:
    """The value as one printable word. Raises ValueError where it is no text."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r:.40} is no text")
    return "".join(printable(value).replace("|", "/").split())


def _words(packages: dict[str, str]) -> str:
    words = (f"{name} {version}" for name, version in sorted(packages.items()))
    return printable(", ".join(words)).replace("|", "/") or UNKNOWN


def _differences(attempts: list[Record]) -> list[str]:
    """Keys in which the attempts are not all alike."""
    packages = sorted({name for attempt in attempts for name in attempt["packages"]})
    keys = [key for key in ("code", "device", "execution") if len({attempt[key] for attempt in attempts}) > 1]
    return keys + [name for name in packages if len({attempt["packages"].get(name) for attempt in attempts}) > 1]
