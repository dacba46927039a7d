from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sweeping import behave, wait_for

from paw_bench.config.schema import ExecutionConfig, ExperimentConfig, RunConfig, TrainingConfig
from paw_bench.errors import StoreError
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.sweep.environment import run_environment
from paw_bench.sweep.identity import run_id
from paw_bench.sweep.siblings import refusal_in
from paw_bench.sweep.slots import Slots
from paw_bench.sweep.supervise import supervise

EXPERIMENT = ExperimentConfig(training=TrainingConfig(updates=6))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    info = RunInfo(run_id=run_id(EXPERIMENT), experiment_name="tiny", arm="paw", axes={}, seed=0)
    return RunDirectory.create(tmp_path / "a run", info, RunConfig(experiment=EXPERIMENT))


def start(run: RunDirectory, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("trivial_run.py")), str(run.path)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_attempt_leaves_log_provenance_and_result_and_is_not_repeated(run: RunDirectory) -> None:
    process = start(run)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    assert output == f"log: {run.path / 'attempts/1/log.txt'}\n"
    assert "update 6\n" in run.attempts()[0].log.read_text()
    assert run.attempts()[0].provenance()["git"]["commit"]
    assert [event["event"] for event in run.events()][-2:] == ["published", "attempt_ended"]
    again = start(run)
    assert "is done already" in again.communicate(timeout=240)[0]
    assert again.returncode == 0
    assert len(run.attempts()) == 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_a_signal_is_recorded_as_an_interruption(run: RunDirectory, signum: signal.Signals) -> None:
    process = start(run, **behave(paw="hold"))
    wait_for(lambda: len(run.metrics()) == 3)
    second = start(run)
    _, errors = second.communicate(timeout=240)
    assert second.returncode == 1
    assert "another process is working on this run" in errors
    process.send_signal(signum)
    process.communicate(timeout=240)
    assert process.returncode == 128 + signum
    last = run.events()[-1]
    assert (last["event"], last["outcome"], last["reason"]) == (
        "attempt_ended",
        "interrupted",
        f"stopped by {signum.name}",
    )
    assert len(run.attempts()) == 1


def test_a_failure_is_recorded_with_type_message_and_traceback(run: RunDirectory) -> None:
    process = start(run, **behave(paw="fail"))
    process.communicate(timeout=240)
    assert process.returncode == 1
    assert run.events()[-1]["reason"] == "ValueError: something is wrong"
    assert run.events()[-1]["transient"] is False
    assert "Traceback" in run.attempts()[0].log.read_text()


def test_a_disk_that_has_no_room_for_another_attempt_is_no_bad_config(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.mkdir

    def mkdir(path: Path, *arguments: Any, **options: Any) -> None:
        if "attempts" in path.parts:
            raise OSError(errno.EDQUOT, "Disk quota exceeded", str(path))
        real(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(StoreError, match="no space left"):
        supervise(run.path, lambda directory: None)
    refused = run.events()[-1]
    assert (refused["event"], refused["cause"]) == ("attempt_refused", "storage")


def test_a_run_that_was_spared_is_not_named_as_the_one_that_was_refused(run: RunDirectory) -> None:
    run.journal("attempt_refused", reason="its configuration was refused in paw seed 1", cause="config", job="7")
    assert refusal_in(run) is None


def test_the_environment_of_a_run_follows_the_config_and_respects_the_user() -> None:
    environment = run_environment(ExecutionConfig(threads=3), {"HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "8"})
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["HF_HUB_OFFLINE"] == "0"
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["PYTHONHASHSEED"] == "0"
    assert environment["MALLOC_TRIM_THRESHOLD_"] == str(8 * 2**30)


def test_slots_follow_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert Slots(ExecutionConfig(threads=3)).count == 2
    assert Slots(ExecutionConfig(threads=16)).count == 1
    assert Slots(ExecutionConfig(threads=3), parallel=5).count == 5


def test_no_two_runs_share_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3,5,7,GPU-abc")
    slots = Slots(ExecutionConfig(device="cuda", gpus=2))
    assert slots.count == 2
    assert slots.take("a") == {"CUDA_VISIBLE_DEVICES": "2,3"}
    assert slots.take("b") == {"CUDA_VISIBLE_DEVICES": "5,7"}
    slots.free("a")
    assert slots.take("c") == {"CUDA_VISIBLE_DEVICES": "GPU-abc,2"}


def test_the_gpus_of_an_adopted_run_are_not_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    slots = Slots(ExecutionConfig(device="cuda", gpus=1), parallel=3)
    slots.hold("adopted", {"CUDA_VISIBLE_DEVICES": "1"})
    assert slots.take("a") == {"CUDA_VISIBLE_DEVICES": "0"}
    assert slots.take("b") == {"CUDA_VISIBLE_DEVICES": "2"}
    slots.free("adopted")
    assert slots.take("c") == {"CUDA_VISIBLE_DEVICES": "1"}
