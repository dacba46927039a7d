"""The tests' handle on `slurm/devcluster`."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "slurm" / "devcluster"


class Devcluster:
    """A devcluster with its own state directory."""

    def __init__(self, folder: Path, *, user: str | None = None) -> None:
        self.state = folder / "state"
        self._as_user = ["runuser", "-u", user, "--"] if user else []

    def call(self, command: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`slurm/devcluster COMMAND`."""
        line = [*self._as_user, str(SCRIPT), command, "--state", str(self.state), *options]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def slurm(self, *command: str) -> str:
        """Output of one of Slurm's commands on this cluster."""
        environment = {**os.environ, "SLURM_CONF": str(self.state / "slurm.conf")}
        done = subprocess.run(
            [*self._as_user, *command], env=environment, capture_output=True, text=True, check=True, cwd=self.state
        )
        return done.stdout

    def power_off(self, node: str) -> None:
        """Kill everything that runs on a node at once: slurmd, the steps' daemons, the jobs' processes."""
        log = str(self.state / "log" / f"{node}.log")
        mine = {f"SLURM_CONF={self.state}/slurm.conf".encode(), f"SLURMD_NODENAME={node}".encode()}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended meanwhile
                daemon = any(os.readlink(link) == log for link in (process / "fd").iterdir())
                if daemon or mine <= set((process / "environ").read_bytes().split(b"\0")):
                    os.kill(int(process.name), signal.SIGKILL)

    def alive(self, daemon: str) -> bool:
        """Whether the process of a daemon (`slurmctld`) is there."""
        pid = self.pids().get(daemon)
        return pid is not None and Path(f"/proc/{pid}").exists()

    def pids(self) -> dict[str, int]:
        """Daemon (n1, slurmctld, munged) -> process id."""
        found = {}
        for file in (self.state / "run").glob("*.pid"):
            with suppress(FileNotFoundError):  # it ended meanwhile
                found[file.stem] = int(file.read_text())
        return found
