import json
import math
from pathlib import Path

import pandas as pd
import pytest
from analysis_sweep import HASH, TYPES, Sweep, publish, read_lines, write, write_lines

from analysis.frames import EPISODES, EVALUATION, FIXED_TRANSITIONS, METRICS
from analysis.load import Results, load
from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.errors import StoreError
from paw_bench.store.run_directory import RunDirectory, RunInfo


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path / "sweep", updates=4, games=12)


def row(results: Results, arm: str, seed: int) -> pd.Series:
    found = results.runs[(results.runs["arm"] == arm) & (results.runs["seed"] == seed)]
    assert len(found) == 1
    return found.iloc[0]


def only_problem(results: Results) -> str:
    assert len(results.problems) == 1
    problem = results.problems[0]
    assert "\n" not in problem
    return problem


def test_a_finished_sweep_gives_the_numbers_of_its_files(sweep: Sweep) -> None:
    results = load(sweep.finish().path)
    assert results.problems == ()
    assert results.arms == sweep.arms
    assert results.reference == "grpo"
    assert set(results.runs["status"]) == {"done"}
    assert len(results.episodes) == 6 * 2 * 12
    assert len(results.metrics) == 6 * 4
    folder = sweep.folder("paw", 1)
    played = [e for e in read_lines(folder / "episodes.jsonl") if e["phase"] == "after"]
    looks = [e["success"] for e in played if e["task_type"] == TYPES[1]]
    found = results.evaluation[(results.evaluation["run_id"] == folder.name) & (results.evaluation["phase"] == "after")]
    found = found.set_index("task_type")
    assert found.at["look", "success"] == sum(looks) / 2
    assert found.at["all", "success"] == sum(e["success"] for e in played) / 12
    assert found.at["all", "games"] == 12
    last = read_lines(folder / "metrics.jsonl")[-1]
    metrics = results.metrics[results.metrics["run_id"] == folder.name].iloc[-1]
    assert metrics["update"] == 4
    assert metrics["wm.loss"] == last["wm"]["loss"]
    assert metrics["tokens.action"] == last["tokens"]["action"]
    assert math.isnan(metrics["grad_norm"])


def test_what_the_store_writes_is_what_load_reads(tmp_path: Path, sweep: Sweep) -> None:
    """The builder of these tests and the real store agree on every format."""
    source = sweep.done("paw", 0)
    planned = next(run for run in sweep.runs if run["run_id"] == source.name)
    other = Sweep(tmp_path / "other", updates=4, games=12)
    config = RunConfig.model_validate(json.loads((source / "config.json").read_text())["config"])
    info = RunInfo(planned["run_id"], "ablations", "paw", {}, 0)
    directory = RunDirectory.create(other.path / "runs" / source.name, info, config)
    with directory.lock():
        attempt = directory.new_attempt()
        directory.journal("attempt_started", pid=1, hostname="somewhere", log="attempts/1/log.txt")
        for record in read_lines(source / "metrics.jsonl"):
            directory.append_metrics(record)
        directory.append_episodes(read_lines(source / "episodes.jsonl"))
        for record in read_lines(source / "fixed_transitions.jsonl"):
            directory.append_fixed_transitions(record)
        result = json.loads((source / "result.json").read_text())
        directory.publish_result({key: result[key] for key in ("updates", "evaluation", "seconds")})
    written, built = load(other.path), load(sweep.path)
    assert written.problems == ()
    assert row(written, "paw", 0)["status"] == "done"
    git = attempt.provenance()["git"]
    assert row(written, "paw", 0)["commits"] == (git["commit"] + "+" * git["dirty"] if git else "")
    for name in ("metrics", "episodes", "fixed_transitions"):
        pd.testing.assert_frame_equal(getattr(written, name), getattr(built, name))


def test_runs_that_are_not_finished_are_listed_with_their_state_and_never_filled_in(sweep: Sweep) -> None:
    sweep.done("grpo", 0)
    sweep.running("paw", 0, updates=3)
    sweep.failed("paw", 1, "OutOfMemoryError: too big")
    (sweep.done("grpo", 1) / "result.json").unlink()
    held = RunDirectory(sweep.running(sweep.arms[2], 0, updates=1))
    with held.lock():
        results = load(sweep.path)
    assert row(results, "grpo", 0)["status"] == "done"
    assert (row(results, "paw", 0)["status"], row(results, "paw", 0)["updates"]) == ("lost", 3)
    assert row(results, "paw", 1)["reason"] == "OutOfMemoryError: too big"
    assert row(results, "grpo", 1)["status"] == "unfinished"
    assert row(results, sweep.arms[2], 0)["status"] == "running"
    assert row(results, sweep.arms[2], 1)["status"] == "not started"
    assert results.done()["run_id"].tolist() == [sweep.folder("grpo", 0).name]
    assert results.runs["success_after"].notna().sum() == 2  # the removed result leaves its episodes
    assert results.problems == ()


def test_the_time_of_a_run_is_that_of_its_attempts_without_the_pause_between_them(sweep: Sweep) -> None:
    folder = sweep.done("paw", 0)
    events = [
        {"event": "attempt_started", "time": 1000.0, "attempt": 1},
        {"event": "checkpoint", "time": 1040.0, "attempt": 1},
        {"event": "retry", "time": 5000.0, "attempt": None},
        {"event": "attempt_started", "time": 9000.0, "attempt": 2},
        {"event": "attempt_ended", "time": 9060.0, "attempt": 2, "outcome": "done", "reason": ""},
    ]
    write_lines(folder / "journal.jsonl", events)
    run = row(load(sweep.path), "paw", 0)
    assert run["seconds_wall"] == 40.0 + 60.0
    assert run["started"] == 1000.0


def test_a_run_that_the_plan_does_not_hold_is_listed_and_not_used(sweep: Sweep) -> None:
    sweep.finish()
    plan = json.loads((sweep.path / "sweep.json").read_text())
    plan["plan"]["runs"].pop()
    write(sweep.path / "sweep.json", plan)
    results = load(sweep.path)
    gone = sweep.runs[-1]["run_id"]
    listed = results.runs.set_index("run_id").loc[gone]
    assert (listed["status"], listed["planned"]) == ("not planned", False)
    assert gone not in set(results.evaluation["run_id"]) | set(results.metrics["run_id"])
    assert len(results.done()) == 5


def test_a_torn_last_line_is_dropped_and_said(sweep: Sweep) -> None:
    folder = sweep.running("paw", 0, updates=3)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"update": 4, "succ')
    results = load(sweep.path)
    assert row(results, "paw", 0)["updates"] == 3
    assert "metrics.jsonl: the last line is torn" in only_problem(results)
    assert str(sweep.path) not in only_problem(results)


@pytest.mark.parametrize("name", ["metrics.jsonl", "episodes.jsonl", "fixed_transitions.jsonl"])
def test_a_file_that_changed_after_the_result_takes_the_run_out(sweep: Sweep, name: str) -> None:
    with (sweep.finish().folder("paw", 0) / name).open("a") as file:
        file.write("{}\n")
    results = load(sweep.path)
    assert row(results, "paw", 0)["status"] == "damaged"
    assert f"not used: {name}: changed after the result was published" in only_problem(results)
    run_id = sweep.folder("paw", 0).name
    for frame in (results.evaluation, results.metrics, results.episodes, results.fixed_transitions):
        assert run_id not in set(frame["run_id"])


def test_a_missing_value_stays_missing_and_is_said(sweep: Sweep) -> None:
    folder = sweep.running("paw", 0, updates=3)
    records = read_lines(folder / "metrics.jsonl")
    records[1]["wm"]["loss"] = None
    write_lines(folder / "metrics.jsonl", records)
    results = load(sweep.path)
    assert results.metrics["wm.loss"].isna().tolist() == [False, True, False]
    assert "wm.loss has no value in 1 of 3 updates (first: update 2)" in only_problem(results)


def test_a_metric_that_only_some_updates_measure_is_no_problem(sweep: Sweep) -> None:
    folder = sweep.running("paw", 0, updates=3)
    records = read_lines(folder / "metrics.jsonl")
    for number, record in enumerate(records):
        measured = number == 1
        record["gradients"] = (
            {"rl": 2.0, "wm": 1.0, "cosine": 0.5} if measured else dict.fromkeys(("rl", "wm", "cosine"))
        )
    write_lines(folder / "metrics.jsonl", records)
    results = load(sweep.path)
    assert results.metrics["gradients.cosine"].isna().tolist() == [True, False, True]
    assert not any("gradients" in problem for problem in results.problems)


def spoil(record: dict, key: str, value: object) -> None:
    record[key] = value


BAD_METRICS = {
    "NaN, which is no JSON": lambda records: spoil(records[1], "success", math.nan),
    "a number in words": lambda records: spoil(records[1], "success", "0.5"),
    "an update twice": lambda records: spoil(records[1], "update", 1),
    "an update missing": lambda records: records.pop(1),
    "an update of a half": lambda records: spoil(records[1], "update", 1.5),
}


@pytest.mark.parametrize("change", BAD_METRICS.values(), ids=BAD_METRICS)
def test_metrics_that_cannot_be_right_make_one_line_and_no_number(sweep: Sweep, change) -> None:
    folder = sweep.running("paw", 0, updates=3)
    records = read_lines(folder / "metrics.jsonl")
    change(records)
    write_lines(folder / "metrics.jsonl", records)
    results = load(sweep.path)
    assert row(results, "paw", 0)["status"] == "unreadable"
    assert (
        "metrics.jsonl" in only_problem(results)
        or "'success'" in only_problem(results)
        or "'update'" in only_problem(results)
    )
    assert results.metrics.empty


BAD_EPISODES = {
    "an episode twice": (lambda e: e.append(e[0]), "holds an episode twice"),
    "another panel in between": (lambda e: spoil(e[3], "panel_hash", "0" * 64), "mixes panels"),
    "other games after": (lambda e: [spoil(x, "panel_hash", "0" * 64) for x in e[12:]], "not played on the same games"),
    "success in words": (lambda e: spoil(e[3], "success", "yes"), "episodes.jsonl: success is 'yes'"),
    "no task type": (lambda e: e[3].pop("task_type"), "episodes.jsonl: task_type is missing"),
}


@pytest.mark.parametrize(("change", "message"), BAD_EPISODES.values(), ids=BAD_EPISODES)
def test_episodes_that_cannot_be_right_take_the_run_out(sweep: Sweep, change, message: str) -> None:
    folder = sweep.done("paw", 0)
    result = json.loads((folder / "result.json").read_text())
    episodes = read_lines(folder / "episodes.jsonl")
    publish(folder, 4)
    change(episodes)
    write_lines(folder / "episodes.jsonl", episodes)
    result["files"].pop("episodes.jsonl")
    write(folder / "result.json", result)
    results = load(sweep.path)
    assert row(results, "paw", 0)["status"] == "damaged"
    assert message in only_problem(results)


def test_a_result_that_its_episodes_contradict_takes_the_run_out(sweep: Sweep) -> None:
    folder = sweep.done("paw", 0)
    result = json.loads((folder / "result.json").read_text())
    result["evaluation"]["after"]["success"] += 0.01
    write(folder / "result.json", result)
    results = load(sweep.path)
    assert row(results, "paw", 0)["status"] == "damaged"
    assert math.isnan(row(results, "paw", 0)["success_after"])
    assert "result.json says success" in only_problem(results)


@pytest.mark.parametrize("name", ["config.json", "result.json", "metrics.jsonl"])
def test_a_run_of_another_schema_version_is_named_and_left_out(sweep: Sweep, name: str) -> None:
    path = sweep.finish().folder("paw", 0) / name
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99', 1))
    results = load(sweep.path)
    assert row(results, "paw", 0)["status"] == "damaged"
    problem = only_problem(results)
    assert "schema_version 99" in problem or f"{name}: changed after the result" in problem
    assert len(results.done()) == 5


def test_a_result_that_is_no_result_is_one_line(sweep: Sweep) -> None:
    folder = sweep.done("paw", 0)
    for document in ("[]", "{", '{"schema_version": 1}', json.dumps({"schema_version": 1, "run_id": folder.name})):
        (folder / "result.json").write_text(document)
        results = load(sweep.path)
        assert row(results, "paw", 0)["status"] == "damaged"
        only_problem(results)


def test_a_copied_run_folder_is_not_taken_for_another_run(sweep: Sweep) -> None:
    source = sweep.done("paw", 0)
    source.rename(sweep.folder("paw", 1))
    results = load(sweep.path)
    assert row(results, "paw", 0)["status"] == "not started"
    assert "a copied folder?" in only_problem(results)
    assert results.done().empty


def test_an_evaluation_before_training_is_optional(sweep: Sweep) -> None:
    folder = sweep.done("paw", 0)
    episodes = [e for e in read_lines(folder / "episodes.jsonl") if e["phase"] == "after"]
    write_lines(folder / "episodes.jsonl", episodes)
    result = json.loads((folder / "result.json").read_text())
    result["evaluation"]["before"] = None
    result["files"] = {}
    write(folder / "result.json", result)
    results = load(sweep.path)
    assert results.problems == ()
    assert math.isnan(row(results, "paw", 0)["success_before"])
    assert row(results, "paw", 0)["success_after"] == sum(e["success"] for e in episodes) / 12


def test_evaluations_during_training_stand_at_their_update(sweep: Sweep) -> None:
    folder = sweep.running("paw", 0, updates=3)
    done = read_lines(sweep.done("grpo", 0) / "episodes.jsonl")
    write_lines(folder / "episodes.jsonl", [{**e, "phase": "update-000002"} for e in done if e["phase"] == "after"])
    results = load(sweep.path)
    during = results.evaluation[results.evaluation["run_id"] == folder.name]
    assert set(during["update"]) == {2}
    assert set(results.evaluation[results.evaluation["phase"] == "after"]["update"]) == {4}


def test_axes_become_columns_and_a_condition(tmp_path: Path) -> None:
    axes = [{"model.name": "embedded"}, {"model.name": "embedded-small"}]
    results = load(Sweep(tmp_path, arms=("grpo", "paw"), axes=axes, updates=2, games=6).finish().path)
    assert results.conditions == ("model.name=embedded", "model.name=embedded-small")
    assert results.runs["model.name"].value_counts().to_dict() == {"embedded": 4, "embedded-small": 4}
    assert set(results.evaluation["condition"]) == set(results.conditions)


def test_a_sweep_without_any_run_has_frames_with_all_columns(sweep: Sweep) -> None:
    empty, full = load(sweep.path), load(sweep.finish().path)
    assert set(empty.runs["status"]) == {"not started"}
    for name, columns in {
        "evaluation": EVALUATION,
        "metrics": METRICS,
        "episodes": EPISODES,
        "fixed_transitions": FIXED_TRANSITIONS,
    }.items():
        assert getattr(empty, name).empty
        pd.testing.assert_series_equal(getattr(empty, name).dtypes, getattr(full, name)[list(columns)].dtypes)
    pd.testing.assert_series_equal(empty.runs.dtypes, full.runs.dtypes)


def test_metrics_that_a_later_version_adds_are_kept(sweep: Sweep) -> None:
    folder = sweep.running("paw", 0, updates=2)
    records = [{**record, "padding_share": 0.25, "note": "x"} for record in read_lines(folder / "metrics.jsonl")]
    write_lines(folder / "metrics.jsonl", records)
    metrics = load(sweep.path).metrics
    assert metrics["padding_share"].tolist() == [0.25, 0.25]
    assert "note" not in metrics


def test_a_foreign_folder_is_refused_with_a_remedy(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(StoreError, match=r"is no sweep directory.*\n.*remedy"):
            load(path)
    (tmp_path / "sweep.json").write_text('{"my": "own"}')
    with pytest.raises(StoreError, match="schema_version None"):
        load(tmp_path)


def test_a_sweep_of_another_schema_version_is_refused(sweep: Sweep) -> None:
    path = sweep.path / "sweep.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(StoreError, match=r"sweep\.json: has schema_version 2"):
        load(sweep.path)


BAD_PLANS = {
    "no runs": (lambda plan: plan.update(runs=[]), "holds no run"),
    "no cost": (lambda plan: plan.pop("cost"), "lacks what every plan has"),
    "a stranger as reference": (lambda plan: plan.update(reference="ppo"), "names ppo"),
    "a stranger in a comparison": (lambda plan: plan.update(comparisons=[["paw", "ppo"]]), "names ppo"),
}


@pytest.mark.parametrize(("change", "message"), BAD_PLANS.values(), ids=BAD_PLANS)
def test_a_plan_that_cannot_be_read_is_refused(sweep: Sweep, change, message: str) -> None:
    document = json.loads((sweep.path / "sweep.json").read_text())
    change(document["plan"])
    write(sweep.path / "sweep.json", document)
    with pytest.raises(StoreError, match=message):
        load(sweep.path)


def test_the_builder_uses_a_config_that_the_schema_accepts(sweep: Sweep) -> None:
    config = RunDirectory(sweep.done("paw", 1)).config
    assert config.experiment.world_model.enabled
    assert config.experiment != ExperimentConfig()
    assert len(HASH) == 64
