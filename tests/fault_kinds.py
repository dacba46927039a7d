"""The faults of the campaign. Each does one thing to a sweep and says what it did, or None where it had no target."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from devcluster import Devcluster
from fault_sweep import FaultSweep, end, reap

from paw_bench.store.run_directory import RunDirectory

Fault = Callable[[FaultSweep, random.Random], str | None]
RECORDS = ("metrics.jsonl", "episodes.jsonl", "fixed_transitions.jsonl", "journal.jsonl")
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


# -- what an attempt does to itself: lines of its list of faults -------------------------------------------------------


def arm(sweep: FaultSweep, rng: random.Random, *, most: int) -> dict[str, list[str]]:
    """Give some of the runs up to `most` attempts that go wrong; returns run id -> the lines."""
    armed = {}
    done = {run.path.name for run in sweep.sweep.runs()} if sweep.sweep.exists() else set()
    done -= {run.path.name for run in sweep.open_runs()}
    for run_id in sweep.run_ids():
        if run_id not in done and rng.random() < 0.75:
            armed[run_id] = [_own_fault(rng) for _ in range(rng.randint(1, most))]
            (sweep.faults / run_id).write_text("".join(f"{line}\n" for line in armed[run_id]))
    return armed


def _own_fault(rng: random.Random) -> str:
    kind = rng.choices(["crash", "kill", "memory", "hung", "fail", "refuse"], [10, 3, 3, 3, 1, 0.3])[0]
    return f"{kind} {rng.randint(1, 150)}" if kind == "crash" else f"{kind} {rng.randint(1, 8)}"


def used_up(sweep: FaultSweep, armed: dict[str, list[str]]) -> list[tuple[str, str]]:
    """(kind, detail) of the armed faults that attempts used up; the others are withdrawn."""
    used = []
    for run_id, lines in armed.items():
        path = sweep.faults / run_id
        left = len(path.read_text().splitlines()) if path.exists() else 0
        path.unlink(missing_ok=True)
        used += [(_NAMES[line.split()[0]], f"{run_id}: {line}") for line in lines[: len(lines) - left]]
    return used


_NAMES = {
    "crash": "run killed in a system call",
    "kill": "run killed between updates",
    "memory": "out of memory",
    "hung": "hung environment",
    "fail": "any error",
    "refuse": "bad config",
}


# -- calls of the driver -----------------------------------------------------------------------------------------------


def plain(sweep: FaultSweep, rng: random.Random) -> str | None:
    """Nothing happens to this call."""
    sweep.drivers.append(sweep.fork(retry=rng.random() < 0.7))
    return None


def driver_killed(sweep: FaultSweep, rng: random.Random) -> str:
    """SIGKILL at any moment."""
    child, seconds = sweep.fork(retry=rng.random() < 0.5), rng.uniform(0.05, 2.5)
    time.sleep(seconds)
    end(child)
    reap(child)
    return f"after {seconds:.2f} s"


def two_drivers(sweep: FaultSweep, rng: random.Random) -> str:
    """A second call while the first is at work."""
    sweep.drivers += [sweep.fork(), sweep.fork(retry=rng.random() < 0.5)]
    return "at once"


def clock_back(sweep: FaultSweep, rng: random.Random) -> str | None:
    """A call, and all that it starts, on a machine whose clock was set back."""
    if FAKETIME is None:
        return None
    seconds = rng.choice([30, 300, 7200, 200_000])
    sweep.drivers.append(sweep.spawn(**clock(sweep, seconds)))
    return f"by {seconds} s"


def clock(sweep: FaultSweep, seconds: int) -> dict[str, str]:
    """The environment of a machine whose clock was set back."""
    libraries = f"{FAKETIME}:{sweep.environment['LD_PRELOAD']}"
    return {"LD_PRELOAD": libraries, "FAKETIME": f"-{seconds}"}


def no_space(sweep: FaultSweep, rng: random.Random) -> str:
    """The disk is full for a while, for the driver and its runs."""
    sweep.drivers.append(sweep.spawn())
    wait, seconds = rng.uniform(0.5, 2.5), rng.uniform(0.2, 2.0)
    time.sleep(wait)
    sweep.full.touch()
    time.sleep(seconds)
    sweep.full.unlink()
    return f"for {seconds:.2f} s after {wait:.2f} s"


def killed_before_sbatch(sweep: FaultSweep, rng: random.Random) -> str | None:
    """SIGKILL between the intent and sbatch."""
    return _ordered(sweep, "kill_before")


def killed_after_sbatch(sweep: FaultSweep, rng: random.Random) -> str | None:
    """SIGKILL between sbatch and the note of it."""
    return _ordered(sweep, "kill_after")


def _ordered(sweep: FaultSweep, order: str) -> str | None:
    (sweep.orders / order).touch()
    code = reap(sweep.fork(retry=True))
    (sweep.orders / order).unlink(missing_ok=True)
    return "in its first submission" if code == -signal.SIGKILL else None


def sbatch_refuses(sweep: FaultSweep, rng: random.Random) -> str | None:
    """sbatch fails once or twice; the command is given again."""
    times = rng.randint(1, 2)
    (sweep.orders / "refuse").write_text(str(times))
    codes = [reap(sweep.fork(retry=True)) for _ in range(times)]
    (sweep.orders / "refuse").unlink()
    return f"{codes.count(2)} times" if 2 in codes else None


# -- while runs are at work --------------------------------------------------------------------------------------------


def terminated(sweep: FaultSweep, rng: random.Random) -> str | None:
    """SIGTERM to a run's process."""
    at_work = [run for run in sweep.open_runs() if run.is_locked()]
    started = [event for run in at_work[:1] for event in run.events() if event["event"] == "attempt_started"]
    if not started:
        return None
    end(started[-1]["pid"], signal.SIGTERM)
    return f"process {started[-1]['pid']}"


def scancel(sweep: FaultSweep, rng: random.Random) -> str | None:
    """A user cancels a job, waiting or running."""
    return _on_a_job(sweep, rng, "scancel", "")


def time_limit(sweep: FaultSweep, rng: random.Random) -> str | None:
    """The warning before the time limit."""
    return _on_a_job(sweep, rng, "scancel --signal=USR2", "RUNNING")


def requeue(sweep: FaultSweep, rng: random.Random) -> str | None:
    """An operator requeues a running job, which takes leave to do so."""
    jobs = sweep.jobs("RUNNING")
    if not jobs:
        return None
    job = rng.choice(jobs)
    commands = (["update", f"JobId={job}", "Requeue=1"], ["requeue", job], ["update", f"JobId={job}", "StartTime=now"])
    codes = [_slurm("scontrol", *command) for command in commands]
    return f"job {job}" if codes[1] == 0 else None


def preempted(sweep: FaultSweep, rng: random.Random) -> str | None:
    """Jobs of a higher partition take all nodes for a moment."""
    if not sweep.jobs("RUNNING"):
        return None
    job = ["sbatch", "-p", "gpuhi", "-N3", "--ntasks-per-node=1", "--cpus-per-task=8", "--output=/dev/null"]
    return None if _slurm(*job, "--wrap", "sleep 1") else "all nodes"


def _on_a_job(sweep: FaultSweep, rng: random.Random, command: str, state: str) -> str | None:
    jobs = sweep.jobs(state)
    if not jobs:
        return None
    job = rng.choice(jobs)
    return None if _slurm(*command.split(), job) else f"job {job}"


def _slurm(*command: str) -> int:
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


def controller_restarted(cluster: Devcluster) -> Fault:
    """slurmctld ends, killed or not, and comes back."""

    def fault(sweep: FaultSweep, rng: random.Random) -> str:
        signum = rng.choice([signal.SIGTERM, signal.SIGKILL])
        pid = cluster.pids().get("slurmctld")
        if pid:
            end(pid, signum)
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.05)
        time.sleep(rng.uniform(0, 2))
        cluster.call("start")
        return f"by {signum.name}"

    return fault


def node_failed(cluster: Devcluster) -> Fault:
    """Everything on a node is killed; the node comes back after a while."""

    def fault(sweep: FaultSweep, rng: random.Random) -> str:
        node = rng.choice(["n1", "n2", "n3"])
        cluster.power_off(node)
        time.sleep(rng.uniform(0, 3))
        cluster.call("start")
        return node

    return fault


# -- while nothing is at work ------------------------------------------------------------------------------------------


def torn_line(sweep: FaultSweep, rng: random.Random) -> str | None:
    """The last line of a record file is cut: half of a new one, or half of one that was on the disk."""
    paths = [run.path / name for run in sweep.idle_runs() for name in RECORDS]
    # As often as the journal of a run.
    paths += max(1, len(paths) // 8) * [sweep.sweep.path / "journal.jsonl"]
    paths = [path for path in paths if path.exists() and path.read_bytes().count(b"\n") > 1]
    if not paths:
        return None
    path = rng.choice(paths)
    data = path.read_bytes()
    if rng.random() < 0.5:
        path.write_bytes(data + b'{"event":"attempt_st')
        return f"{path.relative_to(sweep.sweep.path)}: a new one"
    last = data.rindex(b"\n", 0, -1) + 1
    path.write_bytes(data[: rng.randint(last, len(data) - 1)])
    return f"{path.relative_to(sweep.sweep.path)}: the last one"


def checkpoint_cut(sweep: FaultSweep, rng: random.Random) -> str | None:
    """A file of the newest checkpoint of a run is cut in half."""
    found = [path for run in sweep.idle_runs() for path in _newest(run)]
    if not found:
        return None
    path = rng.choice(found)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return str(path.relative_to(sweep.sweep.path))


def _newest(run: RunDirectory) -> list[Path]:
    folders = sorted((run.path / "checkpoints").glob("update-*"))
    return [path for path in folders[-1].iterdir() if path.stat().st_size > 1] if folders else []


def stale_lock(sweep: FaultSweep, rng: random.Random) -> str | None:
    """A lock file of long ago that names a process which there never was."""
    folders = [run.path for run in sweep.idle_runs()] + ([sweep.sweep.path] if sweep.sweep.exists() else [])
    if not folders:
        return None
    path = rng.choice(folders) / "lock"
    path.write_text("999999999\n")
    os.utime(path, (0, 0))
    return str(path.relative_to(sweep.sweep.path))
