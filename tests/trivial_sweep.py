"""`paw-bench sweep` whose runs are `trivial_run.py`, and whose report is one line (or fails: TRIVIAL_REPORT=fail).

TRIVIAL_FREE is the free space it asks for (bytes), TRIVIAL_COMMAND the command of a run, TRIVIAL_KEEP that of a keeper;
with TRIVIAL_GRACE a job that Slurm does not know counts as lost after so many seconds, and what sbatch refuses is tried
again after as many.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from paw_bench import cli, cli_cluster, cli_sweep
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep import cluster_launch, cluster_status, driver

RUN = [sys.executable, str(Path(__file__).with_name("trivial_run.py"))]


def report_lines(sweep: SweepDirectory, *, width: int) -> list[str]:
    """In place of the report, which has tests of its own."""
    if os.environ.get("TRIVIAL_REPORT") == "fail":
        raise ZeroDivisionError("no runs")
    return [f"report of {sweep.path.name}, {width} wide"]


def install() -> None:
    """Put the trivial in place of the real, in this process."""
    cli_sweep.report_lines = cli_cluster.report_lines = report_lines
    keep = os.environ.get("TRIVIAL_KEEP", "").split() or [sys.executable, __file__, "keep"]
    cli_cluster.sweep.__kwdefaults__ |= {"command": RUN, "keep": keep}
    cli_sweep.sweep.__kwdefaults__["command"] = os.environ.get("TRIVIAL_COMMAND", "").split() or RUN
    driver.MIN_FREE_BYTES = int(os.environ.get("TRIVIAL_FREE", driver.MIN_FREE_BYTES))
    if "TRIVIAL_GRACE" in os.environ:
        cluster_status.GRACE_S = cluster_launch.REFUSAL_PAUSE_S = float(os.environ["TRIVIAL_GRACE"])


if __name__ == "__main__":
    install()
    cli.main()
