"""A report can be computed again and compared, and every cell explained by its runs."""

import hashlib
import json
import math
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
import pytest
from analysis_sweep import Sweep, publish, read_lines, write_lines
from matplotlib.figure import Figure

from analysis import cells, figures, report, run_tables, tables
from analysis.explain import explain
from analysis.explain_tables import tables_of
from analysis.load import load
from analysis.plotted import figure_data, plotted
from analysis.verify import Change, verify
from paw_bench import cli_report
from paw_bench.errors import StoreError, UserError


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    made = Sweep(tmp_path / "sweep", arms=("grpo", "paw"), seeds=(0, 1, 2), updates=2, games=12)
    return made.finish(skip=[("paw", 2)])


def drawn(results: object, folder: Path) -> None:
    folder.mkdir()
    (folder / "learning_curves.pdf").write_bytes(b"a picture")


@pytest.fixture
def folder(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A report without its pictures, which take seconds to draw; their data is there."""
    with monkeypatch.context() as patch:
        patch.setattr(figures, "draw", drawn)
        written = report.build(sweep.path).folder
    return written


def changed(folder: Path, name: str, old: str, new: str) -> tuple[Change, ...]:
    path = folder / name
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    return verify(folder).changes


def test_a_fresh_report_is_what_its_run_files_give(folder: Path) -> None:
    found = verify(folder)
    assert found.changes == ()
    assert found.pictures == 1
    assert found.files + found.pictures + 1 == sum(1 for path in folder.rglob("*") if path.is_file())  # and SHA256SUMS
    assert {"learning_curves.csv", "before_after.csv"} <= {path.name for path in (folder / "figures").glob("*.csv")}


def test_a_changed_cell_is_named_with_its_values_and_runs(sweep: Sweep, folder: Path) -> None:
    (cell,) = explain(load(sweep.path), "paw, All")
    (change,) = changed(folder, "cells.csv", f",paw,after,all,{cell.mean / 100!r},", ",paw,after,all,0.99,")
    assert change.file == "cells.csv"
    assert change.cell == "paw / after / all: mean"
    assert (change.reported, float(change.computed)) == ("0.99", cell.mean / 100)
    assert change.run_ids == tuple(part.run_id for part in cell.parts)


def test_every_kind_of_file_is_compared(folder: Path) -> None:
    (point,) = changed(folder, "figures/learning_curves.csv", ",2.0,", ",2.5,")
    assert point.file == "figures/learning_curves.csv"
    assert point.cell.startswith("panel 1 / ")
    assert (point.reported, point.computed) == ("2.5", "2.0")
    row, *_ = [change for change in changed(folder, "table.md", "| grpo | ", "| grpo | 9") if change.file == "table.md"]
    assert row.cell.endswith("(grpo), cell 2")
    (folder / "comparisons.csv").unlink()
    (folder / "more.csv").write_text("a\n1\n")
    changes = {change.file: (change.reported, change.computed) for change in verify(folder).changes}
    assert changes["comparisons.csv"] == ("missing", "is part of the report")
    assert changes["more.csv"] == ("is there", "no part of the report")


def test_a_picture_that_was_swapped_is_found(folder: Path) -> None:
    picture = folder / "figures" / "learning_curves.pdf"
    picture.write_bytes(b"another picture")
    (change,) = verify(folder).changes
    assert (change.file, change.cell) == ("figures/learning_curves.pdf", "the picture")
    picture.unlink()
    (change,) = verify(folder).changes
    assert change.computed == "found missing"
    (folder / "figures" / "SHA256SUMS").unlink()
    assert [change.file for change in verify(folder).changes] == ["figures/SHA256SUMS"]


def test_hashes_are_those_that_sha256sum_reads(folder: Path) -> None:
    lines = (folder / "figures" / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == sum(1 for _ in (folder / "figures").iterdir()) - 1
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / "figures" / name).read_bytes()).hexdigest() == digest


def test_a_picture_of_other_data_is_found(sweep: Sweep, folder: Path) -> None:
    sweep.done("paw", 2)
    found = {(change.file, change.cell) for change in verify(folder).changes}
    assert ("figures/learning_curves.csv", "the data that the picture was drawn from") in found


def test_every_cell_below_tables_and_of_the_cost_table_leads_to_runs(sweep: Sweep) -> None:
    results = load(sweep.path)
    made = tables_of(results)
    assert {"main", "overhead", "variance", "cost"} <= set(made)
    known = {run["run_id"]: run["result_sha256"] for run in results.done().to_dict("records")}
    for name, table in made.items():
        for row in table.rows:
            for column, text in zip(table.columns[1:], row[1:], strict=True):
                found = explain(results, f"{name}: {row[0]}, {column}")
                assert text in [cell.words for cell in found]
                own = next(cell for cell in found if cell.words == text)
                assert all(known[part.run_id] == part.result_sha256 for part in own.parts)
                published = getattr(text, "published", False)
                assert bool(own.parts) != published, (name, row[0], column)
    (cost,) = explain(results, "cost: paw, Runs")
    assert {part.run_id for part in cost.parts} == {sweep.folder("paw", seed).name for seed in (0, 1)}


def test_run_files_that_changed_show_as_cells_that_changed(sweep: Sweep, folder: Path) -> None:
    run = sweep.folder("paw", 0)
    records = read_lines(run / "episodes.jsonl")
    for record in records:
        record["success"] = False
    write_lines(run / "episodes.jsonl", records)
    publish(run, 2)
    changes = verify(folder).changes
    mine = [change for change in changes if change.file == "cells.csv"]
    assert {change.cell.split(" / ")[0] for change in mine} == {"paw"}
    assert all(run.name in change.run_ids for change in mine)
    assert any(change.cell == "paw / after / all: mean" for change in mine)


def test_a_report_that_lies_elsewhere_is_compared_with_the_sweep_that_is_named(sweep: Sweep, folder: Path) -> None:
    moved = folder.rename(sweep.path.parent / "paper")
    assert verify(moved, sweep.path).changes == ()
    with pytest.raises(StoreError, match="is no sweep directory"):
        verify(moved)
    with pytest.raises(StoreError, match="is no report"):
        verify(sweep.path)


def test_the_command_says_what_changed_and_how_it_ended(
    sweep: Sweep, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(which: Path, as_json: bool) -> tuple[int, str]:
        code = cli_report.verify_report(str(which), results=sweep.path.parent, sweep=None, as_json=as_json)
        return code, capsys.readouterr().out

    code, out = call(sweep.path, False)
    assert (code, "byte for byte" in out) == (0, True)
    changed(folder, "runs.csv", "done", "lost")
    code, out = call(folder, False)
    assert code == 1
    assert "runs.csv: grpo / " in out
    assert ": status: lost -> done" in out
    code, out = call(folder, True)
    assert (code, json.loads(out)["changes"][0]["reported"]) == (1, "lost")


def test_every_cell_of_the_tables_is_explained_by_its_runs(sweep: Sweep) -> None:
    results = load(sweep.path)
    ablation = tables.ablation(results, cells.cells(results), cells.comparisons(results))
    for row in ablation.rows:
        for column, text in zip(ablation.columns, row, strict=True):
            if column in {"Arm", "Verdict", "Seeds"} or text == "reference":
                continue
            (cell,) = explain(results, f"{row[0]}, {column}")
            assert cell.words == text, column
            if not cell.against:
                assert cell.mean == pytest.approx(np.mean([part.value for part in cell.parts]))
    names = (
        "Perplexity before",
        "Perplexity after",
        "Accuracy before",
        "Accuracy after",
        "Mean λ",
        "Clipped",
        "Selected",
    )
    for row in run_tables.world_model(results).rows:
        for column, text in zip(names, row[1:], strict=True):
            assert explain(results, f"{row[0]}, {column}")[0].words in {text, text.replace("(", "").replace(")", "")}


def test_the_runs_behind_a_cell_are_on_disk_and_the_missing_one_is_named(sweep: Sweep) -> None:
    (cell,) = explain(load(sweep.path), " PAW,all ")
    assert [part.seed for part in cell.parts] == [0, 1]
    assert cell.marks == "missing seeds"
    assert cell.absent == (f"paw seed 2 ({sweep.folder('paw', 2).name}): not started",)
    for part in cell.parts:
        data = (sweep.path / part.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == part.result_sha256
        assert 100 * json.loads(data)["evaluation"]["after"]["success"] == pytest.approx(part.value)


def test_a_cell_that_is_not_there_is_refused_with_what_there_is(sweep: Sweep) -> None:
    with pytest.raises(UserError, match=r"no such cell[\s\S]*arms: grpo, paw; columns: Pick, "):
        explain(load(sweep.path), "ppo, All")


def test_axes_give_a_cell_for_each_condition(tmp_path: Path) -> None:
    axes = [{"model.name": "a"}, {"model.name": "b"}]
    results = load(Sweep(tmp_path, arms=("grpo", "paw"), axes=axes, updates=1, games=6).finish().path)
    assert [cell.cell for cell in explain(results, "paw, gain")] == [
        "paw, Gain, model.name=a",
        "paw, Gain, model.name=b",
    ]
    assert [cell.cell for cell in explain(results, "paw, gain, model.name=b")] == ["paw, Gain, model.name=b"]


def test_the_command_prints_a_cell(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    cli_report.explain_cell("paw, All against grpo", str(sweep.path), results=Path("nowhere"), as_json=False)
    out = capsys.readouterr().out
    assert sweep.folder("paw", 0).name in out
    assert sweep.folder("grpo", 2).name in out
    assert "c0ffee" in out
    assert "not in it: paw seed 2" in out
    cli_report.explain_cell("grpo, Clipped", None, results=sweep.path.parent, as_json=True)
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert len(cell["parts"]) == 3


def test_the_points_of_every_kind_of_mark_are_read_off_the_figure() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.set_title("curves", loc="left")
    left.plot([1, 2], [3.0, math.nan], gid="paw, mean")
    left.fill_between([1, 2], [1, 2], [4, 6], gid="paw, interval")
    right.errorbar(5.0, 0, xerr=2.0, marker="o", capsize=1)
    right.barh([0, 1], [7.0, 8.0], left=[0.0, 1.0])
    data = plotted(figure)
    assert data["form"].tolist() == ["line", "line", "band", "band", "interval", "bar", "bar"]
    assert data["panel"].tolist() == [1, 1, 1, 1, 2, 2, 2]
    assert data["series"].tolist()[:4] == ["paw, mean", "paw, mean", "paw, interval", "paw, interval"]
    numbers = data[["x", "y", "low", "high"]].to_numpy()
    nan = math.nan
    expected = [[1, 3, nan, nan], [2, nan, nan, nan], [1, nan, 1, 4], [2, nan, 2, 6], [5, 0, 3, 7]]
    np.testing.assert_allclose(numbers, [*expected, [nan, 0, 0, 7], [nan, 1, 1, 9]])


def test_what_a_figure_is_given_is_what_it_shows(tmp_path: Path) -> None:
    """The data of a report is recorded without matplotlib; every figure, drawn in earnest, holds the same points."""
    axes = [{"world_model.selection.alpha": alpha} for alpha in (0.25, 0.5, 1.0)]
    sweep = Sweep(tmp_path, arms=("grpo", "paw", "paw b", "paw c"), seeds=range(10), axes=axes, updates=3, games=12)
    for run in sweep.runs:
        if (run["arm"], run["seed"]) != ("paw", 3):
            sweep.done(run["arm"], run["seed"], axes=run["axes"])
    results = load(tmp_path)
    recorded = dict(figure_data(results))
    with mpl.rc_context(), matplotlib.style.context(figures.STYLE):
        for name, condition, stem in figures.planned(results):
            if condition not in {"", results.conditions[1]}:
                continue
            figure = figures.make(name, results, condition)
            assert (figure is None) == (stem not in recorded)
            if figure is not None:
                pd.testing.assert_frame_equal(recorded[stem], plotted(figure), check_exact=True, obj=stem)
    assert {name for name, _, stem in figures.planned(results) if stem in recorded} >= set(figures.FIGURES)
