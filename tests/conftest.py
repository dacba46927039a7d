"""Settings of every test."""

import os
import shutil
from collections.abc import Iterator

import pytest
from devcluster import Devcluster
from hypothesis import settings

# No test reaches for the network: read when huggingface_hub is first imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A deadline measures the machine's other work as well: examples may take as long as they take.
settings.register_profile("no deadline", deadline=None, derandomize="PAW_BENCH_SAME_EXAMPLES" in os.environ)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devcluster]:
    """A real Slurm of three virtual nodes, to which every Slurm command of the tests speaks."""
    if shutil.which("sbatch") is None or shutil.which("munged", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("Slurm is not installed: apt-get install slurmctld slurmd slurm-client munge")
    cluster = Devcluster(tmp_path_factory.mktemp("devcluster"))
    cluster.call("start")
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(cluster.state / "slurm.conf")
    yield cluster
    cluster.call("stop")
    del os.environ["SLURM_CONF"]
    if before is not None:
        os.environ["SLURM_CONF"] = before
