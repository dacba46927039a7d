from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from faults import killed_everywhere

from paw_bench.config.schema import ExecutionConfig, ExperimentConfig, RunConfig, TrainingConfig
from paw_bench.errors import StoreError
from paw_bench.store import provenance
from paw_bench.store.run_directory import RunDirectory, RunInfo

INFO = RunInfo(run_id="0123456789ab", experiment_name="quickstart", arm="paw", axes={"model.name": "embedded"}, seed=3)
CONFIG = RunConfig(experiment=ExperimentConfig(seed=3, training=TrainingConfig(updates=10)))
ENGINE = {"name": "transformers", "reason": "auto: the device is cpu"}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", INFO, CONFIG)


def record(run: RunDirectory, updates: int) -> None:
    for update in range(1, updates + 1):
        run.append_metrics({"update": update})


def evaluate(run: RunDirectory, phase: str) -> None:
    run.append_fixed_transitions({"phase": phase})
    run.append_samples([{"phase": phase, "task_id": "a"}, {"phase": phase, "task_id": "b"}])
    run.journal("evaluation", phase=phase, episodes=2, samples=2)
    run.append_episodes([{"phase": phase, "task_id": "a"}, {"phase": phase, "task_id": "b"}])


def save(run: RunDirectory, update: int) -> None:
    with run.checkpoint_writer(update) as folder:
        (folder / "weights").mkdir()
        (folder / "weights" / "model.bin").write_bytes(b"w" * update)
        (folder / "state.json").write_text(str(update))


def finish(run: RunDirectory) -> None:
    run.append_metrics({"update": 10})
    assert run.publish_result({"updates": 10})


def test_create_is_idempotent_and_reads_back_what_was_planned(run: RunDirectory) -> None:
    again = RunDirectory.create(run.path, INFO, CONFIG)
    assert again.info == INFO
    assert again.config == CONFIG


def test_create_refuses_another_experiment_and_names_the_key(run: RunDirectory) -> None:
    other = RunConfig(experiment=ExperimentConfig(seed=3, training=TrainingConfig(updates=11)))
    with pytest.raises(StoreError, match=r"config\.json: experiment\.training\.updates is 10, the plan says 11"):
        RunDirectory.create(run.path, INFO, other)


def test_a_run_written_before_the_schema_got_a_key_is_the_run_that_is_planned(run: RunDirectory) -> None:
    path = run.path / "config.json"
    document = json.loads(path.read_text())
    model = document["config"]["experiment"]["model"]
    del model["lora_alpha"]
    path.write_text(json.dumps(document))
    assert RunDirectory.create(run.path, INFO, CONFIG).config == CONFIG

    model["name"] = "another"
    path.write_text(json.dumps(document))
    with pytest.raises(StoreError, match=r"experiment\.model\.name is 'another', the plan says 'embedded'"):
        RunDirectory.create(run.path, INFO, CONFIG)


def with_threads(threads: int) -> RunConfig:
    return RunConfig(experiment=CONFIG.experiment, execution=ExecutionConfig(threads=threads))


def test_execution_may_change_until_the_run_is_finished(run: RunDirectory) -> None:
    assert RunDirectory.create(run.path, INFO, with_threads(2)).config.execution.threads == 2
    finish(run)
    assert RunDirectory.create(run.path, INFO, with_threads(4)).config.execution.threads == 2
    assert run.result() is not None


def test_execution_of_a_run_at_work_stays_what_it_is(run: RunDirectory) -> None:
    before = run.config.execution.threads
    with run.lock():
        assert RunDirectory.create(run.path, INFO, with_threads(before + 1)).config.execution.threads == before
    assert RunDirectory.create(run.path, INFO, with_threads(before + 1)).config.execution.threads == before + 1


def test_checkpoint_killed_anywhere_is_complete_or_absent(run: RunDirectory) -> None:
    record(run, 3)
    save(run, 1)
    save(run, 2)
    found = set()
    for _ in killed_everywhere(lambda: save(run, 3)):
        latest = RunDirectory(run.path).latest_checkpoint()
        assert latest is not None
        update, path = latest
        assert (path / "weights" / "model.bin").read_bytes() == b"w" * update
        assert (path / "state.json").read_text() == str(update)
        names = os.listdir(run.path / "checkpoints")
        assert all(not name.startswith(".") for name in names), "a half-written checkpoint was left"
        assert f"update-{update - 1:06d}" in names
        found.add(update)
        if update == 3:
            run.remove_checkpoints()
            save(run, 1)
            save(run, 2)
    assert found == {2, 3}


def test_two_checkpoints_are_kept(run: RunDirectory) -> None:
    for update in (5, 10, 15):
        save(run, update)
    assert sorted(os.listdir(run.path / "checkpoints")) == ["update-000010", "update-000015"]


@pytest.mark.parametrize("name", ["weights/model.bin", "manifest.json"])
def test_a_checkpoint_cut_in_half_is_passed_over_and_the_journal_says_why(run: RunDirectory, name: str) -> None:
    record(run, 10)
    save(run, 5)
    save(run, 10)
    cut = run.path / "checkpoints" / "update-000010" / name
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with pytest.warns(UserWarning, match="update-000010: the checkpoint is removed: it is incomplete"):
        latest = run.latest_checkpoint()
    assert latest is not None
    assert latest[0] == 5
    assert os.listdir(run.path / "checkpoints") == ["update-000005"]
    last = run.events()[-1]
    assert (last["event"], last["update"], last["reason"]) == ("checkpoint_dropped", 10, "it is incomplete")


@pytest.mark.parametrize("left", [0.0, 0.5])
@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "episodes.jsonl", "samples.jsonl", "fixed_transitions.jsonl", "journal.jsonl"]
)
@pytest.mark.filterwarnings("ignore:.*the (last line is torn|checkpoint is removed)")
def test_a_checkpoint_is_not_used_where_a_record_before_it_was_lost(run: RunDirectory, name: str, left: float) -> None:
    evaluate(run, "before")
    record(run, 10)
    save(run, 5)
    evaluate(run, "update-000007")
    save(run, 10)
    path = run.path / name
    data = path.read_bytes()
    last = data.rindex(b"\n", 0, -1) + 1
    path.write_bytes(data[: last + int(left * (len(data) - last))])
    latest = RunDirectory(run.path).latest_checkpoint()
    assert latest is not None
    assert latest[0] == 5
    run.rewind(5)
    assert [record["update"] for record in run.metrics()] == [1, 2, 3, 4, 5]
    assert [record["phase"] for record in run.fixed_transitions()] == ["before"]
    assert len(run.episodes()) == 2


def test_a_failure_while_saving_leaves_the_older_checkpoint(run: RunDirectory) -> None:
    save(run, 5)

    def fail() -> None:
        with run.checkpoint_writer(10) as folder:
            (folder / "half").write_text("x")
            raise RuntimeError("PytorchStreamWriter failed writing file")

    with pytest.raises(RuntimeError, match="PytorchStreamWriter"):
        fail()
    assert os.listdir(run.path / "checkpoints") == ["update-000005"]


def test_a_disk_that_is_full_while_saving_is_named_whatever_library_says_it(run: RunDirectory) -> None:
    with pytest.raises(StoreError, match="update-000005: no space left on the disk"), run.checkpoint_writer(5):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert os.listdir(run.path / "checkpoints") == []


def test_rewind_drops_what_came_after_the_checkpoint(run: RunDirectory) -> None:
    record(run, 10)
    for phase in ("before", "update-000004", "update-000008", "after"):
        evaluate(run, phase)
    run.append_samples([{"phase": "cut short"}])
    run.rewind(10)
    assert len(run.metrics()) == 10
    assert len(run.samples()) == 8
    assert len(run.episodes()) == 8
    run.rewind(4)
    assert [record["update"] for record in run.metrics()] == [1, 2, 3, 4]
    assert [record["phase"] for record in run.fixed_transitions()] == ["before", "update-000004"]
    assert len(run.episodes()) == 4
    run.rewind(0)
    assert run.metrics() == []
    assert [record["phase"] for record in run.fixed_transitions()] == ["before"]
    assert [record["phase"] for record in run.samples()] == ["before", "before"]


def test_a_phase_of_episodes_is_there_as_a_whole_or_not_at_all(run: RunDirectory) -> None:
    evaluate(run, "before")
    batch = [{"phase": "after", "n": number} for number in range(20)]
    for _ in killed_everywhere(lambda: run.append_episodes(batch)):
        assert len(run.episodes()) in (2, 22)
        run.rewind(0)


def test_a_result_is_published_once_and_ends_the_checkpoints(run: RunDirectory) -> None:
    save(run, 10)
    finish(run)
    assert not run.publish_result({"updates": 99})
    result = run.result()
    assert result is not None
    assert (result["status"], result["updates"], result["run_id"]) == ("done", 10, INFO.run_id)
    assert not (run.path / "checkpoints").exists()


def test_a_changed_file_makes_the_result_unusable(run: RunDirectory) -> None:
    finish(run)
    run.append_metrics({"update": 11})
    with pytest.raises(StoreError, match=r"metrics\.jsonl: changed after the result was published"):
        run.result()
    assert run.result(verify=False) is not None


def test_a_result_of_another_run_or_version_is_refused(run: RunDirectory) -> None:
    finish(run)
    path = run.path / "result.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "run_id": "ffffffffffff"}))
    with pytest.raises(StoreError, match="is the result of run ffffffffffff"):
        run.result()
    path.write_text(json.dumps({**document, "schema_version": 2}))
    with pytest.raises(StoreError, match=r"result\.json: has schema_version 2"):
        run.result()


def test_removing_the_result_starts_over_and_mixes_nothing(run: RunDirectory) -> None:
    run.new_attempt()
    finish(run)
    (run.path / "result.json").unlink()
    again = RunDirectory(run.path)
    assert again.result_was_removed()
    assert again.new_attempt().number == 1
    assert again.metrics() == []
    assert [event["event"] for event in again.events()] == ["started_over"]
    assert not again.result_was_removed()
    assert (run.path / "superseded" / "1" / "metrics.jsonl").exists()


def test_starting_over_killed_anywhere_ends_in_a_fresh_run(tmp_path: Path) -> None:
    path = tmp_path / "run"

    def finish_and_remove_the_result() -> None:
        run = RunDirectory.create(path, INFO, CONFIG)
        run.journal("attempt_started")
        finish(run)
        (path / "result.json").unlink()

    finish_and_remove_the_result()
    for _ in killed_everywhere(lambda: RunDirectory(path)._start_over()):
        again = RunDirectory(path)
        if again.result_was_removed():
            again._start_over()
        assert again.metrics() == []
        assert len(list((path / "superseded").glob("*/metrics.jsonl"))) == 1
        shutil.rmtree(path)
        finish_and_remove_the_result()


def test_attempts_are_numbered_and_leftovers_cleared(run: RunDirectory) -> None:
    (run.path / ".metrics.jsonl.99-aa.tmp").write_text("x")
    assert [run.new_attempt().number, run.new_attempt().number] == [1, 2]
    assert not (run.path / ".metrics.jsonl.99-aa.tmp").exists()
    assert run.attempts()[0].provenance()["packages"]["pydantic"] is not None


def test_an_attempt_with_another_library_is_refused_by_name(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    run.new_attempt()
    original = provenance._version
    monkeypatch.setattr(provenance, "_version", lambda name: "9.9" if name == "trl" else original(name))
    with pytest.raises(StoreError, match=r"packages\.trl differs from the run's first attempt: .* then, 9\.9 now"):
        run.new_attempt()


def test_an_attempt_with_another_panel_is_refused_by_name(run: RunDirectory) -> None:
    run.new_attempt()
    run.record_provenance(panels={"train": "aa", "valid_seen": "bb"}, device="cpu", engine=ENGINE)
    run.new_attempt()
    run.record_provenance(panels={"train": "aa"}, device="cpu", engine=ENGINE)
    with pytest.raises(StoreError, match=r"panels\.valid_seen differs from the run's first attempt: bb then, cc now"):
        run.record_provenance(panels={"valid_seen": "cc"}, device="cpu", engine=ENGINE)


def _hold(path: Path, ready: object, fork_worker: bool) -> None:
    with RunDirectory(path).lock():
        worker = os.fork() if fork_worker else -1
        if worker != 0:
            ready.send(worker)  # type: ignore[attr-defined]
        time.sleep(60)


@pytest.mark.parametrize("fork_worker", [False, True])
def test_two_attempts_never_share_a_run_and_a_killed_one_frees_it(run: RunDirectory, fork_worker: bool) -> None:
    ours, theirs = multiprocessing.Pipe()
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(run.path, theirs, fork_worker))
    holder.start()
    worker = ours.recv()
    try:
        assert run.is_locked()
        with pytest.raises(StoreError, match="another process is working on this run"), run.lock():
            pass
        holder.kill()
        holder.join()
        # The environment worker that the killed attempt forked is still alive, and must not hold the run.
        assert not run.is_locked()
        with run.lock():
            assert run.is_locked()
        assert not run.is_locked()
    finally:
        if worker > 0:
            os.kill(worker, signal.SIGKILL)


def test_a_stale_lock_file_blocks_nobody(run: RunDirectory) -> None:
    (run.path / "lock").write_text("12345")
    assert not run.is_locked()
    with run.lock():
        assert RunDirectory(run.path).is_locked()
