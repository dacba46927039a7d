"""What the terminal shows of a sweep: a live screen, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from paw_bench.sweep.status import RunStatus, State

_PLAIN_INTERVAL_S = 15.0
_WIDTH = 60
STYLES: dict[State, str] = {
    "planned": "dim",
    "queued": "dim cyan",
    "running": "cyan",
    "evaluating": "cyan",
    "done": "green",
    "failed": "bold red",
    "interrupted": "yellow",
    "preempted": "yellow",
    "lost": "yellow",
    "pruned": "dim",
}


def duration(seconds: float) -> str:
    """Seconds in the two largest units that matter: '45 s', '12 min', '2 h 05 min', '3 d 4 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def seconds_left(statuses: Sequence[RunStatus], *, slots: int, predicted_s: float | None) -> float | None:
    """How long the sweep still takes with `slots` runs at a time; None while nothing is known.

    A waiting run takes as long as the finished ones did in the mean, or else `predicted_s`.
    """
    taken = [status.seconds_taken for status in statuses if status.seconds_taken is not None]
    each = sum(taken) / len(taken) if taken else predicted_s
    waiting = [
        status for status in statuses if status.state in {"planned", "queued", "interrupted", "preempted", "lost"}
    ]
    unknown = [status for status in statuses if status.active and status.seconds_left is None]
    running = [status.seconds_left for status in statuses if status.seconds_left is not None]
    if each is None and (waiting or unknown):
        return None
    open_work = running + [each or 0.0] * (len(unknown) + len(waiting))
    return max(sum(open_work) / slots, *open_work) if open_work else 0.0


def headline(title: str, statuses: Sequence[RunStatus], left: float | None) -> str:
    """'quickstart-embedded: 2 of 6 runs done, 1 running, 3 waiting, about 12 min left'."""
    states = Counter("running" if status.active else status.state for status in statuses)
    parts = [f"{states['done']} of {len(statuses)} runs done"]
    others: tuple[State, ...] = ("running", "queued", "pruned", "failed", "interrupted", "preempted", "lost", "planned")
    parts += [f"{states[state]} {'waiting' if state == 'planned' else state}" for state in others if states[state]]
    if left is not None and states["running"] + states["queued"] + states["planned"]:
        parts.append(f"about {duration(left)} left")
    return f"{title}: {', '.join(parts)}"


def run_line(status: RunStatus) -> str:
    """'paw seed 0: running, update 37/150, 41 % success, 2 h left'."""
    return f"{status.label}: {', '.join(part for part in (status.state, *facts(status), status.reason) if part)}"


def facts(status: RunStatus) -> tuple[str, str, str]:
    """Update, success and time of a run in words; empty where nothing is known."""
    update = f"update {status.update}/{status.updates}" if status.updates else ""
    success = f"{100 * status.success:.0f} % success" if status.success is not None else ""
    if status.seconds_taken is not None:
        return update, success, f"took {duration(status.seconds_taken)}"
    return update, success, f"{duration(status.seconds_left)} left" if status.seconds_left is not None else ""


class Screen:
    """Shows the progress of a sweep until it is closed: live on a terminal, else a few plain lines every 15 seconds."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._next_plain = 0.0

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._live:
            self._live.stop()

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, statuses: Sequence[RunStatus], left: float | None) -> None:
        """Show the state of all runs now; plain lines only when their time has come."""
        line = headline(self._title, statuses, left)
        if self._live:
            self._live.update(_screen(line, statuses))
        elif time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + _PLAIN_INTERVAL_S
            self.note("\n".join([line, *(f"  {run_line(status)}" for status in statuses if status.active)]))


def _screen(line: str, statuses: Sequence[RunStatus]) -> RenderableType:
    done = sum(status.settled for status in statuses)
    whole = Table.grid()
    whole.add_row(ProgressBar(total=max(1, len(statuses)), completed=done, width=_WIDTH))
    grid = Table.grid(padding=(0, 2))
    for status in statuses:
        if status.active:
            bar = ProgressBar(total=max(1, status.updates), completed=status.update, width=24)
            grid.add_row(status.label, Text(status.state, style=STYLES[status.state]), bar, *facts(status))
    return Group(Text(line, style="bold"), whole, grid)
