"""Large sweeps on a real Slurm: submission does not wait for one disk write after the other; whole arrays end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from devcluster import Devcluster
from test_slurm_sweep import OnCluster, deadly_sbatch

from paw_bench.cli_cluster import sweep
from paw_bench.sweep.cluster_status import snapshot

SEEDS = 40


@pytest.fixture
def crowded(slurm: Devcluster, tmp_path: Path) -> Iterator[OnCluster]:
    """80 runs that wait: other jobs have all nodes."""
    slurm.slurm("sbatch", "--nodes=3", "--exclusive", "--output=/dev/null", "--wrap", "sleep 600")
    sweeping = OnCluster(tmp_path)
    sweeping.file.write_text(sweeping.file.read_text().replace("seeds: [0]", f"seeds: {list(range(SEEDS))}"))
    yield sweeping
    slurm.slurm("scancel", f"--user={os.getuid()}")


def test_the_folders_of_a_sweep_wait_for_their_disk_together(
    crowded: OnCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, most, guard = 0, 0, threading.Lock()
    synced = os.fsync

    def slow(descriptor: int) -> None:
        nonlocal waiting, most
        with guard:
            waiting += 1
            most = max(most, waiting)
        time.sleep(0.1)
        synced(descriptor)
        with guard:
            waiting -= 1

    monkeypatch.setattr(os, "fsync", slow)
    options = {"scale": None, "dry_run": False, "as_json": False, "retry": False, "wait": False}
    code = sweep(crowded.file, crowded.profile, overrides=(), results=crowded.results, **options)  # type: ignore[arg-type]
    assert code == 0
    assert most >= 8
    assert crowded.journal()["array_submitted"] == 1
    assert len(crowded.sweep.runs()) == 2 * SEEDS


def test_a_cancelled_array_that_never_started_stays_cancelled(crowded: OnCluster) -> None:
    assert crowded.submit().returncode == 0
    assert f"cancelled {2 * SEEDS} job(s)" in crowded.command("cancel", "tiny").stdout
    assert set(crowded.states().values()) == {"interrupted"}
    again = crowded.submit()
    assert again.returncode == 0, again.stderr
    assert crowded.journal()["array_submitted"] == 1
    assert "interrupted" in crowded.command("status", "tiny").stdout


def test_an_array_that_was_cancelled_before_its_killed_driver_was_back_stays_cancelled(
    slurm: Devcluster, crowded: OnCluster, tmp_path: Path
) -> None:
    assert crowded.submit(PATH=deadly_sbatch(tmp_path, "after")).returncode == -signal.SIGKILL
    (intent,) = [event["submission"] for event in crowded.sweep.events() if event["event"] == "array_intent"]
    slurm.slurm("scancel", f"--name={intent}")
    again = crowded.submit()
    assert again.returncode == 0, again.stderr
    assert "submitted" not in again.stdout
    (found,) = [event for event in crowded.sweep.events() if event["event"] == "array_submitted"]
    array = found["jobs"][0].partition("_")[0]
    assert found["jobs"] == [f"{array}_{index}" for index in range(2 * SEEDS)]
    assert {run.status.state for run in snapshot(crowded.sweep).runs} == {"interrupted"}
