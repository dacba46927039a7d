"""Reports of runs on any environment: task types are data, and the environment need not be installed here."""

import json

import analysis_sweep
import pytest
from analysis_sweep import Sweep, publish, read_lines, write_lines

from analysis import cells, table_files
from analysis.load import load
from analysis.report import table_data

TYPES = ("beauty", "coin_collector easy", "2wikimultihopqa", "50% off & more", "x" * 60, "grocery")


@pytest.fixture
def swept(tmp_path, monkeypatch):
    monkeypatch.setattr(analysis_sweep, "TYPES", TYPES)
    sweep = Sweep(tmp_path / "sweep", arms=("grpo", "paw"), seeds=(0, 1), updates=3, games=12).finish()
    for path in sweep.path.glob("runs/*/config.json"):
        document = json.loads(path.read_text())
        elsewhere = {"name": "elsewhere", "options": {"anything": 3}}
        document["config"]["experiment"]["environment"] |= elsewhere
        path.write_text(json.dumps(document))
        publish(path.parent, 3)
    return sweep


def test_task_types_of_another_environment_are_columns(swept):
    results = load(swept.path)
    assert results.problems == ()
    assert set(cells.task_types(results)) == {*TYPES, "all"}
    assert set(results.runs["games_source"]) == {"generated"}


def test_its_tables_are_written(swept):
    grids, _ = table_data(load(swept.path))
    assert "Generated tasks: not comparable with published numbers." in grids["table"].notes
    assert any("2wikimultihopqa" in column.lower() for column in grids["table"].columns)
    assert "Pick2" not in grids["table"].columns


def test_an_axis_of_environments_fills_the_columns_of_one_main_table(tmp_path):
    """At scale embedded each environment has a model of its own; a method still has one row."""
    models = {"alfworld": "embedded", "webshop": "embedded-webshop", "textworld": "embedded-textworld"}
    points = [{"environment.name": name} for name in models]
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0, 1), axes=points, updates=1, games=12).finish()
    for run in sweep.runs:
        folder, name = tmp_path / "runs" / run["run_id"], run["axes"]["environment.name"]
        document = json.loads((folder / "config.json").read_text())
        experiment = document["config"]["experiment"]
        experiment["environment"] |= {"name": name, "options": {}}
        experiment["model"]["name"] = models[name]
        experiment["evaluation"]["panel"] = "valid_seen" if name == "alfworld" else "test"
        (folder / "config.json").write_text(json.dumps(document))
        if name == "webshop":
            records = read_lines(folder / "episodes.jsonl")
            write_lines(folder / "episodes.jsonl", [{**record, "score": 0.25} for record in records])
        publish(folder, 1)
    results = load(tmp_path)
    assert results.problems == ()
    long = cells.cells(results)
    main = table_files.grids(results, long, cells.comparisons(results))["main"]
    assert list(main.headings.values()) == ["embedded, embedded-webshop, embedded-textworld"]
    own = dict(zip(main.columns, main.rows[0], strict=True))
    assert own["WebShop score"].value == pytest.approx(25.0)
    after = long[(long["phase"] == "after") & (long["task_type"] == "all") & (long["arm"] == "grpo")]
    expected = dict(zip(results.conditions, ("All", "WebShop success", "TextWorld"), strict=True))
    for condition, column in expected.items():
        (row,) = after[after["condition"] == condition].to_dict("records")
        assert own[column].value == pytest.approx(100 * row["mean"])
