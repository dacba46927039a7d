"""`paw-bench sweep`: from the experiment file to the table."""

from __future__ import annotations

import json
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from paw_bench.cli_budget import announce, require_budget, show_plan
from paw_bench.cli_status import report_lines, status_document
from paw_bench.config.load import load_experiment_file
from paw_bench.errors import UserError
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.cost import CostPrediction, predict
from paw_bench.sweep.describe import plan_json
from paw_bench.sweep.launch import RUN_COMMAND, launch, sweep_path
from paw_bench.sweep.plan import Plan, plan
from paw_bench.sweep.progress import Screen, headline
from paw_bench.sweep.requirements import cannot_run_here, missing_requirements
from paw_bench.sweep.shared import finished_elsewhere
from paw_bench.sweep.signals import Interrupted
from paw_bench.sweep.slots import Slots
from paw_bench.sweep.status import RunStatus, sweep_status

AGAIN = "The same command tries again, within execution.max_attempts; --retry grants new attempts."
_TAIL_LINES = 15


def sweep(
    file: Path,
    *,
    scale: str | None,
    overrides: Sequence[str],
    dry_run: bool,
    as_json: bool,
    parallel: int | None,
    results: Path,
    retry: bool,
    yes: bool = False,
    command: Sequence[str] = RUN_COMMAND,
) -> int:
    """Run every run of the experiment file, then report; returns the exit code (0 done, 1 a run failed, 130 stopped).

    `command` works on the run folder that is appended to it. Raises UserError for everything that the user can mend.
    """
    planned = plan(load_experiment_file(file, scale=scale, overrides=overrides))
    slots = Slots(planned.file.execution, parallel=parallel)
    folder = sweep_path(planned, results)
    cost = predict(planned, sweep_path=folder, parallel=slots.count)
    document = plan_json(planned, cost)
    before = sweep_status(SweepDirectory(folder)) if SweepDirectory(folder).exists() else []
    elsewhere = finished_elsewhere(planned, folder)
    spent = set() if retry else _spent(planned, before)
    if dry_run:
        show_plan(planned, cost, document, before, elsewhere, as_json=as_json, spent=spent)
        return 0
    missing = missing_requirements(planned)
    if missing:
        raise cannot_run_here(planned, missing)
    console = Console(stderr=as_json)
    runs = announce(planned, cost, before, {*elsewhere, *spent}, console)
    require_budget(cost, runs, planned.file.limits, yes=yes, console=console)
    try:
        with Screen(console, planned.file.sweep_name) as screen:
            statuses = launch(
                planned,
                document,
                results=results,
                slots=slots,
                retry=retry,
                screen=screen,
                predicted_s=_mean_run(cost),
                command=command,
            )
    except (Interrupted, KeyboardInterrupt):
        again = shlex.join(["paw-bench", *sys.argv[1:]])
        print(f"stopped; finished runs and checkpoints are kept. To go on: {again}", file=sys.stderr)
        return 130
    return conclude(planned, SweepDirectory(folder), statuses, console, as_json=as_json)


def _spent(planned: Plan, statuses: Sequence[RunStatus]) -> set[str]:
    """Ids of the runs that have no attempt left."""
    failures = {status.run_id: status.failures for status in statuses}
    caps = {run.run_id: run.config.execution.max_attempts for run in planned.runs}
    return {run_id for run_id, cap in caps.items() if failures.get(run_id, 0) >= cap}


def _mean_run(cost: CostPrediction) -> float | None:
    known = [seconds for seconds in cost.run_seconds.values() if seconds is not None]
    return sum(known) / len(known) if known else None


def conclude(
    planned: Plan,
    sweep: SweepDirectory,
    statuses: list[RunStatus],
    console: Console,
    *,
    as_json: bool,
    again: str = AGAIN,
) -> int:
    """Say what failed and why, and report on what is done; `again` says how it is tried again."""
    unfinished = [status for status in statuses if status.state != "done"]
    lines = [headline(planned.file.sweep_name, statuses, None)]
    for status in unfinished:
        lines += ["", f"{status.label}: {status.state}: {status.reason}", *_log_tail(status)]
    if len(unfinished) < len(statuses):
        lines += ["", *_report(sweep, console.width)]
    if unfinished:
        lines += ["", again]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps(status_document(sweep, statuses), indent=2))
    return 1 if unfinished else 0


def _log_tail(status: RunStatus) -> list[str]:
    if status.log is None or not status.log.exists():
        return []
    tail = status.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    return [f"  the end of {os.path.relpath(status.log)}:", *(f"  | {line}" for line in tail)]


def _report(sweep: SweepDirectory, width: int) -> list[str]:
    """The report's own lines; what goes wrong in it must not lose the sweep."""
    try:
        return report_lines(sweep, width=width)
    except UserError as error:
        reason = str(error)
    except Exception:
        reason = traceback.format_exc()
    return [f"the report failed; the results are safe in {sweep.path}", reason, f"try: paw-bench report {sweep.path}"]
