"""Does a report say what its run files say? Everything is computed again and compared byte for byte.

Pictures are not drawn again, which takes longer than all the rest and depends on matplotlib's version: the report holds
the SHA-256 of each beside those of its data (`figures/SHA256SUMS`), so a picture that was swapped or edited, or whose
data no longer is what the run files give, is found.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from analysis import report
from analysis.files import one_line
from analysis.load import load
from paw_bench.errors import StoreError
from paw_bench.store.documents import sha256_of

RENDERED = {".png", ".pdf"}

_TABLE_KEYS = ("condition", "arm", "reference", "run_id", "phase", "task_type")
_FIGURE_KEYS = ("panel", "artist", "point")
_NAMED = ("title", "series", "form")
"""Columns of a figure's data that tell a reader which point it is."""


class Change(NamedTuple):
    """One cell, line or file of the report that its run files do not give."""

    file: str
    cell: str
    reported: str
    computed: str
    run_ids: tuple[str, ...]
    """The runs behind the computed value (the reported one, where there is no other)."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found."""

    report: Path
    sweep: Path
    files: int
    """How many files were computed again."""
    pictures: int
    """How many pictures were compared with their recorded hash."""
    changes: tuple[Change, ...]


def verify(folder: Path, sweep: Path | None = None) -> Verification:
    """Compare the report in `folder` with the run files of its sweep (the folder it lies in, unless `sweep` is given).

    Raises StoreError where `folder` holds no report, or the sweep cannot be read.
    """
    if not (folder / "report.md").is_file():
        raise StoreError(f"{folder}: is no report (it has no report.md)", "write one with: paw-bench report SWEEP")
    sweep = folder.resolve().parent if sweep is None else sweep
    try:
        computed = {name: text.encode() for name, text in report.compute(load(sweep), folder).items()}
    except FileNotFoundError as error:
        raise StoreError(f"{error.filename}: is missing", "write the report again: paw-bench report SWEEP") from None
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    there = {name for name in names if Path(name).suffix not in RENDERED and name != report.SUMS}
    pictures = sorted(name for name in names if Path(name).suffix in RENDERED)
    changes = [
        Change(name, "the whole file", "missing", "is part of the report", ()) for name in computed if name not in there
    ]
    changes += [
        Change(name, "the whole file", "is there", "no part of the report", ())
        for name in sorted(there - set(computed))
    ]
    for name, new in computed.items():
        if name in there:
            old = (folder / name).read_bytes()
            if old != new:
                changes += _differences(name, old.decode(errors="replace"), new.decode())
    changes += _of_hashes(folder, pictures, computed)
    return Verification(folder, sweep, len(computed), len(pictures), tuple(changes))


def _of_hashes(folder: Path, pictures: Iterable[str], computed: Mapping[str, bytes]) -> Iterator[Change]:
    """Pictures, and data of figures, that are not those of which the report holds the hashes."""
    try:
        lines = (folder / report.SUMS).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        yield Change(report.SUMS, "the whole file", "missing", "the hashes of the pictures", ())
        return
    recorded = {f"figures/{name}": digest for digest, name in (line.split("  ", 1) for line in lines if "  " in line)}
    found = {name: sha256_of(folder / name) for name in pictures}
    data = {name: text for name, text in computed.items() if name.startswith("figures/")}
    found |= {name: hashlib.sha256(text).hexdigest() for name, text in data.items()}
    for name in sorted({*recorded, *found}):
        was, now = recorded.get(name, "no hash"), found.get(name, "missing")
        if was != now:
            kind = "the data that the picture was drawn from" if name in data else "the picture"
            yield Change(name, kind, f"recorded {was[:12]}", f"found {now[:12]}", ())


def _differences(name: str, old: str, new: str) -> list[Change]:
    found: list[Change] = []
    if name.endswith(".csv"):
        try:
            found = list(_of_tables(name, _read(old), _read(new)))
        except (ValueError, pd.errors.ParserError) as error:
            return [Change(name, "the whole file", one_line(f"is no CSV: {error}"), "a table", ())]
    else:
        found = list(_of_lines(name, old.split("\n"), new.split("\n")))
    return found or [Change(name, "the whole file", "other bytes", "the same values", ())]


def _read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)


def _of_tables(name: str, old: pd.DataFrame, new: pd.DataFrame) -> Iterator[Change]:
    """Every cell that differs; rows are matched by what identifies them."""
    for column in new.columns.symmetric_difference(old.columns):
        is_new = column in new.columns
        yield Change(name, f"column {column}", *(("missing", "there") if is_new else ("there", "missing")), ())
    candidates = _FIGURE_KEYS if name.startswith("figures/") else _TABLE_KEYS
    keys = [key for key in candidates if key in old.columns and key in new.columns]
    before, after = _by_key(old, keys), _by_key(new, keys)
    columns = [column for column in new.columns if column in old.columns]
    for key in dict.fromkeys((*before, *after)):
        row, now = before.get(key), after.get(key)
        cell = _name_of(now or row or {}, keys)
        runs = _runs_of(now or row or {})
        if row is None or now is None:
            states = ("missing", "there") if row is None else ("there", "missing")
            yield Change(name, cell, *states, runs)
            continue
        for column in columns:
            if row[column] != now[column]:
                yield Change(name, f"{cell}: {column}", row[column], now[column], runs)


def _by_key(table: pd.DataFrame, keys: list[str]) -> dict[tuple[str, ...], dict[str, str]]:
    """Rows by their key; a key that comes again counts up, so that no row is lost."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in table.to_dict("records"):
        own = {str(column): str(value) for column, value in row.items()}
        key, again = tuple(own[name] for name in keys), 0
        while (*key, str(again)) in found:
            again += 1
        found[(*key, str(again))] = own
    return found


def _name_of(row: dict[str, str], keys: list[str]) -> str:
    if "artist" in keys:
        named = [row[name] for name in _NAMED if row.get(name)]
        return " / ".join([f"panel {row['panel']}", *named, f"point {row['point']}"])
    return " / ".join(row[key] for key in keys if row[key]) or "row"


def _runs_of(row: dict[str, str]) -> tuple[str, ...]:
    words = " ".join(row.get(column, "") for column in ("run_id", "run_ids", "reference_run_ids"))
    return tuple(dict.fromkeys(words.split()))


def _of_lines(name: str, old: list[str], new: list[str]) -> Iterator[Change]:
    """Every cell of a table, or line, that differs; the first different line where there are more or fewer lines."""
    if len(old) != len(new):
        first = next(
            (n for n, pair in enumerate(zip(old, new, strict=False)) if len(set(pair)) > 1), min(len(old), len(new))
        )
        yield Change(name, f"from line {first + 1} on", f"{len(old)} lines", f"{len(new)} lines", ())
        return
    for number, (before, after) in enumerate(zip(old, new, strict=True), start=1):
        if before == after:
            continue
        cells, now = _cells(before), _cells(after)
        if len(cells) != len(now) or len(now) < 2:
            yield Change(name, f"line {number}", _short(before), _short(after), ())
            continue
        for place, pair in enumerate(zip(cells, now, strict=True), start=1):
            if pair[0] != pair[1]:
                yield Change(name, f"line {number} ({now[0]}), cell {place}", _short(pair[0]), _short(pair[1]), ())


def _cells(line: str) -> list[str]:
    """The cells of a row of a Markdown or LaTeX table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)[|&]", line.strip().strip("|"))]


def _short(text: str) -> str:
    return one_line(text) if len(text) < 120 else one_line(text[:119]) + "\N{HORIZONTAL ELLIPSIS}"


def run_ids(changes: Iterable[Change]) -> list[str]:
    """Every run behind some change, in the order of the changes."""
    return list(dict.fromkeys(run_id for change in changes for run_id in change.run_ids))
