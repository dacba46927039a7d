"""Real runs that are stopped: a policy that a far too large learning rate ruins, weights that become useless."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from paw_bench.config.schema import RunConfig
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.causes import end_of
from paw_bench.sweep.history import history_lines
from paw_bench.sweep.identity import run_id
from paw_bench.sweep.status import run_status

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


def stopped_run(folder: Path, cache: Path, *, learning_rate: float, warmup: int) -> tuple[SweepDirectory, RunDirectory]:
    """Train the small shipped model until it is stopped."""
    games = {"train": 12, "tune": 6, "valid_seen": 6, "valid_unseen": 6, "max_receptacles": 20}
    config = RunConfig.model_validate(
        {
            "experiment": {
                "model": {"name": "embedded-small"},
                "environment": {"games": games, "max_turns": 12, "invalid_action": "admissible"},
                "prompt": {"style": "compact"},
                "context": {"mode": "window", "turns": 1, "max_prompt_tokens": 256, "max_response_tokens": 8},
                "rollout": {"deterministic": True},
                "algorithm": {
                    "groups": 2,
                    "group_size": 8,
                    "optimizer_steps": 1,
                    "learning_rate": learning_rate,
                    "lr_schedule": "linear",
                    "warmup_steps": warmup,
                },
                "training": {"updates": 12},
                "evaluation": {"before": False},
            },
            "execution": {"checkpoint_every": 1, "environment_workers": 1, "collapse": {"updates": 3}},
        }
    )
    identity = run_id(config.experiment)
    sweep = SweepDirectory.create(
        folder,
        name="stopped",
        scale="smoke",
        source="stopped.yaml",
        text="",
        plan={"runs": [{"run_id": identity, "arm": "grpo", "axes": {}, "seed": 0}]},
    )
    run = RunDirectory.create(sweep.run_path(identity), RunInfo(identity, "stopped", "grpo", {}, 0), config)
    command = [sys.executable, "-m", "paw_bench.cli", "run", str(run.path)]
    environment = {**os.environ, "PAW_BENCH_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    called = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert called.returncode == 1, (run.path / "attempts/1/log.txt").read_text()
    return sweep, run


def ending(sweep: SweepDirectory, run: RunDirectory) -> str:
    """What `status`, `why` and a cluster's policy say of the run's end, in that they agree."""
    status = run_status(sweep, sweep.info["plan"]["runs"][0])
    assert (status.state, status.transient) == ("failed", False)
    assert any(line.endswith(f"attempt 1 ended: failed: {status.reason}") for line in history_lines(sweep, run, status))
    events = {event["event"]: event for event in run.events()}
    started, ended = events["attempt_started"], events["attempt_ended"]
    end = end_of(None, started, ended)
    assert end.reason == status.reason
    return f"{end.cause}: {status.reason}"


def checkpoints(run: RunDirectory) -> list[str]:
    return sorted(path.name for path in (run.path / "checkpoints").iterdir())


def test_a_collapsed_policy_stops_the_run_and_leaves_a_checkpoint_from_before(tmp_path, cache):
    sweep, run = stopped_run(tmp_path, cache, learning_rate=1.0, warmup=4)
    metrics = run.metrics()
    first, last = len(metrics) - 2, len(metrics)
    assert all(record["success"] == 0 and record["valid_share"] <= 0.05 for record in metrics[first - 1 :])
    assert metrics[0]["success"] > 0
    said = ending(sweep, run)
    assert said.startswith(
        f"collapsed: PolicyCollapsed: no success in updates {first} to {last}, and 100% of its actions"
    )
    assert said.endswith(f"the last good checkpoint is that of update {first - 1}")
    assert checkpoints(run) == [f"update-{update:06d}" for update in range(1, first)][-2:]


def test_weights_that_only_fail_in_the_next_update_are_not_the_checkpoint_that_is_left(tmp_path, cache):
    """The first update's rate is 0, the second's ruins the weights without a loss or gradient that is not finite."""
    sweep, run = stopped_run(tmp_path, cache, learning_rate=1e30, warmup=1)
    assert [record["update"] for record in run.metrics()] == [1, 2]
    said = ending(sweep, run)
    assert said.startswith("diverged: TrainingDiverged: update 3, optimizer step 3: loss nan")
    assert said.endswith("the last good checkpoint is that of update 1")
    assert checkpoints(run) == ["update-000001"]
    assert [event["update"] for event in run.events() if event["event"] == "checkpoint_discarded"] == [2]
    weights = torch.load(run.path / "checkpoints/update-000001/trainer.pt", weights_only=True)["model"]
    assert max(weight.abs().max().item() for weight in weights.values()) < 100
