"""Seconds of `paw-bench status` over 10,000 run folders: without an index, and with the one that it left.

python benchmarks/status.py [RUNS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paw_bench.config.schema import RunConfig
from paw_bench.store import jsonl
from paw_bench.store.atomic import write_json
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory

_UPDATES = 20
_REPEATS = 3


def main() -> None:
    """Make the folders, then print one line for each way to look at them."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        synced, os.fsync = os.fsync, lambda descriptor: None  # making the folders is not what is measured
        sweep = make_sweep(Path(folder, "many-dot"), count)
        os.fsync = synced
        time.sleep(2.5)  # what was changed a moment ago is not indexed
        for what, options in (("for people", []), ("--json", ["--json"])):
            (sweep.path / "finished.json").unlink(missing_ok=True)
            first = seconds(sweep, options)
            again = min(seconds(sweep, options) for _ in range(_REPEATS))
            print(f"{count} runs, {what}: {first:.2f} s without an index, {again:.2f} s with it")
        print(f"the index: {(sweep.path / 'finished.json').stat().st_size / count:.0f} bytes a run")


def make_sweep(path: Path, count: int) -> SweepDirectory:
    """A sweep of `count` runs: 90 % are done, 9 % only planned, 1 % ended by an error after half of their updates."""
    runs = [{"run_id": f"{n:012x}", "arm": f"arm {n % 10}", "axes": {}, "seed": n // 10} for n in range(count)]
    plan = {"runs": runs, "cost": {}}
    sweep = SweepDirectory.create(path, name="many", scale="dot", source="many.yaml", text="", plan=plan)
    experiment = {"training": {"updates": _UPDATES}}
    for n, run in enumerate(runs):
        info = RunInfo(**run, experiment_name="many")  # type: ignore[arg-type]
        config = RunConfig.model_validate({"experiment": {**experiment, "seed": run["seed"]}})
        directory = RunDirectory.create(sweep.run_path(info.run_id), info, config)
        if n % 100 >= 91:
            continue
        directory.journal("attempt_started", pid=1, hostname="here", log="attempts/1/log.txt", job=None)
        done = n % 100 < 90
        metrics = [{"update": k, "success": 0.5, "seconds": {"total": 1.0}, "time": 0.0} for k in range(1, _UPDATES)]
        jsonl.append(directory.path / "metrics.jsonl", metrics if done else metrics[: _UPDATES // 2])
        if done:
            publish(directory)
        else:
            directory.journal("attempt_ended", outcome="failed", reason="ValueError: no", transient=False)
    return sweep


def publish(directory: RunDirectory) -> None:
    """A result as runs publish it, and its event."""
    write_json(
        directory.path / "result.json",
        {
            "run_id": directory.info.run_id,
            "updates": _UPDATES,
            "evaluation": {"after": {"success": 0.5}},
            "seconds": {"training": 20.0, "evaluation": 40.0, "total": 60.0},
            "attempts": 1,
            "files": {},
        },
    )
    directory.journal("published")


def seconds(sweep: SweepDirectory, options: list[str]) -> float:
    """Wall-clock seconds of the whole command, the start of Python included."""
    command = [sys.executable, "-P", "-m", "paw_bench.cli", "status", sweep.path.name, *options]
    start = time.monotonic()
    subprocess.run([*command, "--results", str(sweep.path.parent)], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


if __name__ == "__main__":
    main()
