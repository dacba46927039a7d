"""The same no-op tasks on one Slurm through `paw-bench sweep --cluster` and hydra's submitit launcher, in turn.

    eval "$(slurm/devcluster start)"
    pip install --target /tmp/hydra --no-deps hydra-core hydra-submitit-launcher omegaconf antlr4-python3-runtime==4.9.3
    PYTHONPATH=/tmp/hydra python benchmarks/launch.py --partition gpu [--tasks 200] [--rounds 3] [--parallel 20]
    python benchmarks/launch.py --partition gpu --tasks 1000 --only-submit

hydra is no dependency of paw_bench: it is installed for this comparison alone. Submission is the time until all tasks
are in the queue, total the time until the last has ended and the command has returned. Both ask for arrays of as many
tasks at a time. A task of paw_bench takes its run's lock, opens an attempt, publishes a result and is verified by the
next pass; one of hydra calls a function that does nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
PROFILE = """schema_version: 1
partition: {partition}
cpus: 1
memory_gb: 1
time: "00:20:00"
max_parallel: {parallel}
"""
EXPERIMENT = """schema_version: 1
name: noop
scale: dot
base: {{ model: {{ name: {model} }}, training: {{ updates: 1 }} }}
arms: {{ noop: {{}} }}
seeds: {seeds}
"""
HYDRA = """import hydra
@hydra.main(version_base=None, config_path=None)
def main(config):
    pass
main()
"""


def main() -> None:
    """Print a line for each round, then the ratios of the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partition", required=True)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parallel", type=int, default=20, help="tasks of an array at a time")
    parser.add_argument("--only-submit", action="store_true", help="paw_bench alone; the tasks are cancelled")
    options = parser.parse_args()
    ways = {"paw_bench": paw_bench} if options.only_submit else {"paw_bench": paw_bench, "hydra": hydra}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(options.rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(dir=Path.cwd(), ignore_cleanup_errors=True) as folder:
                submitted, total = way(Path(folder), options)
            taken[name].append((submitted, total))
            print(
                f"round {number + 1}, {name}: submitted in {submitted:.1f} s, all done after {total:.1f} s", flush=True
            )
    ours, *others = ([statistics.median(column) for column in zip(*times, strict=True)] for times in taken.values())
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"paw_bench, median: submitted in {ours[0]:.2f} s, total {ours[1]:.1f} s; largest process {memory:.0f} MB")
    for other in others:
        print(f"hydra / paw_bench: submission {other[0] / ours[0]:.2f}, total {other[1] / ours[1]:.2f}")


def paw_bench(folder: Path, options: argparse.Namespace) -> tuple[float, float]:
    """(seconds to submit, seconds in all) of the real command; its runs are the tests', which compute nothing."""
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    (folder / "scales").mkdir()
    (folder / "scales" / "dot.yaml").write_text("schema_version: 1\n")
    profile = folder / "cluster.yaml"
    profile.write_text(PROFILE.format(partition=options.partition, parallel=options.parallel))
    file = folder / "noop.yaml"
    file.write_text(EXPERIMENT.format(model=folder / "model", seeds=list(range(options.tasks))))
    common = ["--results", str(folder / "results")]
    call = [sys.executable, str(TESTS / "trivial_sweep.py")]
    start = time.monotonic()
    sweep = [*call, "sweep", str(file), "--cluster", str(profile), *common]
    subprocess.run(sweep, check=True, stdout=subprocess.DEVNULL)
    submitted = time.monotonic() - start
    if options.only_submit:
        subprocess.run([*call, "cancel", "noop", *common], check=True, stdout=subprocess.DEVNULL)
    else:
        subprocess.run([*sweep, "--wait"], check=True, stdout=subprocess.DEVNULL)
    return submitted, time.monotonic() - start


def hydra(folder: Path, options: argparse.Namespace) -> tuple[float, float]:
    """The same of hydra's launcher, which returns when all tasks have ended."""
    script = folder / "noop.py"
    script.write_text(HYDRA)
    launcher = {
        "partition": options.partition,
        "array_parallelism": options.parallel,
        "cpus_per_task": 1,
        "mem_gb": 1,
        "timeout_min": 20,
    }
    settings = [f"hydra.launcher.{key}={value}" for key, value in launcher.items()]
    seeds = ",".join(map(str, range(options.tasks)))
    command = [sys.executable, str(script), "--multirun", "hydra/launcher=submitit_slurm", *settings]
    start = time.monotonic()
    process = subprocess.Popen(
        [*command, f"hydra.sweep.dir={folder}/multirun", f"+seed={seeds}"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"HYDRA_FULL_ERROR": "1"},
    )
    while not tasks_submitted(folder):
        if process.poll() is not None:
            sys.exit("hydra's launcher ended without submitting anything: is it installed? see --help")
        time.sleep(0.05)
    submitted = time.monotonic() - start
    process.wait()
    return submitted, time.monotonic() - start


def tasks_submitted(folder: Path) -> bool:
    """Whether submitit has put the array's job id into the names of its files, which it does after sbatch."""
    return any(folder.glob("multirun/.submitit/*_0"))


if __name__ == "__main__":
    main()
