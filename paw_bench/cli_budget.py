"""Before a sweep starts: its plan, what it can resolve, and a question where it costs more than the budget."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections import defaultdict
from collections.abc import Collection, Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from paw_bench.config.budget import Limit
from paw_bench.errors import UserError
from paw_bench.sweep.cost import CostPrediction, evaluation_games
from paw_bench.sweep.describe import UNITS, describe_plan, hour_lines
from paw_bench.sweep.plan import Plan
from paw_bench.sweep.shared import shared_json, shared_lines
from paw_bench.sweep.status import RunStatus

if TYPE_CHECKING:
    from analysis.power import Power

_FEW = 3


def power_report(planned: Plan, statuses: Sequence[RunStatus]) -> list[str]:
    """What the plan can resolve, in words."""
    from analysis.power import power_lines

    return [line for power in power_of(planned, statuses)[:_FEW] for line in power_lines(power)]


def power_json(planned: Plan, statuses: Sequence[RunStatus]) -> list[dict[str, Any]]:
    """The same as plain data; null where there is no interval."""
    rows = map(dataclasses.asdict, power_of(planned, statuses))
    return [{key: None if math.isnan(value) else value for key, value in row.items()} for row in rows]


def power_of(planned: Plan, statuses: Sequence[RunStatus]) -> list[Power]:
    """What the plan can resolve, for each number of games; from the spread of the runs finished on as many."""
    from analysis.power import expected

    games_of = {run.run_id: evaluation_games(run.config.experiment) for run in planned.runs}
    panels: dict[int, dict[str, list[float]]] = {games: defaultdict(list) for games in games_of.values()}
    for status in statuses:
        if status.state == "done" and status.success is not None and status.run_id in games_of:
            panels[games_of[status.run_id]][f"{status.arm} {status.axes}"].append(status.success)
    tests = planned.points * len(planned.file.comparisons)
    seeds = len(planned.file.seeds)
    return [
        expected(seeds=seeds, games=games, tests=tests, finished=successes.values())
        for games, successes in panels.items()
    ]


def show_plan(
    planned: Plan,
    cost: CostPrediction,
    document: dict[str, Any],
    statuses: Sequence[RunStatus],
    elsewhere: Mapping[str, Path],
    *,
    as_json: bool,
    spent: Collection[str] = (),
    scripts: Sequence[str] | None = None,
) -> None:
    """Print what a sweep would do: the plan (as JSON: `document`), what is left of it, what it can resolve.

    `spent`: runs that are not tried again. `scripts`: those that were written for Slurm; None without it.
    """
    left = to_start(planned, statuses, {*elsewhere, *spent})
    if as_json:
        written = {} if scripts is None else {"scripts": scripts}
        more = shared_json(elsewhere) | {"to_start": left, "power": power_json(planned, statuses)} | written
        print(json.dumps(document | more, indent=2))
        return
    begun = [_start_line(planned, cost, left)] if len(left) < len(planned.runs) else []
    console = Console()
    console.print(describe_plan(planned, cost, [*shared_lines(elsewhere), *begun, *power_report(planned, statuses)]))
    for path in scripts or ():
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def announce(
    planned: Plan, cost: CostPrediction, statuses: Sequence[RunStatus], left_alone: Container[str], console: Console
) -> list[str]:
    """Print what the runs that are to be started cost, and what the sweep resolves; returns the ids of those runs.

    `left_alone`: as in `to_start`.
    """
    runs = to_start(planned, statuses, left_alone)
    if runs:
        lines = [_start_line(planned, cost, runs), *power_report(planned, statuses)]
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    return runs


def require_budget(
    cost: CostPrediction, runs: Collection[str], limits: Sequence[Limit], *, yes: bool, console: Console
) -> None:
    """Ask before `runs` are started that cost more than the budget allows, or that nobody knows the cost of.

    Raises UserError where the answer is no, or where there is neither a terminal to ask at nor `yes`.
    """
    over = [text for limit in limits if (text := _over(cost, runs, limit))]
    if not over or yes:
        return
    problem = "\n  ".join([f"{len(runs)} run{'s' * (len(runs) != 1)} to start:", *over])
    remedy = "start them all the same with --yes, plan fewer (--set seeds=..., arms=...), or raise the budget"
    if not sys.stdin.isatty():
        raise UserError(problem, remedy)
    console.print(problem, markup=False, highlight=False, soft_wrap=True)
    if not typer.confirm("Start them?", err=True):
        raise UserError("nothing was started", remedy)


def to_start(planned: Plan, statuses: Sequence[RunStatus], left_alone: Container[str]) -> list[str]:
    """Ids of the planned runs that nobody works on, that wait nowhere, and are not finished.

    `left_alone`: runs that are not started either, as they are finished elsewhere or have no attempt left.
    """
    taken = {status.run_id for status in statuses if status.settled or status.active or status.state == "queued"}
    return [run.run_id for run in planned.runs if run.run_id not in taken and run.run_id not in left_alone]


def _start_line(planned: Plan, cost: CostPrediction, runs: Collection[str]) -> str:
    hours = ", ".join(hour_lines(cost, runs))
    return f"{len(runs)} of {len(planned.runs)} runs to start" + (f"; {hours}" if hours else "")


def _over(cost: CostPrediction, runs: Collection[str], limit: Limit) -> str | None:
    """Why `runs` may be over the limit; None where they are not."""
    hours, unit = cost.hours(limit.unit, runs), UNITS[limit.unit]
    if hours is not None:
        return f"about {hours:.1f} {unit}; {limit.where}: {limit.hours:g}" if hours > limit.hours else None
    most = cost.most_hours(limit.unit, runs)
    if most is not None and most <= limit.hours:
        return None
    known = "" if most is None else f", at most {most:.0f} by the time limit of one attempt each"
    return f"an unknown number of {unit} (nothing was measured{known}); {limit.where}: {limit.hours:g}"
