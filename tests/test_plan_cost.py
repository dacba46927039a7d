import os

import pytest
from experiment_files import ARMS, HEAD, load

from paw_bench.config.schema import EvaluationConfig
from paw_bench.errors import ConfigError
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.calibration import Calibration, Speed, evaluations, load_calibration, shipped_calibration
from paw_bench.sweep.cost import predict
from paw_bench.sweep.describe import plan_json
from paw_bench.sweep.plan import plan
from paw_bench.sweep.status import sweep_status

SETTINGS = (
    "base: { algorithm: { groups: 2, group_size: 5, epochs: 3 }, training: { updates: 4 }, "
    "environment: { max_turns: 40 }, evaluation: { games: 10, every: 2 } }\n"
)
TEXT = HEAD + SETTINGS + ARMS + "seeds: [0, 1, 2]\n"
SPEED = Speed(
    model="embedded",
    environment="alfworld",
    device="cpu",
    max_turns=20,
    startup_seconds=7,
    rollout_seconds_per_episode=0.5,
    training_seconds_per_episode=0.25,
    evaluation_seconds_per_episode=0.1,
    measured="a machine",
)
CALIBRATION = Calibration(schema_version=1, entries=[SPEED])
UPDATE = 10 * 2 * (0.5 + 3 * 0.25)
EVALUATION = 10 * 2 * 0.1
RUN = 7 + 4 * UPDATE + 3 * EVALUATION


@pytest.mark.parametrize(
    ("before", "every", "updates", "expected"),
    [(True, None, 9, 2), (False, None, 9, 1), (True, 3, 9, 4), (True, 4, 9, 4), (False, 10, 9, 1), (True, 1, 1, 2)],
)
def test_a_run_is_evaluated_before_between_and_after(before, every, updates, expected):
    assert evaluations(EvaluationConfig(before=before, every=every), updates) == expected


def test_a_run_costs_start_updates_and_evaluations(tmp_path):
    cost = predict(plan(load(tmp_path, TEXT)), calibration=CALIBRATION)
    assert list(cost.run_seconds.values()) == [pytest.approx(RUN)] * 6
    assert cost.arms["paw"].run_seconds == pytest.approx(RUN)
    assert (cost.arms["paw"].runs, cost.arms["paw"].source) == (3, "calibration")
    assert cost.total_seconds == pytest.approx(6 * RUN)
    assert cost.gpu_hours == 0
    assert cost.sources == ("embedded on cpu: a machine",)


@pytest.mark.parametrize(("parallel", "rounds"), [(1, 6), (2, 3), (4, 2), (6, 1), (50, 1)])
def test_the_sweep_takes_as_long_as_its_busiest_slot(tmp_path, parallel, rounds):
    cost = predict(plan(load(tmp_path, TEXT)), calibration=CALIBRATION, parallel=parallel)
    assert cost.total_seconds == pytest.approx(rounds * RUN)


def test_runs_of_different_length_fill_the_slots_in_order(tmp_path):
    text = (
        TEXT.replace("training: { updates: 4 }, ", "").replace("0, 1, 2", "0") + "axes: { training.updates: [1, 5] }\n"
    )
    planned = plan(load(tmp_path, text))
    cost = predict(planned, calibration=CALIBRATION, parallel=2)
    short, _, long, _ = cost.run_seconds.values()
    assert [run.axes["training.updates"] for run in planned.runs] == [1, 1, 5, 5]
    assert cost.total_seconds == pytest.approx(short + long)


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(schema_version=1, entries=[]),
        Calibration(schema_version=1, entries=[SPEED.model_copy(update={"model": "other"})]),
        Calibration(schema_version=1, entries=[SPEED.model_copy(update={"device": "cuda"})]),
        Calibration(schema_version=1, entries=[SPEED.model_copy(update={"environment": "webshop"})]),
        Calibration(schema_version=1, entries=[SPEED.model_copy(update={"training_seconds_per_episode": None})]),
        Calibration(schema_version=1, entries=[SPEED.model_copy(update={"evaluation_seconds_per_episode": None})]),
        Calibration(schema_version=1, entries=[SPEED.model_copy(update={"startup_seconds": None})]),
    ],
)
def test_what_was_not_measured_is_unknown(tmp_path, calibration):
    cost = predict(plan(load(tmp_path, TEXT)), calibration=calibration)
    assert set(cost.run_seconds.values()) == {None}
    assert cost.total_seconds is None


def test_gpu_hours_are_known_only_with_a_measurement(tmp_path):
    planned = plan(load(tmp_path, TEXT, "execution.device=cuda", "execution.gpus=2"))
    assert predict(planned, calibration=CALIBRATION).gpu_hours is None
    on_gpu = Calibration(schema_version=1, entries=[SPEED.model_copy(update={"device": "cuda"})])
    assert predict(planned, calibration=on_gpu).gpu_hours == pytest.approx(6 * RUN * 2 / 3600)


def test_all_processes_of_a_run_count(tmp_path):
    planned = plan(load(tmp_path, TEXT, "execution.processes=2", "execution.threads=2"))
    cost = predict(planned, calibration=CALIBRATION)
    assert cost.hours("core", list(cost.sizes)) == pytest.approx(6 * RUN * 4 / 3600)


def test_more_processes_than_rows_are_refused_when_it_is_planned(tmp_path):
    with pytest.raises(ConfigError, match=r"execution\.processes.*as few as 2 rows, which 3 processes cannot share"):
        plan(load(tmp_path, TEXT, "execution.processes=3"))


def _sweep(folder, planned):
    sweep = SweepDirectory.create(
        folder, name="mine", scale="embedded", source="mine.yaml", text="", plan=plan_json(planned, predict(planned))
    )
    for run in planned.runs:
        info = RunInfo(run.run_id, "mine", run.arm, run.axes, run.seed)
        RunDirectory.create(sweep.run_path(run.run_id), info, run.config)
    return sweep


def _run(sweep, planned, arm, seed):
    run = next(run for run in planned.runs if (run.arm, run.seed) == (arm, seed))
    return RunDirectory(sweep.run_path(run.run_id))


def test_measured_updates_take_precedence_and_scale_what_is_not_measured_yet(tmp_path):
    planned = plan(load(tmp_path, TEXT))
    sweep = _sweep(tmp_path / "sweep", planned)
    for update in (1, 2):
        _run(sweep, planned, "paw", 0).append_metrics({"update": update, "seconds": {"total": 2 * UPDATE}})
    cost = predict(planned, calibration=CALIBRATION, sweep_path=sweep.path)
    assert cost.arms["paw"].run_seconds == pytest.approx(2 * RUN)
    assert cost.arms["grpo"].run_seconds == pytest.approx(2 * RUN), "no own update yet: that of the other arm"
    assert cost.arms["grpo"].source == "this sweep"
    assert cost.sources[0] == "2 updates of this sweep"


def test_a_finished_run_needs_no_calibration_at_all(tmp_path):
    planned = plan(load(tmp_path, TEXT))
    sweep = _sweep(tmp_path / "sweep", planned)
    directory = _run(sweep, planned, "paw", 1)
    directory.new_attempt()
    for update in range(1, 5):
        directory.append_metrics({"update": update, "seconds": {"total": 3.0}})
    for phase in ("before", "update-000002", "after"):
        directory.journal("evaluation", phase=phase, seconds=5.0)
    directory.publish_result({"seconds": {"training": 12.0, "evaluation": 15.0, "total": 31.0}})
    cost = predict(planned, calibration=Calibration(schema_version=1, entries=[]), sweep_path=sweep.path)
    assert cost.arms["paw"].run_seconds == pytest.approx(31.0)
    assert cost.arms["grpo"].run_seconds == pytest.approx(31.0)


def test_an_indexed_run_counts_the_same_without_its_records_being_read(tmp_path):
    planned = plan(load(tmp_path, TEXT))
    sweep = _sweep(tmp_path / "sweep", planned)
    directory = _run(sweep, planned, "paw", 1)
    directory.new_attempt()
    for update in range(1, 5):
        directory.append_metrics({"update": update, "seconds": {"total": update / 2}})
    for phase in ("before", "update-000002", "after"):
        directory.journal("evaluation", phase=phase, seconds=5.0)
    result = {"updates": 4, "evaluation": {"after": {"success": 0.5}}}
    directory.publish_result({**result, "seconds": {"training": 5.0, "evaluation": 15.0, "total": 22.0}})
    os.utime(directory.path / "result.json", (1, 1))
    read = predict(planned, calibration=CALIBRATION, sweep_path=sweep.path)
    sweep_status(sweep)
    for name in ("metrics.jsonl", "journal.jsonl"):
        (directory.path / name).unlink()
    indexed = predict(planned, calibration=CALIBRATION, sweep_path=sweep.path)
    assert indexed.run_seconds == pytest.approx(read.run_seconds)
    assert indexed.sources == read.sources == ("4 updates of this sweep", "embedded on cpu: a machine")


def test_a_torn_line_of_a_run_at_work_is_no_matter(tmp_path, recwarn):
    planned = plan(load(tmp_path, TEXT))
    sweep = _sweep(tmp_path / "sweep", planned)
    directory = _run(sweep, planned, "paw", 0)
    directory.append_metrics({"update": 1, "seconds": {"total": UPDATE}})
    with (directory.path / "metrics.jsonl").open("a") as file:
        file.write('{"update": 2, "sec')
    cost = predict(planned, calibration=CALIBRATION, sweep_path=sweep.path)
    assert cost.arms["paw"].run_seconds == pytest.approx(RUN)
    assert not recwarn.list


def test_a_sweep_that_has_not_begun_is_predicted_from_the_calibration(tmp_path):
    cost = predict(plan(load(tmp_path, TEXT)), calibration=CALIBRATION, sweep_path=tmp_path / "none")
    assert cost.arms["paw"].source == "calibration"


def test_the_shipped_calibration_reads_and_its_figures_are_measured_or_null():
    for speed in shipped_calibration().entries:
        assert speed.update_known == (speed.measured != "not yet")


def test_a_bad_calibration_file_is_refused(tmp_path):
    path = tmp_path / "calibration.yaml"
    path.write_text("schema_version: 1\nentries:\n  - { model: x, environment: y, device: gpu }\n")
    with pytest.raises(ConfigError, match=r"calibration\.yaml:3: entries\[0\]\.device"):
        load_calibration(path)
