"""A whole sweep on this machine: make its folder, drive its runs to their end."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from paw_bench.errors import UserError
from paw_bench.store.jsonl import Record
from paw_bench.store.run_directory import RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.cluster_status import submitted
from paw_bench.sweep.driver import Driver, check_space
from paw_bench.sweep.execution_changes import make_folder
from paw_bench.sweep.plan import Plan
from paw_bench.sweep.progress import Screen
from paw_bench.sweep.queue import QueueError
from paw_bench.sweep.shared import link_finished
from paw_bench.sweep.slots import Slots
from paw_bench.sweep.status import RunStatus, sweep_status
from paw_bench.sweep.submissions import submissions

RUN_COMMAND = (sys.executable, "-P", "-m", "paw_bench.cli", "run")
"""`paw-bench run` of this very installation, wherever the search path points."""


def launch(
    plan: Plan,
    document: Record,
    *,
    results: Path,
    slots: Slots,
    retry: bool,
    screen: Screen,
    predicted_s: float | None,
    command: Sequence[str] = RUN_COMMAND,
) -> list[RunStatus]:
    """Bring every run of `plan` (as JSON: `document`) to its end below `results`; returns the state of every run.

    Finished runs are left alone, also those that another sweep below `results` has finished; with `retry` the others
    get as many attempts again as the config allows. `command` works on the run folder that is appended to it. Raises
    StoreError when another driver is at work, a run on disk is not what is planned, or the disk is full, UserError
    when jobs of the sweep are in Slurm's queue, and Interrupted when this process is asked to stop.
    """
    sweep = SweepDirectory(sweep_path(plan, results))
    check_space(sweep.path)
    with sweep.lock():
        require_no_jobs(sweep)
        file = plan.file
        document = keep_first_prediction(sweep, document)
        sweep = SweepDirectory.create(
            sweep.path, name=file.name, scale=file.scale, source=str(file.path), text=file.text, plan=document
        )
        for line in link_finished(plan, sweep):
            screen.note(line)
        _reconcile(sweep, plan, retry=retry)
        before = sweep_status(sweep)
        if all(status.state == "done" for status in before):
            screen.note(f"nothing to do: {len(before)} of {len(before)} runs are done")
            return before
        sweep.journal("driver_started", pid=os.getpid(), hostname=socket.gethostname(), slots=slots.count)
        driver = Driver(sweep, plan.runs, command=command, slots=slots, screen=screen, predicted_s=predicted_s)
        statuses = driver.drive()
        sweep.journal("driver_ended", done=sum(status.state == "done" for status in statuses))
        return statuses


def sweep_path(plan: Plan, results: Path) -> Path:
    """The sweep's folder: `<name>-<scale>` below `results`."""
    return (results / plan.file.sweep_name).absolute()


def require_no_jobs(sweep: SweepDirectory) -> None:
    """Raise UserError while jobs of the sweep wait or run on a cluster: they would work on the runs started here.

    A sweep that was never submitted, or whose submitted runs are all done, has none, and Slurm is not asked.
    """
    started = {run["run_id"] for submission in submissions(sweep.events()) for run in submission.runs}
    if all((sweep.run_path(run_id) / "result.json").exists() for run_id in started):
        return
    try:
        found, queue = submitted(sweep)
    except QueueError as error:
        problem = f"{sweep.path}: was submitted to a cluster, and Slurm does not say what became of it: {error.problem}"
        raise UserError(problem, "give --cluster PROFILE, or this command where Slurm answers") from None
    names = {name for submission in found for name in (submission.name, f"{submission.name}-keeper")}
    jobs = sorted(task.job_id for task in queue.values() if task.live and task.name in names)
    if jobs:
        problem = f"{sweep.path}: {len(jobs)} job(s) of it are in Slurm's queue: {', '.join(jobs[:3])}"
        raise UserError(problem, f"give --cluster PROFILE, or first: paw-bench cancel {sweep.path.name}")


def keep_first_prediction(sweep: SweepDirectory, document: Record) -> Record:
    """The plan with the cost that was predicted before its first run: what the report compares with the measurement."""
    if not sweep.exists() or sweep.info["plan"]["runs"] != document["runs"]:
        return document
    return {**document, "cost": sweep.info["plan"]["cost"]}


def _reconcile(sweep: SweepDirectory, plan: Plan, *, retry: bool) -> None:
    """Check that the runs on disk are those of the plan, before anything starts; grant them new attempts on `retry`."""
    for run in plan.runs:
        path = sweep.run_path(run.run_id)
        if not (path / "config.json").exists():
            continue
        info = RunInfo(run.run_id, plan.file.name, run.arm, run.axes, run.seed)
        directory = make_folder(path, info, run.config)
        if retry and directory.result(verify=False) is None and not directory.is_locked():
            with directory.lock():
                directory.journal("retry")
