"""Whole runs on environments other than ALFWorld: planned, trained, evaluated and reported by the real command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXPERIMENT = """schema_version: 1
scale: smoke
base:
  environment: {{ name: {name} }}
  evaluation: {{ games: 4, before: false }}
  training: {{ updates: 1 }}
arms: {{ paw: {{ world_model: paw }} }}
seeds: [0]
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["webshop", "search_qa", "textworld"])
def test_a_run_on_it_is_trained_evaluated_and_reported(tmp_path, name):
    (tmp_path / "own.yaml").write_text(EXPERIMENT.format(name=name))
    done = subprocess.run(
        [sys.executable, "-m", "paw_bench.cli", "sweep", "own.yaml", "--results", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PAW_BENCH_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / "out").glob("*/runs/*/result.json")
    result = json.loads(run.read_text())
    assert result["evaluation"]["after"]["panel"] == "test"
    episodes = [json.loads(line) for line in run.with_name("episodes.jsonl").read_text().splitlines()[1:]]
    assert all(0.0 <= episode["score"] <= 1.0 for episode in episodes)
    report = next((tmp_path / "out").glob("*/report/report.md")).read_text()
    assert "Generated tasks: not comparable with published numbers." in report
