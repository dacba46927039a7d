"""Faults on a real Slurm, each looked at over the whole sweep of eight runs: nothing lost, nothing twice, no orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import fault_kinds
import pytest
from devcluster import Devcluster
from fault_campaign import build_no_space
from fault_sweep import FaultSweep, end, reap
from invariants import violations
from sweeping import behave, wait_for

from paw_bench.store.run_directory import RunDirectory
from paw_bench.sweep import cluster_status
from paw_bench.sweep.history import history_lines

_LONG = 240.0
"""Seconds; a loaded machine takes its time."""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_no_space(tmp_path_factory.mktemp("no_space"))


@pytest.fixture
def sweep(slurm: Devcluster, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultSweep]:
    monkeypatch.setattr(cluster_status, "GRACE_S", 3.0)
    monkeypatch.setenv("TRIVIAL_GRACE", "3")
    yield FaultSweep(tmp_path / "sweep", on_cluster=True, no_space=library)
    slurm.slurm("scancel", f"--user={os.getuid()}")


def call(sweep: FaultSweep, *, retry: bool = False, **environment: str) -> int:
    return reap(sweep.spawn(retry=retry, **environment))


def hold(sweep: FaultSweep, **environment: str) -> None:
    """Bring every run to the middle, where it waits: three updates and a checkpoint after the second."""
    assert call(sweep, **behave(grpo="hold", paw="hold"), **environment) == 0, said(sweep)
    wait_for(lambda: all(len(run.metrics()) == 3 for run in sweep.sweep.runs()), seconds=_LONG)


def go(sweep: FaultSweep) -> None:
    for run in sweep.sweep.runs():
        (run.path / "go").touch()


def finish(sweep: FaultSweep, *, retry: bool = False) -> None:
    """One call has to be enough; then the whole sweep is looked at."""
    go(sweep)
    assert call(sweep, retry=retry) == 0, said(sweep)
    sweep.settle()
    assert sweep.is_done(), said(sweep)
    assert violations(sweep.sweep, sweep.ledger, on_cluster=True) == []


def said(sweep: FaultSweep) -> str:
    return (sweep.folder / "calls.log").read_text()


def states(sweep: FaultSweep) -> set[str]:
    found = sweep.look()
    return {run.status.state for run in found.runs} if found else set()


def why(sweep: FaultSweep, run: RunDirectory) -> str:
    found = sweep.look()
    assert found is not None
    status = next(each.status for each in found.runs if each.status.run_id == run.path.name)
    return "\n".join(history_lines(sweep.sweep, run, status))


def attempts(sweep: FaultSweep) -> list[int]:
    return [len(run.attempts()) for run in sweep.sweep.runs()]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_the_controller_restarts_while_runs_wait_and_work(
    slurm: Devcluster, sweep: FaultSweep, signum: signal.Signals
) -> None:
    hold(sweep)
    end(slurm.pids()["slurmctld"], signum)
    wait_for(lambda: not slurm.alive("slurmctld"))
    assert call(sweep) == 2, "a call without a controller"
    assert "failed" in said(sweep)
    go(sweep)
    time.sleep(1.0)
    slurm.call("start")
    finish(sweep)
    assert attempts(sweep) == 8 * [1]


def test_two_drivers_at_once_submit_once(sweep: FaultSweep) -> None:
    drivers = [sweep.spawn(), sweep.spawn(retry=True), sweep.spawn()]
    assert [reap(driver) for driver in drivers] == [0, 0, 0], said(sweep)
    submitted = [event for event in sweep.sweep.events() if event["event"] == "array_submitted"]
    assert sum(len(event["jobs"]) for event in submitted) == 8
    finish(sweep)
    assert attempts(sweep) == 8 * [1]


def test_sbatch_refuses_and_the_same_command_goes_on(sweep: FaultSweep) -> None:
    (sweep.orders / "refuse").write_text("2")
    assert [call(sweep), call(sweep)] == [2, 2]
    assert "sbatch refused an array of 8 run(s)" in said(sweep)
    assert "Resource temporarily unavailable" in said(sweep)
    finish(sweep)
    assert attempts(sweep) == 8 * [1]


def test_a_disk_that_is_full_for_a_while(sweep: FaultSweep) -> None:
    hold(sweep)
    sweep.full.touch()
    go(sweep)
    sweep.settle()
    assert states(sweep) & {"lost", "failed"}, "nobody noticed that the disk is full"
    assert call(sweep) == 2, "a call that cannot write its journal"
    assert "no space left on the disk" in said(sweep)
    sweep.full.unlink()
    finish(sweep)


def test_what_a_user_cancels_stays_away_and_files_that_were_damaged_meanwhile_are_mended(sweep: FaultSweep) -> None:
    hold(sweep)
    subprocess.run(["scancel", *sweep.jobs()], check=True)
    sweep.settle()
    assert states(sweep) == {"interrupted"}
    runs = sweep.sweep.runs()
    torn = [run.path / name for run, name in zip(runs[:4], fault_kinds.RECORDS, strict=True)]
    torn += [run.path / name for run, name in zip(runs[4:], reversed(fault_kinds.RECORDS), strict=True)]
    for number, path in enumerate([*torn, sweep.sweep.path / "journal.jsonl"]):
        data = path.read_bytes()
        cut = data.rindex(b"\n", 0, -1) + 5
        path.write_bytes(data[:cut] if number < 4 else data + b'{"event": "atte')
    checkpoint = runs[7].path / "checkpoints" / "update-000002" / "state"
    checkpoint.write_bytes(checkpoint.read_bytes()[:32])
    for path in (sweep.sweep.path, runs[6].path):
        (path / "lock").write_text("999999999\n")
        os.utime(path / "lock", (0, 0))
    assert call(sweep) == 0, said(sweep)
    assert states(sweep) == {"interrupted"}, "a cancelled run came back by itself"
    finish(sweep, retry=True)
    told = [why(sweep, run) for run in sweep.sweep.runs()]
    assert "its job was cancelled" in told[0] or "stopped by SIGTERM" in told[0]
    assert "the checkpoint of update 2 is not used: it is incomplete" in told[7]
    # What was recorded before the first update is gone: from the beginning.
    assert "the checkpoint of update 2 is not used: the run's records end at update 0" in told[1]
    assert "resumed from the checkpoint of update 2" in told[0]


def test_requeued_jobs_go_on_from_their_checkpoint(sweep: FaultSweep) -> None:
    hold(sweep)
    jobs = sweep.jobs("RUNNING")[:3]
    for job in jobs:
        for command in (["update", f"JobId={job}", "Requeue=1"], ["requeue", job]):
            subprocess.run(["scontrol", *command], check=True)
    # Not before they have stopped: one that may go on would end first.
    wait_for(lambda: len(sweep.idle_runs()) == len(jobs), seconds=_LONG)
    go(sweep)
    for job in jobs:
        subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=False)
    sweep.settle()
    finish(sweep)
    assert sorted(attempts(sweep)) == [1, 1, 1, 1, 1, 2, 2, 2]
    assert sum(event["event"] == "array_submitted" for event in sweep.sweep.events()) == 1


@pytest.mark.skipif(fault_kinds.FAKETIME is None, reason="libfaketime is not installed: apt-get install faketime")
def test_the_clock_is_set_back_between_two_calls(sweep: FaultSweep) -> None:
    hold(sweep)
    subprocess.run(["scancel", *sweep.jobs()], check=True)
    sweep.settle()
    go(sweep)
    assert call(sweep, retry=True, **fault_kinds.clock(sweep, 7200)) == 0, said(sweep)
    for _ in range(3):  # nobody submits again what waits by the older clock
        assert call(sweep) == 0, said(sweep)
    finish(sweep)
    assert attempts(sweep) == 8 * [2]
    times = [[event["time"] for event in run.events()] for run in sweep.sweep.runs()]
    assert any(after < before for run in times for before, after in pairwise(run)), "no clock went back"


def test_a_bad_config_stops_its_other_seeds_at_once(sweep: FaultSweep) -> None:
    assert call(sweep, **behave(grpo="refuse")) == 0, said(sweep)
    sweep.settle()
    assert call(sweep) == 0
    found = sweep.look()
    assert found is not None
    grpo = [run.status for run in found.runs if run.status.arm == "grpo"]
    assert {status.state for status in grpo} == {"failed"}
    assert all("world_model.loss: there is no such loss" in status.reason for status in grpo)
    assert {run.status.state for run in found.runs if run.status.arm == "paw"} == {"done"}
    finish(sweep, retry=True)


def test_runs_that_wait_are_taken_out_of_the_queue_for_a_bad_config_or_by_a_user(sweep: FaultSweep) -> None:
    sweep.profile.write_text(sweep.profile.read_text() + "max_parallel: 1\n")
    # paw holds the only place as soon as it is its turn, so that seeds of grpo still wait.
    assert call(sweep, **behave(grpo="refuse", paw="hold")) == 0, said(sweep)
    wait_for(lambda: any(len(run.metrics()) == 3 for run in sweep.sweep.runs()), seconds=_LONG)
    assert call(sweep) == 0
    assert "their configuration was refused with another seed" in said(sweep)
    found = sweep.look()
    assert found is not None
    grpo = [run for run in found.runs if run.status.arm == "grpo"]
    assert [(run.status.state, run.end.cause if run.end else "") for run in grpo] == 4 * [("failed", "config")]
    assert sum(len(RunDirectory(run.status.path).attempts()) for run in grpo) == 1
    told = [why(sweep, RunDirectory(run.status.path)) for run in grpo]
    assert sum("cancelled: their configuration was refused" in text for text in told) >= 1
    waits = next(run.status for run in found.runs if run.status.arm == "paw" and run.status.state == "queued")
    line = [sys.executable, Path(__file__).with_name("trivial_sweep.py"), "cancel", waits.run_id]
    subprocess.run([*line, "--results", sweep.results], check=True)
    assert call(sweep) == 0
    found = sweep.look()
    assert found is not None
    assert [run.status.state for run in found.runs if run.status.run_id == waits.run_id] == ["interrupted"]
    go(sweep)
    sweep.settle()
    finish(sweep, retry=True)
