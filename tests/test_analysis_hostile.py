"""Broken, foreign and hostile files: one clear line each, and never a number."""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from analysis_sweep import Sweep, publish, read_lines, write, write_lines

from analysis import cells
from analysis.load import Results, load
from paw_bench.errors import StoreError

GIGABYTE = 1_000_000_000


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    made = Sweep(tmp_path / "sweep", arms=("grpo", "paw"), seeds=(0, 1), updates=3, games=12)
    return made.finish()


def sparse(path: Path) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(GIGABYTE)


def loop(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content) and None


FILES = {
    "a result of 1 GB": ("result.json", sparse, "result.json: has 1,000 MB, no such file has more than 8"),
    "metrics of 1 GB": ("metrics.jsonl", sparse, "metrics.jsonl: has 1,000 MB"),
    "episodes of 1 GB": ("episodes.jsonl", sparse, "episodes.jsonl: has 1,000 MB"),
    "samples of 1 GB": ("samples.jsonl", sparse, "samples.jsonl: has 1,000 MB"),
    "a journal of 1 GB": ("journal.jsonl", sparse, "journal.jsonl: has 1,000 MB"),
    "a result that links to itself": ("result.json", loop, "result.json: is a symbolic link that leads in a circle"),
    "episodes that never end": ("episodes.jsonl", pipe, "episodes.jsonl: is no regular file"),
    "a lock that never opens": ("lock", pipe, "lock: is no regular file"),
    "a folder for a result": ("result.json", folder, "result.json: is no regular file"),
    "no metrics": ("metrics.jsonl", Path.unlink, "metrics.jsonl: changed after the result"),
    "no config": ("config.json", Path.unlink, "its folder has no config.json"),
    "a result of another schema": ("result.json", text('{"schema_version": 7}'), "schema_version 7"),
    "a result cut in half": ("result.json", text('{"schema_version": 1, "run_'), "is not valid JSON"),
    "nested a thousand times": ("result.json", text("[" * 100_000), "is not valid JSON"),
    "a torn journal in the middle": ("journal.jsonl", text('{"schema_version": 1}\n{"ev\n{}\n'), "journal.jsonl:2"),
    "an event without a name": ("journal.jsonl", text('{"schema_version": 1}\n{"time": 1}\n'), "has no 'event'"),
}


def check(sweep: Sweep, results: Results, message: str) -> None:
    """One line about seed 0 of paw, and nothing of it in any number."""
    spoiled = sweep.folder("paw", 0).name
    assert len(results.problems) == 1
    assert message in results.problems[0]
    assert results.problems[0].isprintable()
    assert len(results.problems[0]) < 420
    assert str(sweep.path) not in results.problems[0]
    assert len(results.done()) == 3
    for frame in (results.evaluation, results.metrics, results.episodes, results.fixed_transitions):
        assert spoiled not in set(frame["run_id"])
    assert not cells.cells(results)["run_ids"].str.contains(spoiled).any()


@pytest.mark.parametrize(("name", "spoil", "message"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_one_takes_its_run_out(sweep: Sweep, name: str, spoil, message: str) -> None:
    spoil(sweep.folder("paw", 0) / name)
    check(sweep, load(sweep.path), message)


def set_in(name: str, **values: object) -> Callable[[Path], None]:
    """Change the second record of a record file."""

    def change(run: Path) -> None:
        records = read_lines(run / name)
        for key, value in values.items():
            group, _, inner = key.partition("__")
            (records[1][group] if inner else records[1])[inner or group] = value
        write_lines(run / name, records)

    return change


RECORDS = {
    "a negative update": (set_in("metrics.jsonl", update=-2), "metrics.jsonl: update is -2, expected at least 0"),
    "negative seconds": (set_in("metrics.jsonl", seconds__total=-1.0), "seconds.total is -1.0"),
    "a success of 150 percent": (set_in("metrics.jsonl", success=1.5), "success is 1.5, expected at most 1"),
    "NaN": (set_in("metrics.jsonl", loss=float("nan")), "metrics.jsonl:3: is no JSON object"),
    "infinity": (set_in("metrics.jsonl", loss=float("inf")), "metrics.jsonl:3: is no JSON object"),
    "negative infinity": (set_in("episodes.jsonl", reward=float("-inf")), "episodes.jsonl:3: is no JSON object"),
    "an integer beyond 64 bits": (set_in("episodes.jsonl", turns=2**63), "turns has an integer of more than 64 bits"),
    "negative turns": (set_in("episodes.jsonl", turns=-3), "turns is -3"),
    "a group that is a list": (set_in("metrics.jsonl", wm=[1]), "wm is no group of values"),
    "a phase from the future": (set_in("episodes.jsonl", phase="update-000099"), "phase is 'update-000099'"),
    "a phase before the first": (set_in("episodes.jsonl", phase="update--1"), "phase is 'update--1'"),
    "a type called all": (set_in("episodes.jsonl", task_type="all"), "which stands for all of them"),
    "a phase measured twice": (set_in("fixed_transitions.jsonl", phase="before"), "holds a phase twice"),
    "bins that end below 1": (
        set_in("fixed_transitions.jsonl", probabilities__edges=[0.0, 0.2, 0.9]),
        "edges do not lead from 0 to 1",
    ),
    "a bin too few": (set_in("fixed_transitions.jsonl", probabilities__edges=[0.0, 0.2, 1.0]), "each of 2 bins"),
    "a threshold inside of a bin": (
        set_in("fixed_transitions.jsonl", probabilities__rho=0.21),
        "edges do not lead from 0 to 1 over rho = 0.21",
    ),
    "bins in words": (set_in("fixed_transitions.jsonl", probabilities__noisy="<script>"), "has not the form"),
    "bins of other tokens": (set_in("fixed_transitions.jsonl", tokens=17), "do not hold the 17 tokens"),
    "a terminal's commands": (set_in("episodes.jsonl", turns="\x1b[2J"), "turns is '\\x1b[2J'"),
}


@pytest.mark.parametrize(("spoil", "message"), RECORDS.values(), ids=RECORDS)
def test_a_value_that_cannot_be_takes_its_run_out(sweep: Sweep, spoil, message: str) -> None:
    run = sweep.folder("paw", 0)
    spoil(run)
    # As if it had been published like this: the hashes fit.
    result = json.loads((run / "result.json").read_text())
    write(run / "result.json", {**result, "files": {}})
    check(sweep, load(sweep.path), message)


RESULTS = {
    "negative updates": ({"updates": -3}, "result.json tells of -3 updates"),
    "negative seconds": ({"seconds": {"training": -1, "evaluation": 0, "total": 0}}, "seconds_training is -1"),
    "seconds in words": ({"seconds": {"training": "x", "evaluation": 0, "total": 0}}, "seconds_training is 'x'"),
    "attempts of a half": ({"attempts": 1.5}, "attempts is 1.5"),
    "a success that is true": (
        {"evaluation": {"after": {"success": True, "games": 12, "by_type": {}}}},
        "success True",
    ),
    "a list of phases": ({"evaluation": []}, "a record has not the form it should have"),
    "files outside of the run": ({"files": {"../../../sweep.json": "0"}}, "stands on other files than"),
    "another run": ({"run_id": "../../elsewhere"}, "is the result of run ../../elsewhere"),
}


@pytest.mark.parametrize(("change", "message"), RESULTS.values(), ids=RESULTS)
def test_a_result_that_cannot_be_takes_its_run_out(sweep: Sweep, change: dict, message: str) -> None:
    path = sweep.folder("paw", 0) / "result.json"
    write(path, {**json.loads(path.read_text()), **change})
    check(sweep, load(sweep.path), message)


def test_a_run_folder_that_links_to_itself_is_one_line(sweep: Sweep) -> None:
    run = sweep.folder("paw", 0)
    run.rename(run.with_name("elsewhere"))
    run.symlink_to(run.name)
    (run.parent / "elsewhere" / "config.json").unlink()
    results = load(sweep.path)
    assert len(results.problems) == 2
    assert "its folder cannot be read: is a symbolic link that leads in a circle" in results.problems[0]
    assert results.problems[1] == "runs/elsewhere: is no run of this sweep; not used"


def test_foreign_files_are_named_and_not_used(sweep: Sweep) -> None:
    (sweep.path / "runs" / "notes \x1b[31m.txt").write_text("mine")
    (sweep.path / "runs" / ".0123456789ab.1-2.tmp").mkdir()
    os.mkdir(os.fsencode(sweep.path / "runs") + b"/\xff")
    (sweep.folder("paw", 0) / "attempts" / "best").mkdir()
    results = load(sweep.path)
    assert len(results.done()) == 4
    assert len(results.problems) == 3
    assert "attempts/best: is no attempt; not used" in results.problems[0]
    assert {problem.split(":")[1] for problem in results.problems[1:]} == {" is no run of this sweep; not used"}
    assert all(problem.isprintable() and problem.encode() for problem in results.problems)


def test_a_provenance_that_cannot_be_read_leaves_the_numbers_and_marks_them(sweep: Sweep) -> None:
    (sweep.folder("paw", 0) / "attempts" / "1" / "provenance.json").write_text("{")
    results = load(sweep.path)
    assert len(results.done()) == 4
    assert len(results.problems) == 1
    assert "attempts/1/provenance.json: is not valid JSON" in results.problems[0]
    assert results.runs["code"].tolist().count("unknown") == 1


PLANS = {
    "a path as a run's name": (lambda plan: plan["runs"][0].update(run_id="../x"), "'../x' is no run id"),
    "an absolute path": (lambda plan: plan["runs"][0].update(run_id="/etc"), "'/etc' is no run id"),
    "a run twice": (lambda plan: plan["runs"].append(plan["runs"][0]), "holds a run twice"),
    "a seed twice": (
        lambda plan: plan["runs"].append({**plan["runs"][0], "run_id": "0" * 12}),
        "a seed of an arm twice",
    ),
    "a negative seed": (lambda plan: plan["runs"][0].update(seed=-1), "-1 is no whole number"),
    "an arm with a terminal's commands": (lambda plan: plan["arms"].append("\x1b[2J"), "is no printable text"),
    "a column as an axis": (lambda plan: plan["runs"][0].update(axes={"status": 1}), "an axis named status"),
    "a time in words": (lambda plan: plan["cost"].update(total_seconds="soon"), "'soon' is no time"),
}


@pytest.mark.parametrize(("change", "message"), PLANS.values(), ids=PLANS)
def test_a_hostile_plan_is_refused_in_one_line(sweep: Sweep, change, message: str) -> None:
    document = json.loads((sweep.path / "sweep.json").read_text())
    change(document["plan"])
    write(sweep.path / "sweep.json", document)
    with pytest.raises(StoreError) as refusal:
        load(sweep.path)
    assert message in refusal.value.problem
    assert refusal.value.problem.isprintable()


def test_files_of_1_gb_take_no_memory(sweep: Sweep) -> None:
    for seed, name in enumerate(("result.json", "episodes.jsonl")):
        sparse(sweep.folder("paw", seed) / name)
    tracemalloc.start()
    try:
        assert len(load(sweep.path).problems) == 2
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_a_plan_of_1_gb_is_refused(sweep: Sweep) -> None:
    sparse(sweep.path / "sweep.json")
    with pytest.raises(StoreError, match=r"has 1,000 MB"):
        load(sweep.path)


def test_markup_in_an_observation_or_a_task_stays_text(sweep: Sweep) -> None:
    run = sweep.folder("paw", 0)
    records = read_lines(run / "episodes.jsonl")
    for record in records:
        record["task_id"] += "<script>alert(1)</script>"
        record["observation"] = "</td><script>alert(1)</script>"
    write_lines(run / "episodes.jsonl", records)
    publish(run, 3)
    results = load(sweep.path)
    assert results.problems == ()
    assert "observation" not in results.episodes
    assert results.episodes["task_id"].str.endswith("</script>").sum() == len(records)
