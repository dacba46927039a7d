"""`paw-bench doctor` on a cluster: a job that checks its node, and agrees with this machine on time, files and locks.

The job and this machine talk through files in one folder below the results: the job writes `hello`, this machine
`time`, the job `answer`. The order of these is known, so clocks that contradict it are out of step, however long files
take to be seen on the other side.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from paw_bench.errors import StoreError
from paw_bench.store.atomic import write_json, writing
from paw_bench.store.documents import read_json
from paw_bench.store.lock import FLOCK_REMEDY, is_locked, locked
from paw_bench.sweep.doctor_checks import Check, Wanted, check_place
from paw_bench.sweep.queue import QueueError, read_queue, slurm
from paw_bench.sweep.sbatch import Shape, SlurmLauncher

_TIME = "00:15:00"
_PATIENCE_S = 900.0
"""For a node to become free."""
_TALK_S = 120.0
"""For a file to be seen on the other side."""
_POLL_S = 0.2
_ASK_S = 3.0
MOST_SKEW_S = 10.0
"""Journals of login and compute nodes are compared by time."""


def ask_node(wanted: Wanted, shape: Shape, launcher: SlurmLauncher, command: Sequence[str]) -> list[Check]:
    """Submit `command` (its folder is appended to it) as one job of this shape; what it found, or why there is nothing.

    The job is cancelled when this process stops waiting for it. Raises QueueError when Slurm does not answer.
    """
    folder = Path(wanted.results) / f".doctor-{os.getpid()}-{time.time_ns()}"
    with writing(folder):
        folder.mkdir(parents=True)
    try:
        write_json(folder / "wanted.json", asdict(wanted))
        script = folder / "job.sh"
        script.write_text(_script(shape, launcher, [*command, str(folder)], folder))
        try:
            job = slurm(["sbatch", "--parsable", str(script)]).strip()
        except QueueError as error:
            return [Check("job", "failed", error.problem, "see what there is: sinfo -o '%P %l %c %m %G %f'")]
        try:
            with locked(folder / "lock", "the doctor's own lock is held", ""):
                return _talk(folder, job)
        finally:
            slurm(["scancel", "--quiet", job])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answer(folder: Path) -> None:
    """The job's side: check this node and write what was found into `folder`."""
    wanted = Wanted(
        **{key: value for key, value in read_json(folder / "wanted.json").items() if key != "schema_version"}
    )
    write_json(
        folder / "hello.json", {"time": time.time(), "node": os.environ.get("SLURMD_NODENAME", socket.gethostname())}
    )
    _wait_for(folder / "time.json", _TALK_S)
    heard = time.time()
    checks = [_lock_seen(folder), *check_place(wanted, compute=True)]
    write_json(folder / "answer.json", {"heard": heard, "checks": [asdict(check) for check in checks]})


def _talk(folder: Path, job: str) -> list[Check]:
    """Wait for the job's hello and its answer."""
    problem = _wait_for_job(folder / "hello.json", job, _PATIENCE_S)
    if problem is not None:
        return [_job_failed(job, problem, folder)]
    hello = read_json(folder / "hello.json")
    now = time.time()
    write_json(folder / "time.json", {"time": now})
    problem = _wait_for_job(folder / "answer.json", job, _PATIENCE_S)
    if problem is not None:
        return [_job_failed(job, problem, folder)]
    found = read_json(folder / "answer.json")
    node = Check("job", "ok", f"job {job} ran on {hello['node']}")
    return [node, check_clocks(hello["time"], now, found["heard"]), *(Check(**check) for check in found["checks"])]


def check_clocks(before: float, here: float, after: float) -> Check:
    """`before` and `after` are the node's clock before and after `here`, this machine's: they must enclose it."""
    ahead, behind = before - here, here - after
    skew = max(ahead, behind, 0.0)
    if skew <= MOST_SKEW_S:
        return Check("clocks", "ok", f"login and compute node agree to {max(1.0, after - before):.0f} s")
    word = "ahead of" if ahead > behind else "behind"
    found = f"the node's clock is {skew:.0f} s {word} this machine's"
    return Check("clocks", "failed", found, "have the administrators synchronise the clocks (chrony)")


def _lock_seen(folder: Path) -> Check:
    try:
        if is_locked(folder / "lock"):
            return Check("locks between nodes", "ok", "a lock of the login node is seen here")
    except StoreError as error:
        return Check("locks between nodes", "failed", error.problem, error.remedy)
    return Check("locks between nodes", "failed", "a lock of the login node is not seen here", FLOCK_REMEDY)


def _wait_for_job(path: Path, job: str, seconds: float) -> str | None:
    """Wait until the job has written `path`; why it did not."""
    deadline, ask, gone_since = time.monotonic() + seconds, 0.0, None
    while not _there(path):
        now = time.monotonic()
        if now >= ask:
            ask = now + _ASK_S
            task = read_queue([job]).get(job)
            gone = task is None or not task.live
            gone_since = (gone_since or now) if gone else None
            # The last files of a job may be seen late.
            if gone_since is not None and now - gone_since > 2 * _ASK_S:
                return f"it ended without an answer ({task.state.lower() if task else 'Slurm has forgotten it'})"
            if now > deadline:
                return f"no node was free within {seconds / 60:.0f} min ({task.reason if task else 'no reason given'})"
        time.sleep(_POLL_S)
    return None


def _there(path: Path) -> bool:
    # Listing the folder makes a network filesystem look again.
    return path.name in os.listdir(path.parent)


def _wait_for(path: Path, seconds: float) -> None:
    """Wait until the other side has written `path`, or long enough."""
    deadline = time.monotonic() + seconds
    while not _there(path) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _job_failed(job: str, problem: str, folder: Path) -> Check:
    log = folder / "log.txt"
    said = log.read_text(errors="replace").strip().splitlines()[-5:] if log.exists() else []
    remedy = "mend the profile's `setup`, `environment` or `container`" if said else "see: sinfo, squeue --start"
    return Check("job", "failed", "\n".join([f"job {job}: {problem}", *said]), remedy)


def _script(shape: Shape, launcher: SlurmLauncher, command: Sequence[str], folder: Path) -> str:
    """The flags that arrays of this shape have, with a log and a time of its own."""
    text = launcher.script(replace(shape, time=_TIME), "paw-bench-doctor", 1)
    flags = [line for line in text.splitlines() if line.startswith("#SBATCH") and "--output" not in line]
    lines = ["#!/bin/bash", *flags, f"#SBATCH --output={folder}/log.txt", "", launcher.in_job(command), ""]
    return "\n".join(lines)


def report_json(places: dict[str, list[Check]]) -> str:
    """Place -> its checks, as JSON."""
    document = {place: [asdict(check) for check in checks] for place, checks in places.items()}
    return json.dumps({"ok": not any_failed(places), "places": document}, indent=2)


def any_failed(places: dict[str, list[Check]]) -> bool:
    """Whether a check failed in any place."""
    return any(check.state == "failed" for checks in places.values() for check in checks)
