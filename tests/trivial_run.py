"""`paw-bench run` with a body that takes a moment: everything around it is the real thing.

What goes wrong is said by the environment variable TRIVIAL: a JSON object, arm -> `fail`, `diverge`, `refuse`, `hung`,
`kill` (SIGKILL at update 4 of the first attempt), `memory` (MemoryError there), `hold` (wait there for a file `go` in
the run's folder). TRIVIAL_PAUSE: seconds of an update.

TRIVIAL_FAULTS is a folder with a file for each run, of which every attempt uses up one line, such as `memory 5`: go
wrong so at update 5; `crash 40`: die at the 40th system call from here on that touches a file. TRIVIAL_LEDGER is a
folder in which every attempt notes what it does: a witness that does not depend on the store.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from faults import kill_at

from paw_bench.envs.pool import EnvironmentHung
from paw_bench.errors import ConfigError
from paw_bench.store.run_directory import RunDirectory
from paw_bench.sweep.supervise import supervise


def body(directory: RunDirectory) -> None:
    """Work under the eyes of the ledger."""
    ledger = begin(directory)
    try:
        published = count(directory)
        if ledger:
            os.write(ledger, b"published\n" if published else b"too late\n")
    finally:
        # Here, and not at the end of the process: the run's lock is let go before that, and the next may begin.
        if ledger:
            os.close(ledger)


def count(directory: RunDirectory) -> bool:
    """Count updates from the last checkpoint on; each number depends on all before it. Whether it was published."""
    experiment, attempt = directory.config.experiment, directory.attempt
    assert attempt is not None
    wanted = next_fault(directory)
    if wanted and wanted[0] == "crash":
        kill_at(int(wanted[1]))
        wanted = []
    behaviour = json.loads(os.environ.get("TRIVIAL", "{}")).get(directory.info.arm)
    if behaviour == "refuse":
        go_wrong("refuse")
    latest = directory.latest_checkpoint()
    done, state = (latest[0], (latest[1] / "state").read_text()) if latest else (0, str(experiment.seed))
    if latest:
        directory.journal("resumed", update=done)
    directory.rewind(done)
    if done == 0:
        evaluate(directory, "before")
    for update in range(done + 1, experiment.training.updates + 1):
        state = next_state(state)
        print(f"update {update}")
        time.sleep(float(os.environ.get("TRIVIAL_PAUSE", "0")))
        if wanted and update >= int(wanted[1]):
            go_wrong(wanted[0])
        if update == 4 and behaviour in ("fail", "diverge", "hung"):
            go_wrong(behaviour)
        if update == 4 and attempt.number == 1 and behaviour == "memory":
            go_wrong("memory")
        if update == 4 and behaviour == "hold":
            wait_for_go(directory.path / "go")
        directory.append_metrics(
            {"update": update, "success": 0.5, "state": state, "seconds": {"total": 0.01}, "time": time.time()}
        )
        if update == 4 and attempt.number == 1 and behaviour == "kill":
            go_wrong("kill")
        if update % directory.config.execution.checkpoint_every == 0:
            with directory.checkpoint_writer(update) as folder:
                (folder / "state").write_text(state)
            directory.journal("checkpoint", update=update)
    evaluate(directory, "after")
    return directory.publish_result(
        {
            "updates": experiment.training.updates,
            "evaluation": {phase: {"success": 0.5} for phase in ("before", "after")},
            "seconds": {"training": 1.0, "evaluation": 1.0, "total": 2.0},
        }
    )


def wait_for_go(file: Path) -> None:
    """Until somebody makes the file."""
    deadline = time.monotonic() + 400
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def next_state(state: str) -> str:
    """What an update computes."""
    return hashlib.sha256(state.encode()).hexdigest()


def go_wrong(how: str) -> NoReturn:
    """End the attempt in one of the ways that the failure policy tells apart."""
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "diverge":
        from paw_bench.training.health import TrainingDiverged  # takes torch, which takes seconds

        raise TrainingDiverged("the loss is not finite")
    raise {
        "fail": ValueError("something is wrong"),
        "memory": MemoryError("no memory"),
        "hung": EnvironmentHung("3 games in a row cost two workers each"),
        "refuse": ConfigError(file="tiny.yaml", key="world_model.loss", value="mad", problem="there is no such loss"),
    }[how]


def evaluate(directory: RunDirectory, phase: str) -> None:
    """One episode, unless the phase is on record."""
    if all(record["phase"] != phase for record in directory.episodes()):
        directory.journal("evaluation_started", phase=phase)
        directory.append_fixed_transitions({"phase": phase, "nll": 1.0})
        directory.journal("evaluation", phase=phase, seconds=0.01, episodes=3, samples=0)
        directory.append_episodes([{"phase": phase, "game": game, "success": True} for game in range(3)])


def begin(directory: RunDirectory) -> int:
    """Open the ledger, if there is one, and note whether another process has it open: then two work on the run."""
    if "TRIVIAL_LEDGER" not in os.environ:
        return 0
    path = Path(os.environ["TRIVIAL_LEDGER"], directory.path.name)
    ledger = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        fcntl.flock(ledger, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(ledger, b"begin\n")
    except BlockingIOError:
        os.write(ledger, b"overlap\n")
    return ledger


def next_fault(directory: RunDirectory) -> list[str]:
    """The words of the fault that this attempt is to have."""
    path = Path(os.environ.get("TRIVIAL_FAULTS", "/nowhere"), directory.path.name)
    if not path.exists():
        return []
    first, *others = path.read_text().splitlines() or [""]
    path.write_text("".join(f"{line}\n" for line in others))
    return first.split()


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), body))
