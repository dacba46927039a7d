"""A whole sweep by the command line: four algorithms, with and without PaW, on both shipped models, and its report."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest
from experiment_files import ROOT

from paw_bench.store.sweep_directory import SweepDirectory

pytestmark = pytest.mark.slow

MODELS = ["embedded-small", "embedded"]
ALGORITHMS = ["grpo", "rloo", "gigpo", "ppo"]
SHORT = ["training.updates=1", "environment.max_turns=3", "evaluation.games=2", "execution.checkpoint_every=5"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The shipped experiment of the four algorithms with the model as an axis: 16 runs, as short as they can be."""
    folder = tmp_path_factory.mktemp("sweep")
    file = folder / "algorithms.yaml"
    shipped = (ROOT / "experiments" / "algorithms.yaml").read_text()
    file.write_text(f"{shipped}\naxes: {{ model.name: {json.dumps(MODELS)} }}\n")
    command = [sys.executable, "-m", "paw_bench.cli", "sweep", str(file), "--scale", "smoke", "--parallel", "2"]
    for setting in ["seeds=[0]", *SHORT]:
        command += ["--set", setting]
    environment = {**os.environ, "PAW_BENCH_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    called = subprocess.run(
        [*command, "--results", str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert called.returncode == 0, called.stdout + called.stderr
    return SweepDirectory(folder / "algorithms-smoke"), called.stdout


def test_every_run_ends_in_a_valid_result(swept):
    sweep, _ = swept
    runs = list(sweep.runs())
    assert Counter((run.config.experiment.algorithm.name, run.info.axes["model.name"]) for run in runs) == {
        (algorithm, model): 2 for algorithm in ALGORITHMS for model in MODELS
    }
    for run in runs:
        result, (record,) = run.result(verify=True), run.metrics()
        assert result["updates"] == 1
        assert result["evaluation"]["after"]["games"] == 2
        learns_world = run.config.experiment.world_model.enabled
        # Four short episodes may all earn the same, and then RL alone has nothing to learn from.
        assert record["grad_norm"] > 0 or not learns_world
        assert record["logprob_gap"] < 1e-4
        assert (record["wm"]["weight"] > 0) == learns_world
        assert record["wm"]["perplexity"] > 1
        assert (record["value_loss"] is None) == (run.config.experiment.algorithm.name != "ppo")


def test_ppo_plays_as_many_games_as_episodes_and_the_others_a_game_a_group(swept):
    sweep, _ = swept
    for run in sweep.runs():
        (record,) = run.metrics()
        assert record["episodes"] == 4
        assert record["tasks"] == (4 if run.config.experiment.algorithm.name == "ppo" else 2)


def test_the_report_has_every_arm_on_both_models(swept):
    sweep, printed = swept
    page = (sweep.path / "report" / "report.html").read_text()
    for algorithm in ALGORITHMS:
        assert algorithm in printed
        assert f"{algorithm} + paw" in page
    assert all(model in page for model in MODELS)
