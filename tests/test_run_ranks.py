"""A sweep whose run is trained by two processes, on the real engine: a killed process ends the attempt, not the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from devcluster import Devcluster
from sweeping import wait_for

from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.warm_start.config import SizeConfig
from paw_bench.warm_start.tokenizer import build_tokenizer
from paw_bench.warm_start.train import build_model

pytestmark = pytest.mark.slow

_EXPERIMENT = """
schema_version: 1
name: ranks
scale: dot
base:
  model: {{ name: {model} }}
  environment:
    games: {{ train: 6, tune: 6, valid_seen: 4, valid_unseen: 6, max_receptacles: 20 }}
    max_turns: 3
    invalid_action: admissible
  prompt: {{ style: compact }}
  context: {{ mode: window, turns: 1, max_prompt_tokens: 256, max_response_tokens: 4 }}
  rollout: {{ deterministic: true }}
  algorithm: {{ groups: 2, group_size: 2, optimizer_steps: 2, learning_rate: 1.0e-3 }}
  training: {{ updates: 3 }}
arms:
  paw: {{ world_model: paw }}
seeds: [0]
execution: {{ checkpoint_every: 1, environment_workers: 1, micro_batch_rows: 4, processes: {processes} }}
"""
_TWO_NODES = """
schema_version: 1
partition: gpu
nodes: 2
cpus: 2
memory_gb: 4
time: "00:20:00"
"""
_TIMED = {"seconds", "device_seconds", "time", "peak_memory_mb"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model: what it plays is nonsense, but sampled, scored and trained for real."""
    texts = ["You arrive at shelf 1. On the shelf 1, you see a apple 2.", "go to shelf 1", "Nothing happens."]
    tokenizer = build_tokenizer(texts, {"shelf": 6, "cabinet": 6}, size=450)
    folder = tmp_path_factory.mktemp("model")
    build_model(SizeConfig(hidden=32, intermediate=64, layers=1, heads=2), tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


class Sweep:
    """The experiment in a folder of its own, with so many processes a run, and its `sweep` command at work."""

    def __init__(self, folder: Path, model: Path, cache: Path, processes: int, *options: str) -> None:
        (folder / "scales").mkdir(parents=True)
        (folder / "scales" / "dot.yaml").write_text("schema_version: 1\n")
        file = folder / "ranks.yaml"
        file.write_text(_EXPERIMENT.format(model=model, processes=processes))
        self.directory = SweepDirectory(folder / "results" / "ranks-dot")
        command = [sys.executable, "-m", "paw_bench.cli", "sweep", str(file), *options]
        command += ["--results", str(folder / "results")]
        environment = {**os.environ, "PAW_BENCH_CACHE": str(cache)}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    @property
    def run(self) -> RunDirectory:
        return next(iter(self.directory.runs()))

    def end(self) -> RunDirectory:
        """Its one run, done or handed to Slurm."""
        output, _ = self.process.communicate(timeout=500)
        assert self.process.returncode == 0, output + self.run.attempts()[-1].log.read_text()[-4000:]
        return self.run


def numbers(run: RunDirectory) -> str:
    """What a run computed, without what its clock and its machine say."""
    metrics = [{key: value for key, value in record.items() if key not in _TIMED} for record in run.metrics()]
    result = RunDirectory(run.path).result()
    assert result is not None
    return json.dumps([metrics, run.episodes(), run.fixed_transitions(), result["evaluation"]])


def rank_of(run: RunDirectory, rank: int) -> int | None:
    """Process id of a rank of the attempt at work, or None."""
    started = [event for event in run.events() if event["event"] == "attempt_started"]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if started and parent == started[-1]["pid"] and f"RANK={rank}".encode() in variables:
            return int(process.name)
    return None


def test_a_killed_process_ends_the_attempt_and_the_sweep_goes_on_to_the_same_numbers(
    tmp_path: Path, model: Path, cache: Path
) -> None:
    unbroken = Sweep(tmp_path / "unbroken", model, cache, processes=2).end()
    assert len(unbroken.attempts()) == 1
    assert unbroken.config.execution.ranks == 2

    sweep = Sweep(tmp_path / "broken", model, cache, processes=2)
    while not list(sweep.directory.path.glob("runs/*/checkpoints/update-000001")):
        assert sweep.process.poll() is None, "the run ended before a process could be killed"
        time.sleep(0.02)
    victim = rank_of(sweep.run, 1)
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    broken = sweep.end()
    ends = [event for event in broken.events() if event["event"] == "attempt_ended"]
    assert [end["outcome"] for end in ends] == ["failed", "done"]
    assert ends[0]["error"] == "RankLost"
    assert "process 1 of 2 was killed by SIGKILL" in ends[0]["reason"]
    assert [event["event"] for event in broken.events()].count("resumed") == 1
    assert numbers(broken) == numbers(unbroken)


def test_episodes_do_not_depend_on_the_number_of_processes(tmp_path: Path, model: Path, cache: Path) -> None:
    one, two = (Sweep(tmp_path / str(n), model, cache, processes=n).end() for n in (1, 2))
    before = [[record for record in run.episodes() if record["phase"] == "before"] for run in (one, two)]
    assert before[0] == before[1]
    first = [run.metrics()[0] for run in (one, two)]
    assert first[0]["tokens"] == first[1]["tokens"]
    for key in ("reward", "penalty", "turns", "accepted_share", "loss", "rl_loss", "grad_norm"):
        assert first[1][key] == pytest.approx(first[0][key], rel=1e-3, abs=1e-6), key
    assert first[1]["wm"] == pytest.approx(first[0]["wm"], rel=1e-4)
    assert first[1]["redone_episodes"] == 0


def test_the_processes_of_an_attempt_die_with_it(tmp_path: Path, model: Path, cache: Path) -> None:
    sweep = Sweep(tmp_path / "orphans", model, cache, processes=2)
    while not list(sweep.directory.path.glob("runs/*/attempts/1")) or rank_of(sweep.run, 1) is None:
        assert sweep.process.poll() is None
        time.sleep(0.05)
    time.sleep(2.0)
    ranks = [rank_of(sweep.run, rank) for rank in (0, 1)]
    attempt = next(event["pid"] for event in sweep.run.events() if event["event"] == "attempt_started")
    os.kill(sweep.process.pid, signal.SIGKILL)
    os.kill(attempt, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in ranks):
        assert time.monotonic() < deadline, "a process outlived its attempt"
        time.sleep(0.05)
    sweep.process.wait()


def test_two_nodes_of_a_cluster_give_the_numbers_of_one_machine(
    slurm: Devcluster, tmp_path: Path, model: Path, cache: Path
) -> None:
    here = Sweep(tmp_path / "here", model, cache, processes=2).end()
    profile = tmp_path / "two_nodes.yaml"
    profile.write_text(_TWO_NODES)
    there = Sweep(tmp_path / "there", model, cache, 2, "--cluster", str(profile)).end()
    wait_for(lambda: RunDirectory(there.path).result() is not None, seconds=400)
    assert slurm.slurm("scontrol", "show", "job", "--oneliner").count("NumNodes=2") == 1
    assert len(there.attempts()) == 1
    assert numbers(there) == numbers(here)
