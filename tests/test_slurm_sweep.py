"""`paw-bench sweep --cluster` on a real Slurm: submission, states, commands, retries by cause."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from devcluster import Devcluster
from sweeping import Sweeping, behave, wait_for

from paw_bench.sweep.cluster_status import ClusterRun, snapshot

PROFILE = """schema_version: 1
partition: {partition}
gpu_type: fake
cpus: 1
memory_gb: 1
time: "{time}"
"""
_GPU = ("--set", "execution.device=cuda", "--set", "execution.gpus=1")
_LONG = 240.0
"""Seconds; a loaded machine takes its time."""


class OnCluster(Sweeping):
    """The tiny sweep with a profile of the devcluster."""

    def __init__(self, folder: Path, *, partition: str = "gpu", time: str = "00:20:00", more: str = "") -> None:
        super().__init__(folder)
        self.profile = folder / "cluster.yaml"
        self.profile.write_text(PROFILE.format(partition=partition, time=time) + more)

    def submit(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`paw-bench sweep --cluster`."""
        return self.call("--cluster", str(self.profile), *_GPU, *options, **environment)

    def command(self, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Another command of paw-bench."""
        script = str(Path(__file__).with_name("trivial_sweep.py"))
        line = [sys.executable, script, *arguments, "--results", str(self.results)]
        return subprocess.run(line, capture_output=True, text=True, timeout=seconds, check=False)

    def now(self) -> dict[str, ClusterRun]:
        """Arm -> its run."""
        return {run.status.arm: run for run in snapshot(self.sweep).runs}

    def states(self) -> dict[str, str]:
        """Arm -> state."""
        return {arm: run.status.state for arm, run in self.now().items()}

    def wait_until(self, **states: str) -> None:
        """Return as soon as these arms are in these states."""
        wait_for(lambda: states.items() <= self.states().items(), seconds=_LONG)

    def causes(self) -> dict[str, list[str]]:
        """Arm -> why it was submitted, oldest first."""
        return {arm: [start.cause for start in run.history] for arm, run in self.now().items()}

    def id(self, arm: str) -> str:
        """The arm's run id."""
        return self.runs()[arm].info.run_id

    def journal(self) -> Counter[str]:
        """Event -> how often the drivers noted it."""
        return Counter(event["event"] for event in self.sweep.events())


@pytest.fixture
def sweeping(slurm: Devcluster, tmp_path: Path) -> Iterator[OnCluster]:
    yield OnCluster(tmp_path)
    slurm.slurm("scancel", f"--user={os.getuid()}")  # no test finds jobs of another


def held(sweeping: OnCluster) -> bool:
    """Whether grpo has come to where `hold` stops it."""
    return len(sweeping.runs()["grpo"].metrics()) == 3


def published_once(sweeping: OnCluster) -> bool:
    """Whether every run has one valid result, published once."""
    runs = sweeping.runs().values()
    # A run is done when its result stands, a moment before its journal says so.
    wait_for(lambda: all(any(event["event"] == "published" for event in run.events()) for run in runs))
    once = [sum(event["event"] == "published" for event in run.events()) == 1 for run in runs]
    return len(once) == 2 and all(once) and all(run.result() is not None for run in runs)


def test_one_array_submitted_once_shown_cancelled_and_retried(sweeping: OnCluster) -> None:
    called = sweeping.submit(**behave(grpo="hold"))
    assert called.returncode == 0, called.stderr
    assert "submitted 2 runs in 1 array" in called.stdout
    sweeping.wait_until(paw="done")
    wait_for(lambda: held(sweeping), seconds=_LONG)
    grpo = sweeping.now()["grpo"].status
    assert (grpo.state, grpo.update) == ("running", 3)
    assert grpo.node in {"n1", "n2", "n3"}
    again = sweeping.submit()
    assert again.returncode == 0, again.stderr
    assert "submitted" not in again.stdout
    assert sweeping.journal()["array_submitted"] == 1
    assert "update 3" in sweeping.command("logs", sweeping.id("grpo")).stdout
    shown = sweeping.command("status", "tiny", "--json")
    assert {run["arm"]: run["state"] for run in json.loads(shown.stdout)["runs"]} == {"grpo": "running", "paw": "done"}
    assert "cancelled 1 job(s)" in sweeping.command("cancel", sweeping.id("grpo")).stdout
    sweeping.wait_until(grpo="interrupted")
    assert sweeping.submit().returncode == 0
    assert sweeping.states()["grpo"] == "interrupted", "a cancelled run came back by itself"
    assert "submitted 1 run in 1 array" in sweeping.command("retry", "tiny", "--failed").stdout
    sweeping.wait_until(grpo="done")
    assert published_once(sweeping)
    told = sweeping.command("why", sweeping.id("grpo")).stdout
    for line in (
        "cancelled with paw-bench cancel",
        "because: retry",
        "ended: interrupted: stopped by SIGTERM",
        "published",
    ):
        assert line in told


def test_the_keeper_tries_again_by_cause_and_halves_the_micro_batch_once(sweeping: OnCluster) -> None:
    assert sweeping.submit(**behave(grpo="memory", paw="kill")).returncode == 0
    before = sweeping.runs()["grpo"].config.execution.micro_batch_rows
    sweeping.wait_until(grpo="done", paw="done")
    assert sweeping.causes() == {"grpo": ["first", "out_of_memory"], "paw": ["first", "lost"]}
    assert published_once(sweeping)
    (change,) = [event for event in sweeping.runs()["grpo"].events() if event["event"] == "execution_changed"]
    assert (change["before"], change["after"]) == (before, before // 2)
    rows = [attempt.provenance()["execution"]["micro_batch_rows"] for attempt in sweeping.runs()["grpo"].attempts()]
    assert rows == [before, before // 2]


def test_a_failure_of_its_own_making_is_not_tried_again_and_wait_says_so(sweeping: OnCluster) -> None:
    called = sweeping.submit("--wait", **behave(grpo="fail"))
    assert called.returncode == 1, called.stderr
    assert "grpo seed 0: failed: ValueError: something is wrong" in called.stdout
    assert "the same command with --retry submits again" in called.stdout
    assert sweeping.states() == {"grpo": "failed", "paw": "done"}
    assert sweeping.causes()["grpo"] == ["first"]


def deadly_sbatch(folder: Path, when: str) -> str:
    """A search path whose sbatch kills who submits an array, before or after Slurm took it."""
    shim = folder / "bin" / "sbatch"
    shim.parent.mkdir()
    real = subprocess.run(["which", "sbatch"], capture_output=True, text=True, check=True).stdout.strip()
    call = f'{real} "$@" >/dev/null; ' if when == "after" else ""
    # Only the array: `--test-only` has another first argument.
    shim.write_text(f'#!/bin/bash\n[ "$1" = --test-only ] && exec {real} "$@"\n{call}kill -9 $PPID\n')
    shim.chmod(0o755)
    return f"{shim.parent}:{os.environ['PATH']}"


@pytest.mark.parametrize("when", ["before", "after"])
def test_sigkill_of_the_driver_around_sbatch_loses_and_repeats_nothing(
    sweeping: OnCluster, tmp_path: Path, when: str
) -> None:
    killed = sweeping.submit(PATH=deadly_sbatch(tmp_path, when))
    assert killed.returncode == -signal.SIGKILL
    assert sweeping.journal()["array_intent"] == 1
    assert sweeping.journal()["array_submitted"] == 0
    called = sweeping.submit("--wait")
    assert called.returncode == 0, called.stdout + called.stderr
    assert published_once(sweeping)
    assert sweeping.attempts() == {"grpo": 1, "paw": 1}
    recovered = [event for event in sweeping.sweep.events() if event.get("recovered")]
    assert len(recovered) == (1 if when == "after" else 0)


def test_preempted_runs_come_back_and_go_on_from_their_checkpoint(sweeping: OnCluster) -> None:
    assert sweeping.submit(**behave(grpo="hold", paw="hold")).returncode == 0
    wait_for(lambda: all(len(run.metrics()) == 3 for run in sweeping.runs().values()), seconds=_LONG)
    taken = ["sbatch", "-p", "gpuhi", "-N3", "--gres=gpu:fake:2", "--output=/dev/null", "--wrap", "sleep 15"]
    subprocess.run(taken, check=True, capture_output=True)
    wait_for(lambda: all("preempted" in causes for causes in sweeping.causes().values()), seconds=_LONG)
    for run in sweeping.runs().values():
        (run.path / "go").touch()
    sweeping.wait_until(grpo="done", paw="done")
    assert sweeping.causes() == {"grpo": ["first", "preempted"], "paw": ["first", "preempted"]}
    assert published_once(sweeping)


def test_a_run_whose_node_fails_goes_on_elsewhere(slurm: Devcluster, sweeping: OnCluster) -> None:
    assert sweeping.submit(**behave(grpo="hold")).returncode == 0
    sweeping.wait_until(paw="done")
    wait_for(lambda: held(sweeping), seconds=_LONG)
    status = sweeping.now()["grpo"].status
    slurm.power_off(status.node)
    (sweeping.runs()["grpo"].path / "go").touch()
    try:
        sweeping.wait_until(grpo="done")
    finally:
        slurm.call("start")
    assert sweeping.causes()["grpo"] == ["first", "node_failure"]
    assert sweeping.now()["grpo"].history[-1].avoid == (status.node,)
    assert published_once(sweeping)


def test_a_run_is_warned_before_its_time_limit_and_goes_on_after_it(slurm: Devcluster, tmp_path: Path) -> None:
    sweeping = OnCluster(tmp_path, time="00:01:00")
    assert sweeping.submit(**behave(grpo="hold")).returncode == 0
    wait_for(lambda: "time_limit" in sweeping.causes()["grpo"], seconds=_LONG)
    (sweeping.runs()["grpo"].path / "go").touch()
    sweeping.wait_until(grpo="done", paw="done")

    def ends() -> list[str]:
        return [event["reason"] for event in sweeping.runs()["grpo"].events() if event["event"] == "attempt_ended"]

    # A run is done when its result stands, a moment before its attempt says that it ended.
    wait_for(lambda: ends() == ["stopped by SIGUSR2", ""], seconds=_LONG)
    assert published_once(sweeping)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (
            "partition",
            "gpuu",
            "cluster.yaml:2: partition: the cluster has no such partition for you: did you mean 'gpu'",
        ),
        ("gpu_type", "h100", "cluster.yaml:3: gpu_type: sbatch: allocation failure: Requested node configuration"),
        ("memory_gb", "999", "cluster.yaml:3: memory_gb: sbatch: allocation failure: Requested node configuration"),
        ("constraint", "nvlink", "constraint: sbatch: allocation failure: Invalid feature specification"),
        ("exclude", "[zz]", "exclude: sbatch: allocation failure: Invalid node name specified"),
    ],
)
def test_what_the_cluster_does_not_have_is_refused_before_anything_is_submitted(
    sweeping: OnCluster, key: str, value: str, expected: str
) -> None:
    lines = [line for line in sweeping.profile.read_text().splitlines() if not line.startswith(f"{key}:")]
    lines.insert(1 if key == "partition" else 2, f"{key}: {value}")
    sweeping.profile.write_text("\n".join(lines) + "\n")
    called = sweeping.submit()
    assert called.returncode == 2
    assert expected in called.stderr
    assert not sweeping.sweep.exists()
