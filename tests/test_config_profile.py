from __future__ import annotations

from pathlib import Path

import pytest
from experiment_files import ROOT, write

from paw_bench.config.profile import ProfileFile, load_profile
from paw_bench.config.schema import ExecutionConfig, ExperimentConfig, ModelConfig, RunConfig
from paw_bench.errors import ConfigError
from paw_bench.sweep.sbatch import Shape, seconds_of

PROFILE = """schema_version: 1
partition: gpu
cpus: 8
memory_gb: 64
exclude: [n7]
scales:
  small: { time: "04:00:00", partition: short }
models:
  big/model: { gpus: 4, partition: large }
"""


def profile(folder: Path, text: str = PROFILE) -> ProfileFile:
    return load_profile(write(folder, text, "cluster.yaml"))


def config(model: str = "embedded", gpus: int = 1) -> RunConfig:
    execution = ExecutionConfig(device="cuda", gpus=gpus) if gpus else ExecutionConfig()
    return RunConfig(experiment=ExperimentConfig(model=ModelConfig(name=model)), execution=execution)


@pytest.mark.parametrize("path", sorted((ROOT / "slurm").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_profile_loads(path: Path) -> None:
    assert load_profile(path).profile.description


def test_a_model_wins_over_a_scale_and_a_scale_over_the_profile(tmp_path: Path) -> None:
    found = profile(tmp_path).profile
    assert Shape.of(found, "paper", config()).partition == "gpu"
    assert Shape.of(found, "small", config()).partition == "short"
    big = Shape.of(found, "small", config("big/model"))
    assert (big.partition, big.time, big.gpus) == ("large", "04:00:00", 4)


def test_cpus_and_memory_go_with_the_gpus(tmp_path: Path) -> None:
    found = profile(tmp_path).profile
    shapes = [Shape.of(found, "paper", config(gpus=gpus)) for gpus in (0, 1, 2)]
    assert [(shape.cpus, shape.memory_gb) for shape in shapes] == [(8, 64), (8, 64), (16, 128)]


def test_nodes_that_failed_are_added_to_those_excluded(tmp_path: Path) -> None:
    assert Shape.of(profile(tmp_path).profile, "paper", config(), avoid=["n9", "n7"]).exclude == ("n7", "n9")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("partiton: gpu", "cluster.yaml:2: partiton: unknown key 'partiton': did you mean 'partition'?"),
        ("scales: { small: { gpu: 1 } }", "cluster.yaml:2: scales.small.gpu: unknown key 'gpu': did you mean 'gpus'?"),
        ("models: { m: { setup: [] } }", "cluster.yaml:2: models.m.setup: unknown key 'setup'"),
        ("retries: { preemption: 3 }", "retries.preemption: unknown key 'preemption': did you mean 'preempted'?"),
        ("time: 24h", "cluster.yaml:2: time: has characters that are not allowed here"),
        ("cpus: 0", "cluster.yaml:2: cpus: is out of range"),
    ],
)
def test_a_bad_profile_is_refused_with_line_and_key(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        profile(tmp_path, f"schema_version: 1\n{line}\n")
    assert expected in str(caught.value)
    assert caught.value.remedy


def test_a_key_is_found_where_it_was_written(tmp_path: Path) -> None:
    found = profile(tmp_path)
    path = tmp_path / "cluster.yaml"
    assert found.locate("partition", "paper", "embedded") == (f"{path}:2", "partition")
    assert found.locate("partition", "small", "embedded") == (f"{path}:7", "scales.small.partition")
    assert found.locate("partition", "small", "big/model") == (f"{path}:9", "models.big/model.partition")


@pytest.mark.parametrize(("text", "seconds"), [("00:01:30", 90), ("24:00:00", 86400), ("2-01:00:00", 176400)])
def test_time_limits_in_seconds(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds
