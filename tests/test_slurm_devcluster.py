from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from devcluster import Devcluster
from sweeping import wait_for

_LISTENING = "0A"
_LOOPBACK = "0100007F"


@pytest.fixture
def unprivileged() -> Iterator[Devcluster]:
    """A cluster of one node that runs as nobody, when we are root ourselves."""
    if shutil.which("sbatch") is None:
        pytest.skip("Slurm is not installed: apt-get install slurmctld slurmd slurm-client munge")
    folder = Path(tempfile.mkdtemp())  # not below pytest's folders, which are closed to other users
    root = os.geteuid() == 0
    if root:
        shutil.chown(folder, "nobody")
    cluster = Devcluster(folder, user="nobody" if root else None)
    yield cluster
    cluster.call("stop")
    shutil.rmtree(folder)


def test_nodes_with_fake_gpus_that_jobs_see(slurm: Devcluster) -> None:
    assert {"n1: running", "n2: running", "n3: running"} <= set(slurm.call("status").stdout.splitlines())
    printed = slurm.slurm("srun", "--nodelist=n2", "--gres=gpu:fake:2", "printenv", "CUDA_VISIBLE_DEVICES")
    assert printed == "0,1\n"


def test_starting_again_leaves_a_running_cluster_alone(slurm: Devcluster) -> None:
    before = slurm.pids()
    assert slurm.call("start").stdout == f"export SLURM_CONF={slurm.state}/slurm.conf\n"
    assert slurm.pids() == before


def test_it_needs_no_root_listens_on_loopback_alone_and_stops_without_a_trace(unprivileged: Devcluster) -> None:
    unprivileged.call("start", "--nodes", "1")
    pids = unprivileged.pids()
    assert set(pids) == {"munged", "slurmctld", "n1"}
    uids = {os.stat(f"/proc/{pid}").st_uid for pid in pids.values()}
    assert 0 not in uids
    assert unprivileged.slurm("srun", "hostname")
    addresses = {address for pid in pids.values() for address in _listening(pid)}
    assert addresses == {_LOOPBACK}
    unprivileged.slurm("sbatch", "--output=/dev/null", "--wrap", "sleep 600")
    unprivileged.call("stop")
    wait_for(lambda: not any(Path("/proc", str(pid)).exists() for pid in pids.values()), seconds=10)
    assert unprivileged.call("status", check=False).returncode == 1


def _listening(pid: int) -> set[str]:
    """Addresses (hex, as /proc has them) at which a process listens over IPv4; IPv6 listeners count as themselves."""
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile: nothing that listens
            links.append(os.readlink(link))
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        rows = [line.split() for line in Path("/proc/net", table).read_text().splitlines()[1:]]
        found |= {row[1].split(":")[0] for row in rows if row[3] == _LISTENING and row[9] in inodes}
    return found
