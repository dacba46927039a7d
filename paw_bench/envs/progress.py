"""A progress bar for what is made once and takes its time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

_QUIET_SECONDS = 2.0


def with_progress(wanted: Sequence[Item], description: str) -> Iterator[Item]:
    """The items of `wanted`, with a progress bar on stderr once it has taken two seconds."""
    from rich.console import Console
    from rich.progress import Progress

    started = time.monotonic()
    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(description, total=len(wanted))
    shown = False
    try:
        for item in wanted:
            if not shown and time.monotonic() - started > _QUIET_SECONDS:
                bar.start()
                shown = True
            yield item
            bar.advance(task)
    finally:
        if shown:
            bar.stop()
