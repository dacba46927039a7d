"""The sbatch files that `--dry-run` writes, held to the letter. They need no Slurm."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from experiment_files import write
from sweeping import Sweeping

from paw_bench.config.load import load_experiment_file
from paw_bench.config.profile import load_profile
from paw_bench.config.schema import ExecutionConfig, ExperimentConfig, RunConfig
from paw_bench.errors import UserError
from paw_bench.sweep.cluster_launch import ClusterLaunch
from paw_bench.sweep.cost import predict
from paw_bench.sweep.plan import plan
from paw_bench.sweep.sbatch import Shape, SlurmLauncher

_GOLDEN = Path(__file__).with_name("golden")
_PROFILES = {
    "plain": "partition: gpu\n",
    "everything": """partition: gpu
account: lab
qos: long
gpus: 2
gpu_type: h100
cpus: 8
memory_gb: 64
time: "2-00:00:00"
constraint: nvlink&80gb
exclude: [n7, n9]
max_parallel: 3
setup: [module load cuda]
environment: { ALFWORLD_DATA: $HOME/data }
keeper_partition: cpu
""",
    "nodes": "partition: gpu\ngpus: 8\nnodes: 2\ngpu_type: h100\nsetup: [module load cuda]\n",
    "container": 'container: { prefix: "apptainer exec --nv image.sif" }\n',
}
_CONFIG = RunConfig(experiment=ExperimentConfig(), execution=ExecutionConfig(device="cuda", gpus=1))


@pytest.mark.parametrize("name", _PROFILES)
def test_the_script_of_an_array_and_its_keeper(tmp_path: Path, name: str) -> None:
    profile = load_profile(write(tmp_path, f"schema_version: 1\n{_PROFILES[name]}", "cluster.yaml")).profile
    launcher = SlurmLauncher(profile, tmp_path / "submitit", ["python", "-m", "paw_bench.cli", "run"])
    shape = Shape.of(profile, "paper", _CONFIG)
    keep = [sys.executable, "-m", "paw_bench.cli", "keep", "SWEEP"]
    texts = [launcher.script(shape, "tiny", 5), launcher.keeper_script(shape, "tiny-keeper", keep, "123")]
    found = "\n".join(texts).replace(str(tmp_path), "FOLDER").replace(sys.executable, "PYTHON")
    assert found == (_GOLDEN / f"{name}.sh").read_text()


def test_nodes_that_cannot_share_the_processes_of_a_run_are_refused(tmp_path: Path) -> None:
    text = "schema_version: 1\ngpus: 8\nnodes: 3\n"
    profile = load_profile(write(tmp_path, text, "cluster.yaml")).profile
    with pytest.raises(UserError, match=r"nodes = 3 cannot share the 8 processes .* evenly"):
        Shape.of(profile, "paper", _CONFIG)


def test_dry_run_writes_one_script_for_each_shape_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweeping = Sweeping(tmp_path)
    models = f"{tmp_path}/other"
    text = f"schema_version: 1\npartition: gpu\nmodels: {{ {models}: {{ memory_gb: 99 }} }}\n"
    axes = f"axes: {{ model.name: [{tmp_path}/model, {models}] }}\n"
    sweeping.file.write_text(sweeping.file.read_text() + axes)
    assert sweeping.plan_on(write(tmp_path, text, "cluster.yaml")) == 0
    scripts = {path.name: path.read_text() for path in (sweeping.sweep.path / "sbatch").iterdir()}
    assert set(scripts) == {"array-1.sh", "array-2.sh", "keeper.sh"}
    assert "--mem=16GB" in scripts["array-1.sh"]
    assert "--mem=99GB" in scripts["array-2.sh"]
    assert "wrote " in capsys.readouterr().out
    assert not sweeping.sweep.exists()


def test_what_a_run_costs_counts_the_gpus_of_all_its_nodes(sweeping: Sweeping) -> None:
    launch = launch_of(sweeping, "gpus: 8\nnodes: 2\ncpus: 3\n")
    (size,) = {launch.size(run) for run in launch.plan.runs}
    assert (size.unit, size.units, size.cores) == ("gpu", 8, 24)
    cost = predict(launch.plan, size=launch.size)
    assert cost.most_hours("gpu", [launch.plan.runs[0].run_id]) == 8 * 24.0


def test_more_gpus_than_a_step_has_rows_are_refused_naming_the_key(sweeping: Sweeping) -> None:
    launch = launch_of(sweeping, "gpus: 4096\n")
    with pytest.raises(UserError, match=r"gpus = 4096: an optimizer step has as few as \d+ rows"):
        launch.size(launch.plan.runs[0])


@pytest.fixture
def sweeping(tmp_path: Path) -> Sweeping:
    return Sweeping(tmp_path)


def launch_of(sweeping: Sweeping, profile: str) -> ClusterLaunch:
    """The tiny sweep on GPUs with this profile."""
    file = load_profile(write(sweeping.folder, f"schema_version: 1\n{profile}", "cluster.yaml"))
    made = plan(
        load_experiment_file(sweeping.file, scale=None, overrides=["execution.device=cuda", "execution.gpus=1"])
    )
    return ClusterLaunch(made, file, sweeping.results, ["run"], ["keep"])
