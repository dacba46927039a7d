"""Whole runs on the real engine and the real trainer: exact resume after SIGKILL, equal results for equal configs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.store import jsonl
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.sweep.identity import run_id
from paw_bench.warm_start.config import SizeConfig
from paw_bench.warm_start.tokenizer import build_tokenizer
from paw_bench.warm_start.train import build_model

pytestmark = pytest.mark.slow

UPDATES = 3


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    """An untrained model: what it plays is nonsense, but sampled, scored, trained and resumed for real."""
    texts = ["You arrive at shelf 1. On the shelf 1, you see a apple 2.", "go to shelf 1", "Nothing happens."]
    tokenizer = build_tokenizer(texts, {"shelf": 6, "cabinet": 6}, size=450)
    folder = tmp_path_factory.mktemp("model")
    build_model(SizeConfig(hidden=32, intermediate=64, layers=1, heads=2), tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def config_of(model: Path, mode: str) -> RunConfig:
    games = {"train": 6, "tune": 6, "valid_seen": 6, "valid_unseen": 6, "max_receptacles": 20}
    context = {"mode": "window", "turns": 1} if mode == "window" else {"mode": "full"}
    return RunConfig.model_validate(
        {
            "experiment": {
                "model": {"name": str(model)},
                "environment": {"games": games, "max_turns": 3, "invalid_action": "admissible"},
                "prompt": {"style": "compact"},
                "context": {**context, "max_prompt_tokens": 256, "max_response_tokens": 4},
                "rollout": {"deterministic": True},
                "algorithm": {"groups": 2, "group_size": 2, "optimizer_steps": 2, "learning_rate": 1e-3, "epochs": 2},
                "world_model": {"enabled": True},
                "training": {"updates": UPDATES},
                "evaluation": {"every": 2},
            },
            "execution": {"checkpoint_every": 1, "environment_workers": 1, "micro_batch_rows": 4},
        }
    )


def directory_of(path: Path, config: RunConfig) -> RunDirectory:
    identity = run_id(ExperimentConfig.model_validate(config.experiment.model_dump()))
    return RunDirectory.create(path / identity, RunInfo(identity, "test", "paw", {}, 0), config)


def attempt(directory: RunDirectory, cache: Path) -> subprocess.Popen:
    environment = {**os.environ, "PAW_BENCH_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "paw_bench.cli", "run", str(directory.path)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def numbers(directory: RunDirectory) -> dict:
    """What a run computed, without what its clock and its machine say."""
    timed = {"seconds", "device_seconds", "time", "peak_memory_mb"}
    result = RunDirectory(directory.path).result()
    return {
        "metrics": [{k: v for k, v in record.items() if k not in timed} for record in directory.metrics()],
        "episodes": directory.episodes(),
        "fixed": directory.fixed_transitions(),
        "samples": (directory.path / "samples.jsonl").read_text(),
        "evaluation": result["evaluation"],
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("mode", ["window", "full"])
def test_a_run_killed_at_any_moment_ends_with_the_numbers_of_an_unbroken_one(mode, model_folder, cache, tmp_path):
    config = config_of(model_folder, mode)
    unbroken = directory_of(tmp_path / "unbroken", config)
    assert attempt(unbroken, cache).wait() == 0, (unbroken.path / "attempts/1/log.txt").read_text()
    (recorded,) = (jsonl.read(one.tokens) for one in unbroken.attempts())
    assert {record["update"] for record in recorded} == {1}
    assert {span["source"] for row in recorded[0]["rows"] for span in row["spans"]} >= {
        "prompt",
        "action",
        "observation",
    }
    broken = directory_of(tmp_path / "broken", config)
    # Killed once in the middle of training, and once more after that.
    for stop in ("checkpoints/update-000001", "checkpoints/update-000002"):
        process = attempt(broken, cache)
        while not (broken.path / stop).exists() and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, "the run ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert broken.result() is None
    assert attempt(broken, cache).wait() == 0
    assert json.dumps(numbers(broken)) == json.dumps(numbers(unbroken))
    assert len(broken.attempts()) == 3
    assert [event["update"] for event in broken.events() if event["event"] == "resumed"] == [1, 2]
    assert not (broken.path / "checkpoints").exists()
