"""One process that works on a run: its folder `attempts/<n>/` with provenance and log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paw_bench.config.schema import ExecutionConfig
from paw_bench.errors import StoreError
from paw_bench.store import provenance
from paw_bench.store.atomic import write_json, writing
from paw_bench.store.documents import read_json


@dataclass(frozen=True, slots=True)
class Attempt:
    """`path` is the attempt's own folder; `number` counts from 1."""

    number: int
    path: Path

    @property
    def log(self) -> Path:
        """What the attempt printed."""
        return self.path / "log.txt"

    @property
    def tokens(self) -> Path:
        """A few episodes of its first update, and those that stopped it for their provenance, token by token."""
        return self.path / "tokens.jsonl"

    def provenance(self) -> dict[str, Any]:
        """Git, packages, machine, device, panels and execution settings (`provenance.collect`)."""
        return read_json(self.path / "provenance.json")

    def record(self, **fields: Any) -> None:
        """Add `fields` to the provenance, and compare it with that of the run's first attempt.

        Raises StoreError, naming the key, when the attempt may not continue what the first one began.
        """
        current = {**self.provenance(), **fields}
        check_against_first(self.path.parent, current)
        write_json(self.path / "provenance.json", current)


def attempts(folder: Path) -> list[Attempt]:
    """All attempts in the run's `attempts` folder, oldest first."""
    if not folder.is_dir():
        return []
    return [Attempt(number, folder / str(number)) for number in sorted(int(path.name) for path in folder.iterdir())]


def open_attempt(folder: Path, execution: ExecutionConfig) -> Attempt:
    """Make the next attempt's folder and its provenance. Raises StoreError when it may not continue the first one."""
    current = provenance.collect(device=execution.device, execution=execution.model_dump(mode="json"))
    check_against_first(folder, current)
    number = max((attempt.number for attempt in attempts(folder)), default=0) + 1
    attempt = Attempt(number, folder / str(number))
    with writing(attempt.path):
        attempt.path.mkdir(parents=True)
    write_json(attempt.path / "provenance.json", current)
    return attempt


def check_against_first(folder: Path, current: dict[str, Any]) -> None:
    """Raise StoreError unless `current` may continue what the folder's first attempt began."""
    for earlier in attempts(folder):
        if (earlier.path / "provenance.json").exists():
            provenance.check_same(earlier.provenance(), current, where=str(folder.parent))
            return


def first_difference(before: Any, now: Any) -> tuple[str, Any, Any] | None:
    """(dotted key, value before, value now) of the first difference of two configs in JSON form, or None."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in (*before, *(key for key in now if key not in before)):
            difference = first_difference(before.get(key), now.get(key))
            if difference is not None:
                inner, *values = difference
                return (f"{key}.{inner}" if inner else key, *values)
        return None
    return None if before == now else ("", before, now)


def require_same_experiment(file: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise StoreError, naming the key, unless the experiment stored in `file` is the one that is planned now."""
    difference = first_difference(before, now)
    if difference is not None:
        key, old, new = difference
        raise StoreError(
            f"{file}: experiment.{key} is {old!r}, the plan says {new!r}",
            "use another --results folder, or remove this run's folder to start it afresh",
        )
