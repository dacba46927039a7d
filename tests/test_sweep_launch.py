from __future__ import annotations

import copy
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from sweeping import Sweeping, behave, wait_for

from paw_bench.config.load import load_experiment_file
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.execution_changes import halve_micro_batch
from paw_bench.sweep.plan import plan
from paw_bench.sweep.status import sweep_status


@pytest.fixture
def sweeping(tmp_path: Path) -> Sweeping:
    return Sweeping(tmp_path)


def states(sweeping: Sweeping) -> dict[str, str]:
    return {status.arm: status.state for status in sweep_status(sweeping.sweep)}


def numbers(sweeping: Sweeping, arm: str) -> list[str]:
    """What the updates of an arm computed."""
    return [record["state"] for record in sweeping.runs()[arm].metrics()]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Sweeping:
    """A sweep that nothing happened to."""
    sweeping = Sweeping(tmp_path_factory.mktemp("unbroken"))
    assert sweeping.call().returncode == 0
    return sweeping


def test_a_sweep_runs_everything_and_shows_plain_progress(tmp_path: Path) -> None:
    sweeping = Sweeping(tmp_path)
    done = sweeping.call("--parallel", "1")
    assert done.returncode == 0, done.stderr
    assert "tiny-dot: 0 of 2 runs done, 1 running, 1 waiting" in done.stdout
    assert "grpo seed 0: running, update 0/6" in done.stdout
    assert "paw seed 0: done in 2 s, 50 % success" in done.stdout
    assert "report of tiny-dot" in done.stdout
    assert "\x1b" not in done.stdout, "control codes in a log"
    assert states(sweeping) == {"grpo": "done", "paw": "done"}
    assert all(run.result() for run in sweeping.runs().values())
    assert not list((sweeping.sweep.path / "submitit").iterdir()), "submitit's files were left"
    events = [event["event"] for event in sweeping.sweep.events()]
    assert events[:3] == ["driver_started", "intent", "submitted"]


def test_the_same_command_again_does_nothing_and_says_so(unbroken: Sweeping) -> None:
    again = unbroken.call()
    assert again.returncode == 0
    assert "nothing to do: 2 of 2 runs are done" in again.stdout
    assert unbroken.attempts() == {"grpo": 1, "paw": 1}


def test_json_alone_goes_to_stdout(unbroken: Sweeping) -> None:
    called = unbroken.call("--json")
    document = json.loads(called.stdout)
    assert [run["state"] for run in document["runs"]] == ["done", "done"]
    assert "nothing to do" in called.stderr


def test_a_run_whose_micro_batches_were_halved_on_a_cluster_goes_on_here_with_the_halves(sweeping: Sweeping) -> None:
    (planned, *_) = plan(load_experiment_file(sweeping.file)).runs
    info = RunInfo(planned.run_id, "tiny", planned.arm, planned.axes, planned.seed)
    path = sweeping.sweep.run_path(planned.run_id)
    halve_micro_batch(RunDirectory.create(path, info, planned.config), submission="tiny-dot-aa")
    assert sweeping.call().returncode == 0
    run = sweeping.runs()[planned.arm]
    half = planned.config.execution.micro_batch_rows // 2
    assert run.config.execution.micro_batch_rows == half
    assert run.attempts()[-1].provenance()["execution"]["micro_batch_rows"] == half


def test_removing_one_result_redoes_that_run_alone_and_from_scratch(unbroken: Sweeping, tmp_path: Path) -> None:
    before = numbers(unbroken, "paw")
    run = unbroken.runs()["paw"]
    (run.path / "result.json").unlink()
    assert "it will be redone" in next(status.reason for status in sweep_status(unbroken.sweep) if status.arm == "paw")
    again = unbroken.call()
    assert again.returncode == 0
    assert "paw seed 0: done" in again.stdout
    assert "grpo seed 0: done" not in again.stdout
    assert numbers(unbroken, "paw") == before
    assert (run.path / "superseded" / "1" / "metrics.jsonl").exists()


def test_a_failing_run_is_shown_with_reason_and_log_and_the_others_go_on(sweeping: Sweeping) -> None:
    capped = ("--set", "execution.max_attempts=2")
    called = sweeping.call(*capped, **behave(grpo="fail"))
    assert called.returncode == 1
    assert states(sweeping) == {"grpo": "failed", "paw": "done"}
    assert "grpo seed 0: failed: ValueError: something is wrong" in called.stdout
    assert "  | update 3" in called.stdout, "the log's tail is missing"
    assert "report of tiny-dot" in called.stdout
    # An error of the run's own making is not tried again by this call, but by the next one, until the cap.
    assert sweeping.attempts()["grpo"] == 1
    assert sweeping.call(*capped, **behave(grpo="fail")).returncode == 1
    left = sweeping.call(*capped)
    assert left.returncode == 1
    assert "left failed after 2 of 2 attempts; give it new ones with --retry" in left.stdout
    assert "runs to start" not in left.stdout
    assert json.loads(sweeping.call(*capped, "--dry-run", "--json").stdout)["to_start"] == []
    retried = json.loads(sweeping.call(*capped, "--dry-run", "--json", "--retry").stdout)["to_start"]
    assert retried == [sweeping.runs()["grpo"].path.name]
    assert sweeping.attempts() == {"grpo": 2, "paw": 1}
    assert sweeping.call(*capped, "--retry").returncode == 0
    assert states(sweeping) == {"grpo": "done", "paw": "done"}


def test_a_refused_configuration_is_not_tried_with_its_other_seeds(sweeping: Sweeping) -> None:
    seeds = ("--set", "seeds=[0,1,2]", "--parallel", "1")
    called = sweeping.call(*seeds, **behave(grpo="refuse"))
    assert called.returncode == 1
    found = [(status.arm, status.state, status.reason) for status in sweep_status(sweeping.sweep)]
    refused = [reason for arm, state, reason in found if (arm, state) == ("grpo", "failed")]
    assert len(refused) == 3
    assert refused[0].startswith("tiny.yaml: world_model.loss: there is no such loss")
    for reason in refused[1:]:
        assert reason.startswith("its configuration was refused in grpo seed 0: tiny.yaml: world_model.loss")
    assert [state for arm, state, _ in found if arm == "paw"] == 3 * ["done"]
    assert sorted(len(run.attempts()) for run in sweeping.sweep.runs()) == [1, 1, 1, 1], "a sibling was started"
    # What was wrong is mended: the same command tries them all.
    assert sweeping.call(*seeds).returncode == 0


def test_runs_that_are_killed_or_out_of_memory_go_on_to_the_same_numbers(
    sweeping: Sweeping, unbroken: Sweeping
) -> None:
    called = sweeping.call(**behave(grpo="kill", paw="memory"))
    assert called.returncode == 0, called.stdout
    assert called.stdout.count("it is tried again") == 2
    assert sweeping.attempts() == {"grpo": 2, "paw": 2}
    for arm, run in sweeping.runs().items():
        assert numbers(sweeping, arm) == numbers(unbroken, arm)
        assert [record["phase"] for record in run.episodes()] == 3 * ["before"] + 3 * ["after"]


def held(sweeping: Sweeping) -> bool:
    """Whether grpo has come to where `hold` stops it."""
    return sweeping.sweep.exists() and "grpo" in sweeping.runs() and len(sweeping.runs()["grpo"].metrics()) == 3


def test_sigkill_of_the_driver_loses_nothing_and_starts_nothing_twice(sweeping: Sweeping, unbroken: Sweeping) -> None:
    driver = sweeping.start("--parallel", "1", **behave(grpo="hold"))
    wait_for(lambda: held(sweeping))
    driver.kill()
    driver.wait()
    run = sweeping.runs()["grpo"]
    assert run.is_locked(), "the run died with the driver"
    second = sweeping.start()
    assert second.stdout is not None
    assert any("grpo seed 0: is being worked on already" in line for line in second.stdout)
    (run.path / "go").touch()
    second.communicate(timeout=240)
    assert second.returncode == 0
    assert sweeping.attempts() == {"grpo": 1, "paw": 1}
    assert numbers(sweeping, "grpo") == numbers(unbroken, "grpo")


def test_a_second_driver_is_refused_and_ctrl_c_stops_the_runs_and_says_how_to_go_on(
    sweeping: Sweeping, unbroken: Sweeping
) -> None:
    driver = sweeping.start("--parallel", "1", **behave(grpo="hold"))
    wait_for(lambda: held(sweeping))
    second = sweeping.call()
    assert second.returncode == 2
    assert "another paw-bench sweep is at work on this folder" in second.stderr
    os.killpg(driver.pid, signal.SIGINT)
    _, errors = driver.communicate(timeout=240)
    assert driver.returncode == 130
    assert "To go on: paw-bench sweep" in errors
    run = sweeping.runs()["grpo"]
    assert not run.is_locked()
    assert run.events()[-1]["event"] == "attempt_ended"
    assert run.events()[-1]["reason"] == "stopped by SIGTERM"
    assert states(sweeping) == {"grpo": "interrupted", "paw": "planned"}
    assert sweeping.call().returncode == 0
    assert sweeping.attempts()["grpo"] == 2
    assert numbers(sweeping, "grpo") == numbers(unbroken, "grpo")


def test_a_process_that_does_not_start_is_a_failure_with_its_output(sweeping: Sweeping) -> None:
    called = sweeping.call(TRIVIAL_COMMAND="sh -c nonsense")
    assert called.returncode == 1
    assert "its process did not start" in called.stdout
    assert "nonsense: not found" in called.stdout
    assert states(sweeping) == {"grpo": "failed", "paw": "failed"}


def test_a_failing_report_does_not_lose_the_sweep(unbroken: Sweeping) -> None:
    called = unbroken.call(TRIVIAL_REPORT="fail")
    assert called.returncode == 0
    assert "the report failed; the results are safe" in called.stdout
    assert "ZeroDivisionError: no runs" in called.stdout


def test_a_full_disk_is_refused_before_anything_starts(sweeping: Sweeping) -> None:
    free = shutil.disk_usage(sweeping.folder).free
    called = sweeping.call(TRIVIAL_FREE=str(2 * free))
    assert called.returncode == 2
    assert "no space left on the disk" in called.stderr
    assert not sweeping.sweep.exists()


def test_a_run_whose_config_was_changed_by_hand_is_refused(unbroken: Sweeping) -> None:
    path = unbroken.runs()["paw"].path / "config.json"
    text = path.read_text()
    document = json.loads(text)
    document["config"]["experiment"]["training"]["updates"] = 7
    path.write_text(json.dumps(document))
    called = unbroken.call()
    path.write_text(text)
    assert called.returncode == 2
    assert "experiment.training.updates is 7, the plan says 6" in called.stderr


def beside(sweeping: Sweeping, name: str) -> Sweeping:
    """The same experiment under another name, below the same results folder."""
    other = copy.copy(sweeping)
    other.file = sweeping.file.with_name(f"{name}.yaml")
    other.file.write_text(sweeping.file.read_text().replace("name: tiny", f"name: {name}"))
    return other


def test_what_another_sweep_has_finished_is_linked_and_not_run_again(sweeping: Sweeping) -> None:
    assert sweeping.call(**behave(paw="fail")).returncode == 1
    other = beside(sweeping, "again")
    planned = other.call("--dry-run")
    assert "1 run of tiny-dot: finished there, not run again" in planned.stdout
    assert not (sweeping.results / "again-dot").exists(), "a dry run made something"
    done = other.call()
    assert done.returncode == 0, done.stderr
    assert "1 of 2 runs to start" in done.stdout
    assert "grpo seed 0: done" not in done.stdout
    runs = SweepDirectory(sweeping.results / "again-dot").runs()
    assert [run.path.is_symlink() for run in runs] == [True, False], "only what was finished is shared"
    assert [len(run.attempts()) for run in runs] == [1, 1]
    assert "2 of 2 runs are done" in other.call().stdout
    # Its own report names no trouble.
    assert "problem" not in done.stdout


def test_a_link_to_a_run_that_is_gone_becomes_a_run_of_ones_own(sweeping: Sweeping) -> None:
    assert sweeping.call().returncode == 0
    other = beside(sweeping, "again")
    assert other.call().returncode == 0
    shutil.rmtree(sweeping.sweep.path)
    done = other.call()
    assert done.returncode == 0, done.stderr
    assert not any(run.path.is_symlink() for run in SweepDirectory(sweeping.results / "again-dot").runs())


def test_a_run_whose_files_were_changed_is_not_shared(sweeping: Sweeping) -> None:
    assert sweeping.call().returncode == 0
    with (sweeping.runs()["grpo"].path / "metrics.jsonl").open("a") as file:
        file.write("{}\n")
    other = beside(sweeping, "again")
    assert other.call().returncode == 0
    runs = SweepDirectory(sweeping.results / "again-dot").runs()
    assert [run.path.is_symlink() for run in runs] == [False, True]
