"""What must be true of a sweep of trivial runs after any faults: nothing lost, twice, wrong or left over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from trivial_run import next_state

from paw_bench.errors import StoreError
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.cluster_status import snapshot

GAMES = 3
"""Episodes of an evaluation of a trivial run."""


def violations(sweep: SweepDirectory, ledger: Path, *, on_cluster: bool) -> list[str]:
    """Everything that is wrong with a sweep that is said to be done, each beginning with lost, wrong, twice or orphan.

    `ledger` is the folder in which the runs' bodies noted what they did, whatever the store says (TRIVIAL_LEDGER).
    """
    planned = [RunDirectory(sweep.run_path(run["run_id"])) for run in sweep.info["plan"]["runs"]]
    found = [problem for run in planned for problem in (*_result(run), *_ledger(run, ledger))]
    found += [f"orphan: process {pid} works on {sweep.path.name}" for pid in processes(sweep.path)]
    if on_cluster:
        live = [run.status.label for run in snapshot(sweep).runs if run.live]
        found += [f"orphan: a job of {label} is in the queue" for label in live]
    return found


def processes(folder: Path) -> list[int]:
    """Live processes that work on a run below `folder`."""
    wanted = f"{folder}/runs/".encode()
    return [int(process.parent.name) for process in Path("/proc").glob("[0-9]*/cmdline") if wanted in _read(process)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def _result(run: RunDirectory) -> Iterator[str]:
    name = run.path.name
    try:
        result = run.result()
    except StoreError as error:
        yield f"lost: {name}: {error.problem}"
        return
    if result is None:
        yield f"lost: {name} has no result"
        return
    if result["attempts"] not in [attempt.number for attempt in run.attempts()]:
        yield f"wrong: {name}: its result is of attempt {result['attempts']}, which there never was"
    state, expected = str(run.config.experiment.seed), []
    for _ in range(run.config.experiment.training.updates):
        state = next_state(state)
        expected.append(state)
    if [record["state"] for record in run.metrics()] != expected:
        yield f"wrong: {name}: its metrics are not those of an unbroken run"
    phases = [record["phase"] for record in run.episodes()]
    if phases != GAMES * ["before"] + GAMES * ["after"]:
        yield f"wrong: {name}: its episodes are {phases}"
    if [record["phase"] for record in run.fixed_transitions()] != ["before", "after"]:
        yield f"wrong: {name}: its fixed transitions are not one before and one after"
    if run.is_locked():
        yield f"orphan: {name} is locked"


def _ledger(run: RunDirectory, ledger: Path) -> Iterator[str]:
    lines = (ledger / run.path.name).read_text().split("\n") if (ledger / run.path.name).exists() else []
    published = sum(line.startswith("published") for line in lines)
    if published > 1:
        yield f"twice: {run.path.name} was published {published} times"
    if any(line.startswith(("too late", "overlap")) for line in lines):
        yield f"twice: two attempts worked on {run.path.name} at once: {lines}"


def preload(*libraries: str) -> dict[str, str]:
    """The environment with these libraries before all others."""
    before = os.environ.get("LD_PRELOAD")
    return {"LD_PRELOAD": ":".join([*libraries, before] if before else libraries)}
