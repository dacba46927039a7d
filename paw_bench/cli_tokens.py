"""`paw-bench tokens`: where every token of a training row came from."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from paw_bench.cli_cluster import find_run
from paw_bench.errors import UserError
from paw_bench.store import jsonl
from paw_bench.store.attempt import Attempt
from paw_bench.store.run_directory import RunDirectory


def show_tokens(which: str, *, attempt: int | None, episode: int | None, html: Path | None, results: Path) -> None:
    """Print the episodes that an attempt of a run recorded, or write them as a page.

    Raises UserError where there is no such run, attempt or episode.
    """
    from analysis.tokens import as_html, as_text

    _, directory = find_run(which, results)
    found = _attempt(directory, attempt)
    records = jsonl.read(found.tokens)
    if episode is not None:
        if not 1 <= episode <= len(records):
            raise UserError(f"{found.tokens}: has no episode {episode}", f"give 1 to {len(records)}")
        records = [records[episode - 1]]
    if html is None:
        console = Console(file=sys.stdout)
        for line in as_text(records):
            console.print(line, soft_wrap=True)
        return
    html.write_text(as_html(records, f"Tokens of run {directory.path.name}, attempt {found.number}"), encoding="utf-8")
    print(f"{html}: {len(records)} episodes")


def _attempt(directory: RunDirectory, number: int | None) -> Attempt:
    """The asked attempt, or the last one that recorded tokens."""
    recorded = {attempt.number: attempt for attempt in directory.attempts() if attempt.tokens.exists()}
    if not recorded:
        raise UserError(
            f"{directory.path}: no attempt recorded tokens",
            "they are there once an attempt of this version has collected its first update",
        )
    if number is None:
        return recorded[max(recorded)]
    if number not in recorded:
        raise UserError(
            f"{directory.path}: attempt {number} recorded no tokens", f"give one of {', '.join(map(str, recorded))}"
        )
    return recorded[number]
