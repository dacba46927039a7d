"""`paw-bench sweep --cluster` and the commands on runs of a cluster: logs, why, cancel, retry, keep."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console

from paw_bench.cli_budget import announce, require_budget, show_plan
from paw_bench.cli_status import (
    all_sweeps,
    cluster_runs,
    find_sweep,
    report_lines,
    states_of,
    status_document,
    sweeps_named,
)
from paw_bench.cli_sweep import conclude
from paw_bench.config.load import load_experiment_file
from paw_bench.config.profile import load_profile
from paw_bench.errors import StoreError, UserError
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep import cluster_launch
from paw_bench.sweep.cluster import make_pass, patient_lock, reason_to_submit, require_cluster
from paw_bench.sweep.cluster_check import check_inputs
from paw_bench.sweep.cluster_launch import ClusterLaunch
from paw_bench.sweep.cluster_status import submitted
from paw_bench.sweep.cost import predict
from paw_bench.sweep.describe import plan_json
from paw_bench.sweep.history import history_lines
from paw_bench.sweep.launch import RUN_COMMAND
from paw_bench.sweep.plan import plan
from paw_bench.sweep.progress import Screen, headline
from paw_bench.sweep.queue import QueueError, slurm
from paw_bench.sweep.sbatch import leave_job
from paw_bench.sweep.shared import finished_elsewhere
from paw_bench.sweep.signals import Interrupted
from paw_bench.sweep.status import RunStatus, sweep_status
from paw_bench.sweep.submissions import starts

AGAIN = (
    "Nothing is tried again by itself any more (`retries` of the profile); the same command with --retry submits again."
)
KEEP_COMMAND = (*RUN_COMMAND[:-1], "keep")
_FOLLOW_S = 1.0
_ASK_S = 10.0
_ENDED = {"failed", "interrupted", "preempted", "lost"}


def sweep(
    file: Path,
    profile: Path,
    *,
    scale: str | None,
    overrides: Sequence[str],
    dry_run: bool,
    as_json: bool,
    results: Path,
    retry: bool,
    wait: bool,
    yes: bool = False,
    command: Sequence[str] = RUN_COMMAND,
    keep: Sequence[str] = KEEP_COMMAND,
) -> int:
    """Submit every run of the experiment file that is not done, queued or running; returns the exit code.

    `command` works on the run folder appended to it, `keep` makes a pass over the sweep folder appended to it. Raises
    UserError for everything that the user can mend.
    """
    planned = plan(load_experiment_file(file, scale=scale, overrides=overrides))
    launch = ClusterLaunch(planned, load_profile(profile), results, command, keep)
    at_a_time = launch.file.profile.max_parallel
    cost = predict(planned, sweep_path=launch.sweep.path, parallel=at_a_time, size=launch.size)
    known = cluster_runs(launch.sweep) if launch.sweep.exists() else []
    before = sweep_status(launch.sweep) if known is None else [run.status for run in known]
    again = [run.run_id for run in planned.runs] if retry else []
    spent = {run.status.run_id for run in known or () if reason_to_submit(run, launch.cluster, again) is None}
    document = plan_json(planned, cost)
    console = Console(stderr=as_json)
    elsewhere = finished_elsewhere(planned, launch.sweep.path)
    if dry_run:
        scripts = [os.path.relpath(path) for path in launch.write_scripts()]
        show_plan(planned, cost, document, before, elsewhere, as_json=as_json, spent=spent, scripts=scripts)
        return 0
    check_inputs(planned, launch.file.profile)
    runs = announce(planned, cost, before, {*elsewhere, *spent}, console)
    require_budget(cost, runs, [*planned.file.limits, *launch.file.limits], yes=yes, console=console)
    name = planned.file.sweep_name
    try:
        with Screen(console, name) as screen:
            statuses = launch.submit(document, retry=retry, screen=screen)
            if wait:
                statuses = launch.wait(screen)
    except (Interrupted, KeyboardInterrupt):
        print(f"stopped; submitted runs go on. See: paw-bench status {name}", file=sys.stderr)
        return 130
    if wait:
        return conclude(planned, launch.sweep, statuses, console, as_json=as_json, again=AGAIN)
    console.print(headline(name, statuses, None), highlight=False, soft_wrap=True)
    console.print(f"see: paw-bench status {name}", highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps(status_document(launch.sweep, statuses), indent=2))
    return 0


def keep(path: Path) -> None:
    """A keeper's pass over the sweep in `path`; after the last one, the report."""
    # What its own job was given must not become an option of the jobs that it submits.
    leave_job("SBATCH_")
    sweep = SweepDirectory(path)
    deadline = time.monotonic() + cluster_launch.REFUSAL_PATIENCE_S
    while True:
        try:
            statuses = _pass(sweep, retry=())
            break
        except (QueueError, StoreError) as error:
            # Nobody comes after the keeper: it outlasts a restart of Slurm's controller, a full queue, a full disk.
            print(error.problem, flush=True)
            if time.monotonic() > deadline:
                raise
            time.sleep(cluster_launch.REFUSAL_PAUSE_S)
    if not any(status.active or status.state == "queued" for status in statuses):
        print("\n".join(report_lines(sweep, width=120)))


def retry(which: str, *, failed: bool, results: Path) -> None:
    """Submit ended runs of a sweep (`failed`), or one run, again. Raises UserError where there is nothing to retry."""
    sweep, run = find(which, results)
    if run is None and not failed:
        raise UserError(f"{which} is a whole sweep", f"say which runs: paw-bench retry {which} --failed")
    ended = {status.run_id for status in states_of(sweep) if status.state in _ENDED}
    asked = ended if run is None else {run.info.run_id} & ended
    if not asked:
        raise UserError(f"{which}: no run has ended without a result", f"see: paw-bench status {sweep.path.name}")
    print(headline(sweep.path.name, _pass(sweep, retry=asked), None))


def cancel(which: str, *, results: Path) -> None:
    """Cancel all jobs of a sweep or a run, keepers of the sweep included.

    Raises UserError where none is in the queue, StoreError where a pass holds the sweep for too long.
    """
    sweep, run = find(which, results)
    require_cluster(sweep)
    # A pass that submits meanwhile would put jobs into the queue that are not seen here.
    with patient_lock(sweep):
        found, queue = submitted(sweep)
        # Also of runs that a later call with fewer seeds does not plan any more.
        by_run = starts(found)
        wanted = [run.path.name] if run else list(by_run)
        jobs = {(start.job, start.submission) for run_id in wanted for start in by_run.get(run_id, [])}
        live = [task for task in queue.values() if task.live]
        ids = sorted(task.job_id for task in live if (task.job_id, task.name) in jobs)
        keepers = {f"{submission.name}-keeper" for submission in found} if run is None else set()
        all_ids = ids + [task.job_id for task in live if task.name in keepers]
        if not all_ids:
            raise UserError(f"{which}: none of its jobs is in the queue", f"see: paw-bench status {sweep.path.name}")
        sweep.journal("cancelled", jobs=all_ids)
        slurm(["scancel", *all_ids])
    print(f"cancelled {len(ids)} job(s); paw-bench retry submits them again")


def logs(which: str, *, follow: bool, results: Path) -> None:
    """Print the log of the run's last attempt; with `follow`, what is added to it until the run ends."""
    sweep, run = find_run(which, results)
    printed: Path | None = None
    position = 0
    asked = -math.inf
    while True:
        # The log is read every second; Slurm is asked less often.
        if time.monotonic() - asked >= _ASK_S:
            status, asked = _status(sweep, run), time.monotonic()
        if status.log is not None and status.log.exists():
            if status.log != printed:
                printed, position = status.log, 0
                print(f"==> {os.path.relpath(printed)} <==")
            with printed.open(errors="replace") as file:
                file.seek(position)
                sys.stdout.write(file.read())
                position = file.tell()
            sys.stdout.flush()
        if not (follow and (status.active or status.state == "queued")):
            break
        time.sleep(_FOLLOW_S)
    if printed is None:
        print(f"{status.label}: {status.state}: {status.reason or 'it has no log yet'}")


def why(which: str, *, results: Path) -> None:
    """Print the whole history of a run."""
    sweep, run = find_run(which, results)
    print("\n".join(history_lines(sweep, run, _status(sweep, run))))


def find(which: str, results: Path) -> tuple[SweepDirectory, RunDirectory | None]:
    """The sweep and, unless `which` names a whole sweep, the run. Raises UserError where there is none, or several.

    A sweep's own name comes before the beginning of a run id. A run that other sweeps link is that of the sweep that
    ran it.
    """
    path = Path(which)
    if (path / "config.json").exists() and path.parent.name == "runs":
        return SweepDirectory(path.absolute().parents[1]), RunDirectory(path.absolute())
    if sweeps_named(which, results):
        return find_sweep(which, results), None
    named = [(sweep, run) for sweep in all_sweeps(results) for run in sweep.runs() if run.path.name.startswith(which)]
    # Folders come after links here, so that they are what is kept.
    named.sort(key=lambda pair: not pair[1].path.is_symlink())
    found = list({run.path.resolve(): (sweep, run) for sweep, run in named}.values())
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(run.path) for _, run in found)
        raise UserError(f"{which}: several runs have an id that begins so", f"name one of: {names}")
    return find_sweep(which, results, what="run or sweep"), None


def find_run(which: str, results: Path) -> tuple[SweepDirectory, RunDirectory]:
    """The run of that id, or beginning of one, or folder, and its sweep. Raises UserError where there is none."""
    sweep, run = find(which, results)
    if run is None:
        raise UserError(f"{which} is a whole sweep", "name a run: paw-bench status shows them")
    return sweep, run


def _status(sweep: SweepDirectory, run: RunDirectory) -> RunStatus:
    status = next((status for status in states_of(sweep) if status.run_id == run.path.name), None)
    if status is None:
        problem = f"{run.path}: is not planned any more by {sweep.path.name}"
        remedy = f"read {run.path}/journal.jsonl and {run.path}/attempts/*/log.txt, or plan the run again"
        raise UserError(problem, remedy)
    return status


def _pass(sweep: SweepDirectory, *, retry: Collection[str]) -> list[RunStatus]:
    cluster = require_cluster(sweep)
    with patient_lock(sweep):
        return make_pass(sweep, cluster, print, retry=retry)
