"""`paw-bench report`, `verify` and `explain`: a sweep's numbers, whether they hold, and where they come from."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from paw_bench.cli_status import all_sweeps, find_sweep, report_lines
from paw_bench.errors import UserError
from paw_bench.store.sweep_directory import SweepDirectory

if TYPE_CHECKING:
    from analysis.explain import Explained, Part

_SHOWN = 20
"""Changes that are printed of each file; `--json` has them all."""


def write_report(which: str, *, results: Path, strict: bool) -> int:
    """Write the report of a sweep; print its table and where everything is. Exit code 1 where `strict` refuses."""
    from analysis.report import Refused

    console = Console()
    try:
        lines = report_lines(find_sweep(which, results), width=console.width, strict=strict)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    return 0


def verify_report(which: str, *, results: Path, sweep: str | None, as_json: bool) -> int:
    """Compute a report again and print what differs. Exit code 1 where something does."""
    from analysis.verify import run_ids, verify

    folder = Path(which) if Path(which, "report.md").is_file() else find_sweep(which, results).report
    found = verify(folder, find_sweep(sweep, results).path if sweep else None)
    if as_json:
        document = {
            "report": str(found.report),
            "sweep": str(found.sweep),
            "files": found.files,
            "pictures": found.pictures,
            "changes": [change._asdict() for change in found.changes],
        }
        print(json.dumps(document, indent=2))
    elif not found.changes:
        print(f"{found.report}: all {found.files} files are what the run files in {found.sweep} give, byte for byte")
        print(f"{found.pictures} pictures have the hashes that were recorded when they were drawn from this data")
    else:
        for name in dict.fromkeys(change.file for change in found.changes):
            own = [change for change in found.changes if change.file == name]
            for change in own[:_SHOWN]:
                runs = f"  (runs {', '.join(change.run_ids)})" if change.run_ids else ""
                print(f"{name}: {change.cell}: {change.reported or 'nothing'} -> {change.computed or 'nothing'}{runs}")
            if len(own) > _SHOWN:
                print(f"{name}: and {len(own) - _SHOWN} more (all of them: --json)")
        concerned = f"{len(run_ids(found.changes))} runs concerned"
        print(f"{found.report}: {len(found.changes)} differences from the run files in {found.sweep}; {concerned}")
    return 1 if found.changes else 0


def explain_cell(address: str, which: str | None, *, results: Path, as_json: bool) -> None:
    """Print what a cell is, and the runs behind it. Raises UserError where there is no such cell or sweep."""
    from analysis.explain import explain
    from analysis.load import load

    sweep = find_sweep(which, results) if which else _only_sweep(results)
    cells = explain(load(sweep.path), address)
    if as_json:
        document = [_without_nan(dataclasses.asdict(cell) | _named(cell)) for cell in cells]
        print(json.dumps({"sweep": str(sweep.path), "cells": document}, indent=2, ensure_ascii=False))
        return
    for cell in cells:
        print("\n".join(_lines(cell, sweep)))


def _only_sweep(results: Path) -> SweepDirectory:
    sweeps = all_sweeps(results)
    if len(sweeps) > 1:
        names = ", ".join(sweep.path.name for sweep in sweeps)
        raise UserError(f"{results}: holds several sweeps", f"name one of them behind the cell: {names}")
    return sweeps[0]


def _lines(cell: Explained, sweep: SweepDirectory) -> list[str]:
    between = "" if cell.gap or math.isnan(cell.mean) else "; 95 % t interval over seeds"
    lines = [f"{cell.cell}: {cell.words} {cell.unit}".rstrip(), f"  {cell.meaning}{between}"]
    if cell.gap:
        lines.append(f"  no interval: {cell.gap}")
    if cell.marks:
        lines.append(f"  marked: {cell.marks}")
    for title, parts in (("runs", cell.parts), ("minus runs", cell.against)):
        lines += [f"  {title}:", *_rows(parts, sweep)] if parts else []
    lines += [f"  not in it: {absent}" for absent in cell.absent]
    return lines


def _rows(parts: Sequence[Part], sweep: SweepDirectory) -> list[str]:
    lines: list[str] = []
    for part in parts:
        path = os.path.relpath(sweep.path / part.path)
        value = " " * 10 if math.isnan(part.value) else f"{part.value:10.4f}"
        lines.append(f"    {part.arm} seed {part.seed:<4} {value}  {path}")
        lines.append(f"      result {part.result_sha256}")
        lines.append(f"      code {part.code}; {part.packages}")
    return lines


def _named(cell: Explained) -> dict[str, Any]:
    return {name: [_without_nan(part._asdict()) for part in getattr(cell, name)] for name in ("parts", "against")}


def _without_nan(document: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: what cannot be computed is null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in document.items()
    }
