from __future__ import annotations

import json
import os
import time
import warnings
from pathlib import Path

import pytest

from paw_bench.config.schema import EvaluationConfig, ExperimentConfig, RunConfig, TrainingConfig
from paw_bench.errors import StoreError
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.status import RunStatus, run_status, sweep_status

PLANNED = {"run_id": "0123456789ab", "arm": "paw", "axes": {"model.name": "embedded"}, "seed": 1}
CONFIG = RunConfig(
    experiment=ExperimentConfig(seed=1, training=TrainingConfig(updates=10), evaluation=EvaluationConfig(every=4))
)


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDirectory:
    return SweepDirectory.create(
        tmp_path / "tiny", name="tiny", scale=None, source="tiny.yaml", text="", plan={"runs": [PLANNED]}
    )


@pytest.fixture
def run(sweep: SweepDirectory) -> RunDirectory:
    info = RunInfo(run_id="0123456789ab", experiment_name="tiny", arm="paw", axes=PLANNED["axes"], seed=1)
    return RunDirectory.create(sweep.run_path(info.run_id), info, CONFIG)


def start(run: RunDirectory) -> None:
    run.journal("attempt_started", pid=os.getpid(), hostname="here", log="attempts/1/log.txt")


def update(run: RunDirectory, number: int, *, success: float = 0.0) -> None:
    run.append_metrics({"update": number, "success": success, "seconds": {"total": 30.0}, "time": time.time()})


def only(sweep: SweepDirectory) -> RunStatus:
    (status,) = sweep_status(sweep)
    return status


def test_planned_with_or_without_a_folder(sweep: SweepDirectory) -> None:
    assert run_status(sweep, {**PLANNED, "run_id": "ffffffffffff"}).state == "planned"
    assert only(sweep).state == "planned"
    assert only(sweep).label == "paw embedded seed 1"


def test_running_shows_update_recent_success_and_time_left(sweep: SweepDirectory, run: RunDirectory) -> None:
    with run.lock():
        assert only(sweep).state == "running"
        start(run)
        run.journal("evaluation", phase="before", seconds=60.0)
        for number, success in enumerate((0.0, 0.2, 0.4, 0.4, 0.4, 0.6), start=1):
            update(run, number, success=success)
        status = only(sweep)
    assert (status.state, status.update, status.updates) == ("running", 6, 10)
    assert status.success == pytest.approx(0.4)
    # 4 updates of 30 s, then one evaluation at update 8 and the final one, 60 s each.
    assert status.seconds_left == pytest.approx(4 * 30 + 2 * 60, abs=5)


def test_evaluating_is_told_from_running(sweep: SweepDirectory, run: RunDirectory) -> None:
    with run.lock():
        start(run)
        run.journal("evaluation_started", phase="before")
        assert only(sweep).state == "evaluating"
        run.journal("evaluation", phase="before", seconds=1.0)
        assert only(sweep).state == "running"


def test_a_run_whose_process_is_gone_without_a_word_is_lost(sweep: SweepDirectory, run: RunDirectory) -> None:
    start(run)
    update(run, 1)
    status = only(sweep)
    assert (status.state, status.update, status.failures, status.transient) == ("lost", 1, 1, True)
    assert "ended without a word" in status.reason


@pytest.mark.parametrize(("outcome", "failures", "transient"), [("failed", 1, False), ("interrupted", 0, True)])
def test_the_end_of_an_attempt_is_its_state_and_reason(
    sweep: SweepDirectory, run: RunDirectory, outcome: str, failures: int, transient: bool
) -> None:
    start(run)
    run.journal("attempt_ended", outcome=outcome, reason="because", transient=False)
    status = only(sweep)
    assert (status.state, status.reason, status.failures, status.transient) == (outcome, "because", failures, transient)
    assert status.log == run.path / "attempts/1/log.txt"


def test_a_refused_attempt_is_a_failure(sweep: SweepDirectory, run: RunDirectory) -> None:
    run.journal("attempt_refused", reason="packages.trl differs")
    assert (only(sweep).state, only(sweep).reason, only(sweep).failures) == ("failed", "packages.trl differs", 1)


def test_a_process_that_never_opened_an_attempt_is_a_failure_until_one_does(
    sweep: SweepDirectory, run: RunDirectory
) -> None:
    sweep.journal("not_started", run_id=run.info.run_id, reason="no memory")
    assert (only(sweep).state, only(sweep).reason) == ("failed", "no memory")
    start(run)
    assert only(sweep).state == "lost"


def test_a_line_that_is_being_written_is_no_reason_to_warn(sweep: SweepDirectory, run: RunDirectory) -> None:
    with run.lock(), warnings.catch_warnings():
        start(run)
        update(run, 1)
        with (run.path / "metrics.jsonl").open("ab") as file:
            file.write(b'{"update": 2, "succ')
        warnings.simplefilter("error")
        assert (only(sweep).state, only(sweep).update) == ("running", 1)


def test_retry_forgets_the_failures(sweep: SweepDirectory, run: RunDirectory) -> None:
    start(run)
    start(run)
    assert only(sweep).failures == 2
    run.journal("retry")
    assert only(sweep).failures == 0


def test_done_shows_the_final_success_and_the_time_taken(sweep: SweepDirectory, run: RunDirectory) -> None:
    seconds = {"training": 600.0, "evaluation": 300.0, "total": 900.0}
    run.publish_result({"updates": 10, "evaluation": {"after": {"success": 0.6}}, "seconds": seconds})
    status = only(sweep)
    assert (status.state, status.update, status.success, status.seconds_taken) == ("done", 10, 0.6, 900.0)
    (run.path / "result.json").unlink()
    assert only(sweep).state == "planned"
    assert "redone" in only(sweep).reason


def test_a_results_folder_of_another_schema_version_is_refused(sweep: SweepDirectory, run: RunDirectory) -> None:
    path = run.path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(StoreError, match=r"config\.json: has schema_version 99, this paw_bench reads and writes 1"):
        sweep_status(sweep)
