"""What a number rests on is marked where it stands, and a strict report refuses it."""

import json
from pathlib import Path

import pytest
from analysis_sweep import Sweep, write

from analysis import cells, honesty, report, tables
from analysis.load import Results, load

MARK_OF = {mark.name: mark.sign for mark in honesty.MARKS}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path / "sweep", arms=("grpo", "paw"), seeds=(0, 1), updates=2, games=12).finish()


def provenance(sweep: Sweep, seed: int, attempt: int = 1, **changes: object) -> None:
    """Change what an attempt of paw recorded."""
    first = sweep.folder("paw", seed) / "attempts" / "1" / "provenance.json"
    document = json.loads(first.read_text())
    git = document["git"] | {key: changes.pop(key) for key in ("commit", "dirty", "diff_sha256") if key in changes}
    write(first.parent.parent / str(attempt) / "provenance.json", {**document, "git": git, **changes})


def event(sweep: Sweep, seed: int, name: str, attempt: int) -> None:
    with (sweep.folder("paw", seed) / "journal.jsonl").open("a") as file:
        file.write(json.dumps({"event": name, "time": 1.7e9, "attempt": attempt}) + "\n")


def table_of(results: Results) -> dict[str, dict[str, str]]:
    """Arm -> column -> cell of the ablation table."""
    grid = tables.ablation(results, cells.cells(results), cells.comparisons(results))
    return {row[0]: dict(zip(grid.columns, row, strict=True)) for row in grid.rows} | {
        "notes": {"": " ".join(grid.notes)}
    }


def check(sweep: Sweep, name: str, line: str) -> None:
    """The mark stands at paw's cells and its difference, not at the reference's; strictness names it."""
    results = load(sweep.path)
    table, sign = table_of(results), MARK_OF[name]
    for column in ("Pick", "All", "All before RL", "Gain", "All against grpo"):
        assert table["paw"][column].endswith(sign), column
    assert sign not in "".join(table["grpo"].values())
    assert f"{sign} {next(mark.note for mark in honesty.MARKS if mark.name == name)}" in table["notes"][""]
    long = cells.cells(results)
    assert set(long["marks"][long["arm"] == "paw"]) == {name}
    assert set(long["marks"][long["arm"] == "grpo"]) == {""}
    assert honesty.objections(results) == [line]


def test_a_sweep_that_gives_no_reason_for_doubt_has_no_mark(sweep: Sweep) -> None:
    results = load(sweep.path)
    assert honesty.objections(results) == []
    assert set(cells.cells(results)["marks"]) | set(cells.comparisons(results)["marks"]) == {""}
    assert not set(MARK_OF.values()) & set("".join(table_of(results)["paw"].values()))


def test_missing_seeds(sweep: Sweep) -> None:
    (sweep.folder("paw", 1) / "result.json").unlink()
    check(sweep, "missing seeds", "paw: missing seeds: 1 of 2 are finished; 1 is unfinished")


def test_other_code(sweep: Sweep) -> None:
    provenance(sweep, 1, commit="beef" + "0" * 36)
    line = "paw: mixed code: seed 0: c0ffee0000 with unknown; seed 1: beef000000 with unknown"
    results = load(sweep.path)
    assert honesty.objections(results) == [line]
    check(sweep, "mixed code", line)


def test_other_packages(sweep: Sweep) -> None:
    for seed, version in ((0, "2.13.0"), (1, "2.14.0")):
        provenance(sweep, seed, packages={"torch": version, "alfworld": None})
    line = "paw: mixed code: seed 0: c0ffee0000 with torch 2.13.0; seed 1: c0ffee0000 with torch 2.14.0"
    assert honesty.objections(load(sweep.path)) == [line]


def test_arms_that_ran_different_code_are_marked_where_they_are_compared(sweep: Sweep) -> None:
    for seed in (0, 1):
        provenance(sweep, seed, commit="beef" + "0" * 36)
    results = load(sweep.path)
    assert set(cells.cells(results)["marks"]) == {""}
    assert cells.comparisons(results)["marks"].tolist() == ["mixed code"]
    assert table_of(results)["paw"]["All against grpo"].endswith(MARK_OF["mixed code"])


def test_code_that_was_not_recorded(sweep: Sweep) -> None:
    (sweep.folder("paw", 0) / "attempts" / "1" / "provenance.json").unlink()
    results = load(sweep.path)
    assert "mixed code" in set(cells.cells(results)["marks"])
    assert "paw: mixed code: not recorded for seed 0" in honesty.objections(results)


def test_uncommitted_changes(sweep: Sweep) -> None:
    for seed in (0, 1):
        provenance(sweep, seed, dirty=True, diff_sha256="ab" * 32)
    check_line = "paw: uncommitted changes: seeds 0, 1"
    results = load(sweep.path)
    assert honesty.objections(results) == [check_line]
    assert set(results.runs["code"][results.runs["arm"] == "paw"]) == {"c0ffee" + "0" * 34 + "+" + "ab" * 6}
    assert table_of(results)["paw"]["All"].endswith(MARK_OF["uncommitted changes"])


def test_the_same_commit_with_other_changes_is_other_code(sweep: Sweep) -> None:
    for seed, diff in ((0, "ab" * 32), (1, "cd" * 32)):
        provenance(sweep, seed, dirty=True, diff_sha256=diff)
    long = cells.cells(load(sweep.path))
    assert set(long["marks"][long["arm"] == "paw"]) == {"mixed code; uncommitted changes"}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"commit": "beef" + "0" * 36}, "code"),
        ({"device": "H100"}, "device"),
        ({"execution": {"micro_batch_rows": 16}}, "execution"),
        ({"packages": {"torch": "3"}}, "torch"),
    ],
)
def test_a_resume_with_differences(sweep: Sweep, changes: dict, what: str) -> None:
    event(sweep, 0, "checkpoint", 1)
    provenance(sweep, 0, attempt=2, **changes)
    results = load(sweep.path)
    run = results.runs[results.runs["run_id"] == sweep.folder("paw", 0).name].iloc[0]
    assert run["resumed"] == what
    line = f"paw: resumed with differences: seed 0 ({sweep.folder('paw', 0).name}): {what}"
    assert line in honesty.objections(results)
    assert MARK_OF["resumed with differences"] in table_of(results)["paw"]["All"]


def test_an_attempt_that_left_nothing_makes_no_difference(sweep: Sweep) -> None:
    provenance(sweep, 0, attempt=2)
    provenance(sweep, 0, attempt=1, commit="beef" + "0" * 36)
    results = load(sweep.path)
    assert honesty.objections(results) == []
    assert results.runs["commits"].str.contains("beef").sum() == 1


@pytest.mark.parametrize(
    ("one", "other", "line"),
    [
        ({"device": "H100"}, {"device": "A100"}, "seed 0: unknown on H100; seed 1: unknown on A100"),
        (
            {"execution": {"micro_batch_rows": 32, "max_attempts": 3}},
            {"execution": {"micro_batch_rows": 16, "max_attempts": 3}},
            "seed 0: micro_batch_rows 32 on unknown; seed 1: micro_batch_rows 16 on unknown",
        ),
        (
            {"execution": {"engine": "auto"}, "engine": {"name": "transformers"}},
            {"execution": {"engine": "auto"}, "engine": {"name": "vllm_colocate"}},
            "seed 0: engine transformers on unknown; seed 1: engine vllm_colocate on unknown",
        ),
    ],
)
def test_other_execution(sweep: Sweep, one: dict, other: dict, line: str) -> None:
    provenance(sweep, 0, **one)
    provenance(sweep, 1, **other)
    check(sweep, "mixed execution", f"paw: mixed execution: {line}")


def test_settings_that_touch_no_number_make_no_difference(sweep: Sweep) -> None:
    for seed in (0, 1):
        provenance(sweep, seed, execution={"micro_batch_rows": 32, "max_attempts": seed + 1})
    assert set(cells.cells(load(sweep.path))["marks"]) == {""}


def test_mixed_panels(sweep: Sweep) -> None:
    sweep.done("paw", 1, panel_hash="0" * 64)
    results = load(sweep.path)
    assert table_of(results)["paw"]["All"].endswith(MARK_OF["mixed panels"])
    (line,) = honesty.objections(results)
    assert line.startswith("paw: mixed panels: seed 0: valid_seen 5a5a5a5a5a5a (12 games); seed 1: valid_seen 000000")


def test_strict_refuses_in_a_line_each_and_writes_nothing(sweep: Sweep) -> None:
    (sweep.folder("paw", 1) / "metrics.jsonl").write_text("")
    provenance(sweep, 0, dirty=True)
    with pytest.raises(report.Refused) as refusal:
        report.build(sweep.path, strict=True)
    lines = refusal.value.problem.splitlines()
    assert lines[0] == "paw: missing seeds: 1 of 2 are finished; 1 is damaged"
    assert lines[1] == "paw: uncommitted changes: seed 0"
    assert "changed after the result was published" in lines[2]
    assert not (sweep.path / "report").exists()
