"""The one owner of submissions and retries on a cluster: a pass over the sweep that submits what has to be submitted.

A pass holds the sweep's lock, looks at every run's files and at the queue, and submits the runs that were never
submitted, were granted a retry, or ended by a cause that the profile's `retries` still allows. Slurm itself requeues
nothing. Passes are made by `paw-bench sweep --cluster`, `paw-bench retry`, and by the keeper: a small job in the queue
that waits for the end of an array. It makes no difference who makes a pass, or how often.
"""

from __future__ import annotations

import secrets
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from submitit.core.utils import FailedJobError, FailedSubmissionError

from paw_bench.config.profile import ClusterProfile
from paw_bench.config.schema import RunConfig
from paw_bench.errors import StoreError
from paw_bench.store.atomic import write_json
from paw_bench.store.documents import read_json
from paw_bench.store.lock import LockHeld
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.causes import retries_left
from paw_bench.sweep.cluster_check import sbatch_refusal
from paw_bench.sweep.cluster_status import ClusterRun, Snapshot, snapshot, submitted
from paw_bench.sweep.driver import check_space
from paw_bench.sweep.execution_changes import can_be_halved, halve_micro_batch
from paw_bench.sweep.queue import QueueError, Task, read_queue, slurm
from paw_bench.sweep.sbatch import Shape, SlurmLauncher, leave_job
from paw_bench.sweep.shared import unlink_unfinished
from paw_bench.sweep.siblings import cell, refusal_in
from paw_bench.sweep.status import RunStatus
from paw_bench.sweep.submissions import Submission, look_up, spent

_LOCK_WAIT_S = 120.0
_NO_FOLDER = "the result that it shared with another sweep is gone: paw-bench sweep --cluster runs it here"
_NODE_AT_FAULT = {"node_failure", "hung_environment"}
Note = Callable[[str], None]


class SubmissionRefused(QueueError):
    """sbatch would not take an array."""


@dataclass(frozen=True)
class Cluster:
    """What a pass needs to know beside the sweep's plan; kept in `cluster.json`."""

    profile: ClusterProfile
    command: Sequence[str]
    """Works on the run folder that is appended to it."""
    keep: Sequence[str]
    """Makes a pass over the sweep folder that is appended to it."""

    @classmethod
    def load(cls, sweep: SweepDirectory) -> Cluster | None:
        """What the sweep was last submitted with; None where it never was."""
        if not sweep.on_cluster:
            return None
        document = read_json(sweep.cluster_file)
        return cls(ClusterProfile.model_validate(document["profile"]), document["command"], document["keep"])

    def save(self, sweep: SweepDirectory) -> None:
        """Keep it for the passes to come."""
        document: dict[str, Any] = {
            "profile": self.profile.model_dump(exclude_unset=True),
            "command": list(self.command),
            "keep": list(self.keep),
        }
        write_json(sweep.cluster_file, document)

    def launcher(self, sweep: SweepDirectory) -> SlurmLauncher:
        """What submits the sweep's arrays."""
        return SlurmLauncher(self.profile, sweep.path / "submitit", self.command)


def make_pass(sweep: SweepDirectory, cluster: Cluster, note: Note, *, retry: Collection[str] = ()) -> list[RunStatus]:
    """Submit what has to be submitted; returns the state of every run after it. Call it under the sweep's lock.

    Runs whose id is in `retry` are submitted whatever ended them, and their retries are counted anew.

    Raises QueueError when Slurm does not answer (nothing is submitted then), SubmissionRefused when sbatch refuses.
    """
    leave_job()
    check_space(sweep.path)
    unlink_unfinished(sweep)
    found = snapshot(sweep)
    _settle(sweep, found.submissions)
    if _cancel_siblings(sweep, found, retry, note):
        found = snapshot(sweep)
    statuses = {run.status.run_id: run.status for run in found.runs}
    groups: dict[Shape, list[tuple[ClusterRun, dict[str, Any]]]] = defaultdict(list)
    for run in found.runs:
        cause = reason_to_submit(run, cluster, retry)
        if cause:
            directory = RunDirectory(run.status.path)
            if not (directory.path / "config.json").exists():
                statuses[run.status.run_id] = replace(run.status, state="failed", reason=_NO_FOLDER)
                continue
            avoid = _avoid(run, directory.config, sweep, cluster)
            if cause == "retry":
                with directory.lock():
                    directory.journal("retry")
            if cause == "out_of_memory":
                directory = halve_micro_batch(directory, submission=run.history[-1].submission)
            shape = Shape.of(cluster.profile, sweep.info["scale"], directory.config, avoid=avoid)
            groups[shape].append((run, {"run_id": run.status.run_id, "cause": cause, "avoid": avoid}))
    limit = _largest_array() if groups else 1
    for shape, members in groups.items():
        for first in range(0, len(members), limit):
            chunk = members[first : first + limit]
            _submit(sweep, cluster, shape, chunk)
            for run, _ in chunk:
                statuses[run.status.run_id] = replace(run.status, state="queued", reason="submitted")
    count = sum(map(len, groups.values()))
    if count:
        note(f"submitted {count} run{'s' * (count > 1)} in {len(groups)} array{'s' * (len(groups) > 1)}")
    arrays, queue = submitted(sweep) if count else (found.submissions, found.queue)
    _ensure_keepers(sweep, cluster, arrays, queue, note)
    return list(statuses.values())


@contextmanager
def patient_lock(sweep: SweepDirectory) -> Iterator[None]:
    """Hold the sweep as soon as nobody else does: passes are short. Raises StoreError where it takes too long."""
    deadline = time.monotonic() + _LOCK_WAIT_S
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(sweep.lock())
                break
            except LockHeld:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        yield


def _settle(sweep: SweepDirectory, found: list[Submission]) -> None:
    """Note what became of submissions whose driver was killed before it could."""
    answers = ("array_submitted", "array_refused")
    settled = {event["submission"] for event in sweep.events() if event["event"] in answers}
    for submission in found:
        if submission.name in settled:
            continue
        if submission.jobs:
            sweep.journal("array_submitted", submission=submission.name, jobs=submission.jobs, recovered=True)
        else:
            sweep.journal("array_refused", submission=submission.name, reason="it is not in the queue")


def reason_to_submit(run: ClusterRun, cluster: Cluster, retry: Collection[str]) -> str | None:
    """Why the run is submitted now: `first`, `retry`, or the cause of its last end; None when it is not."""
    if run.live or run.status.settled:
        return None
    if run.end is None:
        return "first"
    if run.status.run_id in retry:
        return "retry"
    cause = run.end.cause
    if not retries_left(cluster.profile.retries, cause, spent(run.history)[cause]):
        return None
    if cause == "out_of_memory":
        halves = can_be_halved(RunDirectory(run.status.path), submission=run.history[-1].submission)
        return cause if halves else None
    return cause


def _cancel_siblings(sweep: SweepDirectory, found: Snapshot, retry: Collection[str], note: Note) -> list[str]:
    """Take runs out of the queue whose configuration was refused with another seed; returns their jobs."""
    refusals: dict[tuple[str, str], str] = {}
    for run in found.runs:
        if run.end and run.end.cause == "config" and run.status.run_id not in retry:
            reason = refusal_in(RunDirectory(run.status.path))
            if reason:
                refusals[cell(run.status.arm, run.status.axes)] = reason
    jobs: list[str] = []
    for run in found.runs:
        refusal = refusals.get(cell(run.status.arm, run.status.axes))
        waits = run.status.state == "queued" and run.history and run.history[-1].cause == "first"
        job = run.history[-1].job if waits else None
        if refusal and job is not None and job in found.queue:
            directory = RunDirectory(run.status.path)
            with suppress(StoreError), directory.lock():  # held: it has just begun, and looks for itself
                directory.journal("attempt_refused", reason=refusal, job=job)
                jobs.append(job)
    if jobs:
        slurm(["scancel", *jobs])
        sweep.journal("cancelled", jobs=jobs, reason="their configuration was refused")
        note(f"cancelled {len(jobs)} job(s): their configuration was refused with another seed")
    return jobs


def _avoid(run: ClusterRun, config: RunConfig, sweep: SweepDirectory, cluster: Cluster) -> list[str]:
    """Nodes that failed under the run so far; none where Slurm would not take it without them."""
    before = run.history[-1].avoid if run.history else ()
    failed = (run.end.node,) if run.end and run.end.cause in _NODE_AT_FAULT and run.end.node else ()
    avoid = sorted({*before, *failed})
    if not avoid:
        return []
    # Slurm alone knows which nodes are left: of the run's own partition, with its GPUs, as many as it needs.
    shape = Shape.of(cluster.profile, sweep.info["scale"], config, avoid=avoid)
    return [] if sbatch_refusal(shape, cluster.launcher(sweep)) else avoid


def _submit(
    sweep: SweepDirectory, cluster: Cluster, shape: Shape, members: list[tuple[ClusterRun, dict[str, Any]]]
) -> None:
    name = f"{sweep.path.name}-{secrets.token_hex(4)}"
    runs = [entry for _, entry in members]
    sweep.journal("array_intent", submission=name, runs=runs)
    try:
        jobs: Sequence[str | None] = cluster.launcher(sweep).submit(
            shape, name, [run.status.path for run, _ in members]
        )
    except (FailedJobError, FailedSubmissionError, OSError, subprocess.SubprocessError) as error:
        # sbatch may have failed after Slurm took the array.
        submission = Submission(name, 0.0, runs)
        if not look_up(submission, read_queue()):
            sweep.journal("array_refused", submission=name, reason=str(error))
            problem = f"sbatch refused an array of {len(members)} run(s): {_last_line(str(error))}"
            remedy = "mend it, then give the same command again: it goes on from here"
            raise SubmissionRefused(problem, remedy) from error
        jobs = submission.jobs
    sweep.journal("array_submitted", submission=name, jobs=list(jobs))


def _ensure_keepers(
    sweep: SweepDirectory, cluster: Cluster, arrays: Sequence[Submission], queue: Mapping[str, Task], note: Note
) -> None:
    """Let a keeper wait for every array of which a task is still in the queue."""
    live = {task.name: task.job_id.partition("_")[0] for task in queue.values() if task.live}
    for submission in arrays:
        keeper = f"{submission.name}-keeper"
        if submission.name not in live or keeper in live:
            continue
        launcher = cluster.launcher(sweep)
        path = sweep.path / "submitit" / f"{keeper}.sh"
        config = RunDirectory(sweep.run_path(submission.runs[0]["run_id"])).config
        shape = Shape.of(cluster.profile, sweep.info["scale"], config)
        path.write_text(launcher.keeper_script(shape, keeper, [*cluster.keep, str(sweep.path)], live[submission.name]))
        try:
            job = slurm(["sbatch", "--parsable", str(path)]).strip()
        except QueueError as error:
            note(f"no keeper was submitted, so nothing is tried again unless you call again: {error.problem}")
            return
        sweep.journal("keeper_submitted", submission=submission.name, job=job)


def _largest_array() -> int:
    """Tasks that an array of this cluster may have."""
    for line in slurm(["scontrol", "show", "config"]).splitlines():
        if line.startswith("MaxArraySize"):
            return max(1, int(line.partition("=")[2]) - 1)
    return 1000


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "no reason given"


def require_cluster(sweep: SweepDirectory) -> Cluster:
    """What the sweep was submitted with. Raises StoreError where it runs on this machine alone."""
    cluster = Cluster.load(sweep)
    if cluster is None:
        problem = f"{sweep.path} was never submitted to a cluster"
        remedy = "on this machine Ctrl-C stops its driver, and `paw-bench sweep FILE --retry` tries ended runs again"
        raise StoreError(problem, f"{remedy}; with --cluster PROFILE it is submitted")
    return cluster
