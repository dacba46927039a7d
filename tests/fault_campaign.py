"""Random faults over sweeps of trivial runs, on this machine and on a real Slurm: `make faults N=40 SEED=1`.

A round is one sweep of eight runs. In each of its cycles the driver is called (and killed, doubled, set back in time,
starved of disk space or refused by sbatch), runs go wrong by themselves and are stopped from outside, and then files
at rest are damaged. At the end the same command is given as a person would until everything is done, and the whole
sweep is looked at: every run has one valid result with the numbers of an unbroken run, published once, and no process
or job is left.
The log gets a line for each fault, and one for each round.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import fault_kinds as kinds
import trivial_sweep
from devcluster import Devcluster
from fault_kinds import Fault
from fault_sweep import GRACE_S, FaultSweep, reap
from invariants import violations

from paw_bench.store.jsonl import TornLineWarning

_CYCLES = 3
_CALLS_TO_HEAL = 5
_CALLS: dict[Fault, float] = {
    kinds.plain: 3,
    kinds.driver_killed: 3,
    kinds.two_drivers: 1,
    kinds.clock_back: 1,
    kinds.no_space: 2,
}
_CALLS_ON_CLUSTER: dict[Fault, float] = {
    kinds.killed_before_sbatch: 1,
    kinds.killed_after_sbatch: 2,
    kinds.sbatch_refuses: 1,
}
_AT_WORK: dict[Fault, float] = {kinds.terminated: 1}
_AT_WORK_ON_CLUSTER: dict[Fault, float] = {
    kinds.scancel: 3,
    kinds.requeue: 2,
    kinds.time_limit: 2,
    kinds.preempted: 1,
}
_AT_REST: dict[Fault, float] = {kinds.torn_line: 4, kinds.checkpoint_cut: 2, kinds.stale_lock: 1}


class Campaign:
    """Rounds until `wanted` faults have happened; several processes may share `count` and `log`."""

    def __init__(self, folder: Path, log: Path, *, seed: int, wanted: int, cluster: Devcluster | None) -> None:
        self.folder, self.log, self.seed, self.wanted, self.cluster = folder, log, seed, wanted, cluster
        self.library = build_no_space(folder)

    def work(self, where: str, count: Synchronized[int], violated: Synchronized[int]) -> None:
        """Play rounds; `count` faults, `violated` what they broke. A round with a violation leaves its folder."""
        number = 0
        while count.value < self.wanted:
            number += 1
            name = f"{where}-{number}"
            rng = random.Random(f"{self.seed} {name}")
            started = time.monotonic()
            folder, cluster = self.folder / name, "slurm" in where
            sweep = FaultSweep(folder, on_cluster=cluster, no_space=self.library, keepers=rng.random() < 0.25)
            faults = self._round(sweep, rng)
            problems = violations(sweep.sweep, sweep.ledger, on_cluster=sweep.on_cluster)
            with count.get_lock():
                count.value += len(faults)
                violated.value += len(problems)
                self._write(name, faults, problems, len(sweep.run_ids()), time.monotonic() - started)
                told = "\n".join([f"{len(problems)} violations", *problems])
                print(f"{name}: {len(faults)} faults, {count.value} in all, {told}", flush=True)
            if not problems:
                # A keeper that does nothing any more may still write its log.
                shutil.rmtree(sweep.folder, ignore_errors=True)

    def _round(self, sweep: FaultSweep, rng: random.Random) -> list[tuple[str, str]]:
        faults: list[tuple[str, str]] = []

        def let(happen: Fault, name: str) -> None:
            detail = happen(sweep, rng)
            if detail is not None:
                faults.append((name, detail))

        calls = _CALLS | (_CALLS_ON_CLUSTER if sweep.on_cluster else {})
        at_work = _AT_WORK_ON_CLUSTER if sweep.on_cluster else _AT_WORK
        for _ in range(_CYCLES):
            armed = kinds.arm(sweep, rng, most=1 if sweep.on_cluster else 2)
            let(*_one_of(calls, rng))
            for _ in range(rng.randint(1, 4)):
                time.sleep(rng.uniform(0.2, 1.0))
                let(*_one_of(at_work, rng))
            if self.cluster and sweep.on_cluster and rng.random() < 0.3:
                restart, name = rng.choice(
                    [
                        (kinds.controller_restarted(self.cluster), "controller restarted"),
                        (kinds.node_failed(self.cluster), "node failed"),
                    ]
                )
                let(restart, name)
            self._end_cycle(sweep)
            faults += kinds.used_up(sweep, armed)
            for _ in range(rng.randint(2, 8)):
                let(*_one_of(_AT_REST, rng))
            if sweep.is_done():
                break
        for _ in range(_CALLS_TO_HEAL):
            reap(sweep.fork(retry=True))
            sweep.settle()
            if sweep.is_done():
                break
        return faults

    def _end_cycle(self, sweep: FaultSweep) -> None:
        for driver in sweep.drivers:
            reap(driver)
        sweep.drivers.clear()
        sweep.settle()

    def _write(
        self, name: str, faults: Sequence[tuple[str, str]], problems: list[str], runs: int, seconds: float
    ) -> None:
        lines = [{"round": name, "fault": kind, "detail": detail} for kind, detail in faults]
        verdict = {
            "round": name,
            "runs": runs,
            "faults": len(faults),
            "violations": problems,
            "seconds": round(seconds, 1),
        }
        with self.log.open("a") as file:
            file.write("".join(f"{json.dumps(line)}\n" for line in [*lines, verdict]))


def _one_of(choices: dict[Fault, float], rng: random.Random) -> tuple[Fault, str]:
    fault = rng.choices(list(choices), list(choices.values()))[0]
    return fault, fault.__name__.replace("_", " ")


def build_no_space(folder: Path) -> Path:
    """Compile the disk that fills up."""
    library, source = folder / "no_space.so", Path(__file__).with_name("no_space.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def summary(log: Path) -> str:
    """A Markdown table of a log: faults by kind and place, runs, violations."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    rounds = [line for line in lines if "runs" in line]
    counted: Counter[tuple[str, bool]] = Counter(
        (line["fault"], "slurm" in line["round"]) for line in lines if "fault" in line
    )
    rows = [
        f"| {kind} | {counted[kind, False]} | {counted[kind, True]} |" for kind in sorted({kind for kind, _ in counted})
    ]
    broken = Counter(problem.partition(":")[0] for line in rounds for problem in line["violations"])
    verdict = ", ".join(f"{broken[word]} {word}" for word in ("lost", "twice", "wrong", "orphan"))
    runs = sum(line["runs"] for line in rounds)
    head = f"{sum(counted.values())} faults in {len(rounds)} sweeps of {runs} runs: {verdict}"
    return "\n".join([head, "", "| fault | this machine | Slurm |", "|---|--:|--:|", *rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the campaign; 1 where anything was lost, twice, wrong or left over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=40, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, default=Path("build/faults.jsonl"), help="gets a line for each fault")
    parser.add_argument("--workers", default="local,slurm", help="rounds that are played at the same time")
    parser.add_argument("--summary", action="store_true", help="only print the summary of the log")
    chosen = parser.parse_args(arguments)
    if chosen.summary:
        print(summary(chosen.log))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    chosen.log.parent.mkdir(parents=True, exist_ok=True)
    workers = chosen.workers.split(",")
    cluster = Devcluster(folder / "cluster") if any("slurm" in worker for worker in workers) else None
    try:
        if cluster:
            cluster.call("start")
            os.environ["SLURM_CONF"] = str(cluster.state / "slurm.conf")
        warnings.simplefilter("ignore", TornLineWarning)
        os.environ["TRIVIAL_GRACE"] = str(GRACE_S)
        trivial_sweep.install()
        campaign = Campaign(folder, chosen.log, seed=chosen.seed, wanted=chosen.faults, cluster=cluster)
        count, violated = multiprocessing.Value("i", 0), multiprocessing.Value("i", 0)
        context = multiprocessing.get_context("fork")
        names = [f"{worker}-{number}" for number, worker in enumerate(workers)]
        started = [context.Process(target=campaign.work, args=(name, count, violated)) for name in names]
        for process in started:
            process.start()
        for process in started:
            process.join()
    finally:
        if cluster:
            cluster.call("stop")
    print(summary(chosen.log))
    if violated.value or any(process.exitcode for process in started):
        print(f"what is left of the rounds: {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
