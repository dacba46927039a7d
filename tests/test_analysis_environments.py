"""Reports of runs on any environment: task types are data, and the environment need not be installed here."""

import json

import analysis_sweep
import pytest
from analysis_sweep import Sweep, publish

from analysis import cells
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
