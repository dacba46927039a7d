"""A sweep of trivial runs to which faults happen: its folders, its driver's calls, and what it takes to look at it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import trivial_sweep
from invariants import processes
from sweeping import Sweeping

from paw_bench import cli_cluster, cli_sweep
from paw_bench.config.load import load_experiment_file
from paw_bench.errors import UserError
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.cluster import require_cluster
from paw_bench.sweep.cluster_status import Snapshot, snapshot
from paw_bench.sweep.plan import plan
from paw_bench.sweep.queue import QueueError, read_queue
from paw_bench.sweep.submissions import submissions

_HERE = Path(__file__).parent
_PROFILE = 'schema_version: 1\npartition: gpu\ncpus: 1\nmemory_gb: 1\ntime: "00:20:00"\n'
_SBATCH = """#!/bin/bash
[ "$1" = --test-only ] && exec {real} "$@"
left=$(cat {orders}/refuse 2>/dev/null || echo 0)
if [ "$left" -gt 0 ]; then
  echo $((left - 1)) > {orders}/refuse
  echo "sbatch: error: Batch job submission failed: Resource temporarily unavailable" >&2
  exit 1
fi
if [ -e {orders}/kill_before ]; then rm {orders}/kill_before; kill -9 $PPID; exit 1; fi
if [ -e {orders}/kill_after ]; then {real} "$@" >/dev/null; rm {orders}/kill_after; kill -9 $PPID; exit 0; fi
exec {real} "$@"
"""
GRACE_S = 3.0
"""In place of the minute that network filesystems get."""
SETTLE_S = 180.0
"""A loaded machine takes its time."""


class FaultSweep(Sweeping):
    """`Sweeping` with what faults need: a ledger, a list of faults for each run, an sbatch that takes orders, a disk
    that can be full."""

    def __init__(self, folder: Path, *, on_cluster: bool, no_space: Path, keepers: bool = False) -> None:
        """Without `keepers`, nobody makes a pass but the calls."""
        folder.mkdir()
        super().__init__(folder)
        self.on_cluster, self.keepers = on_cluster, keepers
        self.text = self.file.read_text().replace("seeds: [0]", f"seeds: {list(range(4))}")
        self.file.write_text(self.text.replace("updates: 6", "updates: 8"))
        self.profile = folder / "cluster.yaml"
        self.profile.write_text(_PROFILE)
        self.ledger, self.faults, self.orders = folder / "ledger", folder / "faults", folder / "orders"
        for path in (self.ledger, self.faults, self.orders, folder / "bin"):
            path.mkdir()
        self.full = self.orders / "full"
        self.drivers: list[int | subprocess.Popen[bytes]] = []
        """Calls that nobody has waited for."""
        self.environment = {
            "TRIVIAL_LEDGER": str(self.ledger),
            "TRIVIAL_FAULTS": str(self.faults),
            "TRIVIAL_PAUSE": "0.1",
            "TRIVIAL_KEEP": "" if keepers else "true",
            "TRIVIAL_GRACE": str(GRACE_S),
            "NO_SPACE_FLAG": str(self.full),
            "NO_SPACE_ROOT": str(self.results),
            "LD_PRELOAD": str(no_space),
        }
        real = shutil.which("sbatch")
        if on_cluster and real:
            shim = folder / "bin" / "sbatch"
            shim.write_text(_SBATCH.format(real=real, orders=self.orders))
            shim.chmod(0o755)
            self.environment["PATH"] = f"{shim.parent}:{os.environ['PATH']}"

    # -- calls -----------------------------------------------------------------------------------------------------

    def command(self, *, retry: bool = False) -> list[str]:
        """`paw-bench sweep` on it, as a process of its own."""
        line = [sys.executable, str(_HERE / "trivial_sweep.py"), "sweep", str(self.file)]
        line += ["--results", str(self.results)]
        line += ["--cluster", str(self.profile)] if self.on_cluster else ["--parallel", "4"]
        return line + (["--retry"] if retry else [])

    def spawn(self, *, retry: bool = False, **environment: str) -> subprocess.Popen[bytes]:
        """Start the command."""
        with (self.folder / "calls.log").open("ab") as log:
            return subprocess.Popen(
                self.command(retry=retry),
                env={**os.environ, **self.environment, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def fork(self, *, retry: bool = False) -> int:
        """The same in a fork of this process, which has imported everything already; returns its process id."""
        child = os.fork()
        if child:
            return child
        code = 70
        try:
            os.setsid()
            log = os.open(self.folder / "calls.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.environ.update(self.environment)
            code = self._call(retry=retry)
        except UserError as error:
            print(f"error: {error}", flush=True)
            code = 2
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _call(self, *, retry: bool) -> int:
        trivial_sweep.install()
        common = {"scale": None, "overrides": (), "dry_run": False, "as_json": False, "results": self.results}
        if self.on_cluster:
            return cli_cluster.sweep(self.file, self.profile, **common, retry=retry, wait=False)
        return cli_sweep.sweep(self.file, **common, parallel=4, retry=retry)

    def run_ids(self) -> list[str]:
        """Of all planned runs, submitted or not."""
        return [run.run_id for run in plan(load_experiment_file(self.file)).runs]

    # -- looks -----------------------------------------------------------------------------------------------------

    def open_runs(self) -> list[RunDirectory]:
        """Runs with a folder and without a result."""
        if not self.sweep.exists():
            return []
        return [run for run in self.sweep.runs() if not (run.path / "result.json").exists()]

    def idle_runs(self) -> list[RunDirectory]:
        """Open runs that nobody works on."""
        return [run for run in self.open_runs() if not run.is_locked()]

    def look(self) -> Snapshot | None:
        """The sweep on the cluster, or None where it was not submitted yet or Slurm does not answer."""
        with suppress(UserError):
            require_cluster(self.sweep)
            return snapshot(self.sweep)
        return None

    def jobs(self, state: str = "") -> list[str]:
        """Live jobs of the sweep's runs, in this state of Slurm's."""
        found = self.look()
        names = {submission.name for submission in found.submissions} if found else set()
        tasks = found.queue.values() if found else []
        return [task.job_id for task in tasks if task.live and task.name in names and state in task.state]

    def settle(self) -> None:
        """Return when nothing of the sweep runs or waits any more; what is left after a while is an orphan."""
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            if not processes(self.sweep.path) and not (self.on_cluster and self._in_queue()):
                return
            time.sleep(0.2)

    def _in_queue(self) -> bool:
        with suppress(QueueError):
            return bool(self.jobs() or (self.keepers and self._keeper_jobs()))
        return True

    def _keeper_jobs(self) -> list[str]:
        queue = read_queue().values()
        mine = {f"{submission.name}-keeper" for submission in submissions(self.sweep.events())}
        return [task.job_id for task in queue if task.live and task.name in mine]

    def is_done(self) -> bool:
        """Whether every planned run has a result."""
        return self.sweep.exists() and not self.open_runs() and len(self.sweep.runs()) == self._planned()

    def _planned(self) -> int:
        return len(self.sweep.info["plan"]["runs"])

    @property
    def sweep(self) -> SweepDirectory:
        """Read afresh each time: its plan is kept by the object."""
        return SweepDirectory(self.results / "tiny-dot")


def end(process: int | subprocess.Popen[bytes], signum: signal.Signals = signal.SIGKILL) -> None:
    """Signal a driver, which may have ended."""
    with suppress(ProcessLookupError):
        os.kill(process if isinstance(process, int) else process.pid, signum)


def reap(process: int | subprocess.Popen[bytes], seconds: float = SETTLE_S) -> int:
    """Wait for a driver; its exit code. One that outlasts `seconds` is killed: -1."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if isinstance(process, int):
            pid, status = os.waitpid(process, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        elif process.poll() is not None:
            return process.returncode
        time.sleep(0.02)
    end(process)
    if isinstance(process, int):
        os.waitpid(process, 0)
    else:
        process.wait()
    return -1
