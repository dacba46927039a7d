"""What `paw-bench status` shows: a row for every run, or, of many, one for every arm and for what needs a look."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paw_bench.config.keys import short_names
from paw_bench.sweep.progress import STYLES, facts
from paw_bench.sweep.status import RunStatus, State

ID_DIGITS = 8
"""Of a run id: enough for `paw-bench why` to tell the runs of any sweep apart."""
_MANY = 60
"""More runs than fit a screen or two."""
_SHOWN = 20
_NAMED = 3
_STATES: tuple[State, ...] = (
    "done", "running", "evaluating", "queued", "planned", "pruned", "failed", "interrupted", "preempted", "lost",
)  # fmt: skip
_FIXED = {"run", "seed", "update", "success", "time", "state", *_STATES}
"""Columns that are never folded."""
_ENDED = {"failed", "interrupted", "preempted", "lost"}


def status_screen(statuses: Sequence[RunStatus], *, every_run: bool) -> RenderableType:
    """The state of a sweep for a terminal of 80 columns; of more than 60 runs every one only with `every_run`."""
    if every_run or len(statuses) <= _MANY:
        return Group(_run_table(statuses), *_reasons(statuses))
    attention = [status for status in statuses if status.active or status.state in _ENDED]
    parts: list[RenderableType] = [_arm_table(statuses)]
    if attention:
        parts += [Text(), _run_table(attention[:_SHOWN])]
    if len(attention) > _SHOWN:
        parts.append(Text(f"and {len(attention) - _SHOWN} more at work or ended; every run: --all", style="dim"))
    return Group(*parts, *_reasons(statuses))


def _run_table(statuses: Sequence[RunStatus]) -> Table:
    table = _table("run", "arm", *_axes(statuses), "seed", "state", "update", "success", "time")
    for status in statuses:
        update, success, left = facts(status)
        table.add_row(
            status.run_id[:ID_DIGITS],
            Text(status.arm),
            *(Text(str(value)) for value in status.axes.values()),
            str(status.seed),
            Text(status.state, style=STYLES[status.state]),
            update.removeprefix("update "),
            success.removesuffix(" success"),
            left,
        )
    return table


def _arm_table(statuses: Sequence[RunStatus]) -> Table:
    """Arms (at each axis point) x states: how many runs; and the mean success of the finished ones."""
    arms: dict[tuple[str, ...], list[RunStatus]] = defaultdict(list)
    for status in statuses:
        arms[status.arm, *map(str, status.axes.values())].append(status)
    present = {status.state for status in statuses}
    states = [state for state in _STATES if state in present]
    table = _table("arm", *_axes(statuses), *states, "success")
    for place, runs in arms.items():
        count = Counter(run.state for run in runs)
        done = [run.success for run in runs if run.state == "done" and run.success is not None]
        cells = [Text(str(count[state] or ""), style=STYLES[state]) for state in states]
        table.add_row(*map(Text, place), *cells, f"{100 * statistics.fmean(done):.0f} %" if done else "")
    return table


def _reasons(statuses: Sequence[RunStatus]) -> list[Text]:
    """Each reason once, with the runs that give it."""
    same: dict[tuple[State, str], list[RunStatus]] = defaultdict(list)
    for status in statuses:
        if status.reason:
            same[status.state, status.reason.splitlines()[0]].append(status)
    lines = []
    for (state, reason), runs in same.items():
        ids = ", ".join(run.run_id[:ID_DIGITS] for run in runs[:_NAMED])
        more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
        lines.append(Text.assemble((state, STYLES[state]), f" {ids}{more}: {reason}"))
    return [Text(), *lines] if lines else []


def _axes(statuses: Sequence[RunStatus]) -> list[str]:
    """The columns of the axes."""
    return list(short_names(statuses[0].axes, taken=("arm", *_FIXED)).values()) if statuses else []


def _table(*columns: str) -> Table:
    """Arms and axis values are folded where the terminal is narrow, numbers never."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        numeric = column == "seed" or column in _STATES
        table.add_column(
            column,
            no_wrap=column in _FIXED,
            overflow="fold",
            min_width=None if column in _FIXED else 6,
            justify="right" if numeric else "left",
        )
    return table
