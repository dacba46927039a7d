"""`paw-bench doctor --cluster` on a real Slurm: what its job finds on a node, and provoked failures."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devcluster import Devcluster
from test_slurm_sweep import OnCluster

_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.fixture
def sweeping(slurm: Devcluster, tmp_path: Path) -> Iterator[OnCluster]:
    yield OnCluster(tmp_path)
    slurm.slurm("scancel", f"--user={os.getuid()}")


def doctor(sweeping: OnCluster, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The command, and check -> its line of the last place that it looked at."""
    arguments = ["doctor", str(sweeping.file), "--cluster", str(sweeping.profile), "--json", *options]
    done = sweeping.command(*arguments, seconds=500)  # the node imports torch where GPUs are asked for
    places = json.loads(done.stdout)["places"]
    return done, {check["name"]: check for check in list(places.values())[-1]}


def failed(checks: dict[str, Any]) -> set[str]:
    return {name for name, check in checks.items() if check["state"] == "failed"}


def test_a_job_checks_its_node(sweeping: OnCluster) -> None:
    done, checks = doctor(sweeping)
    assert done.returncode == 0, done.stdout + done.stderr
    assert checks["job"]["found"].endswith(("on n1", "on n2", "on n3"))
    assert {"clocks", "locks between nodes", "packages", "results filesystem", "free space"} <= set(checks)
    assert checks["GPU"] == {"name": "GPU", "state": "skipped", "found": "none asked for", "remedy": ""}
    assert not list(sweeping.results.glob(".doctor*"))


def test_a_node_whose_gpus_are_not_real(sweeping: OnCluster) -> None:
    done, checks = doctor(sweeping, "--set", "execution.device=cuda", "--set", "execution.gpus=1")
    assert done.returncode == 1
    assert failed(checks) == {"NVIDIA driver", "torch"}
    assert "CUDA_VISIBLE_DEVICES 0" in checks["NVIDIA driver"]["found"]


def test_a_run_of_two_nodes_needs_half_of_its_gpus_on_each(sweeping: OnCluster) -> None:
    sweeping.profile.write_text(sweeping.profile.read_text() + "gpus: 4\nnodes: 2\n")
    _, checks = doctor(sweeping, "--set", "execution.device=cuda", "--set", "execution.gpus=1")
    assert " of 2 GPUs (CUDA_VISIBLE_DEVICES " in checks["NVIDIA driver"]["found"]
    assert checks["job"]["state"] == "ok"


def test_what_only_the_node_lacks(sweeping: OnCluster) -> None:
    with sweeping.profile.open("a") as profile:
        profile.write(f"setup: ['mv {sweeping.folder}/model {sweeping.folder}/gone']\n")
    done, checks = doctor(sweeping)
    assert done.returncode == 1
    assert failed(checks) == {f"model {sweeping.folder}/model"}


@pytest.mark.skipif(not _FAKETIME.exists(), reason="libfaketime is not installed: apt-get install libfaketime")
@pytest.mark.parametrize(("shift", "words"), [("+300s", "ahead of"), ("-300s", "behind")])
def test_a_node_whose_clock_is_wrong(sweeping: OnCluster, shift: str, words: str) -> None:
    with sweeping.profile.open("a") as profile:
        profile.write(f"environment: {{ LD_PRELOAD: {_FAKETIME}, FAKETIME: '{shift}' }}\n")
    done, checks = doctor(sweeping)
    assert done.returncode == 1
    assert failed(checks) == {"clocks"}
    assert words in checks["clocks"]["found"]
    assert "chrony" in checks["clocks"]["remedy"]


def test_a_job_that_dies_in_its_set_up_shows_its_log(sweeping: OnCluster) -> None:
    with sweeping.profile.open("a") as profile:
        profile.write("setup: ['echo module not found; exit 1']\n")
    done, checks = doctor(sweeping)
    assert done.returncode == 1
    assert "ended without an answer (failed)\nmodule not found" in checks["job"]["found"]
    assert "`setup`" in checks["job"]["remedy"]


def test_a_profile_that_the_cluster_refuses_submits_no_job(sweeping: OnCluster) -> None:
    sweeping.profile.write_text("schema_version: 1\npartition: gpuu\n")
    done, checks = doctor(sweeping)
    assert done.returncode == 1
    assert "partition: the cluster has no such partition for you: did you mean 'gpu'" in checks["profile"]["found"]
