"""`paw-bench run` with a body that takes a moment: everything around it is the real thing.

What goes wrong is said by the environment variable TRIVIAL: a JSON object, arm -> `fail`, `diverge`, `refuse`, `hung`,
`kill` (SIGKILL at update 4 of the first attempt), `memory` (MemoryError there), `hold` (wait there for a file `go` in
the run's folder). Or, at any update, by the first word of a file `fault` in the run's folder, which is removed.
TRIVIAL_PAUSE: seconds of an update. TRIVIAL_LEDGER: a folder outside the sweep in which each run's bodies note that
they begin, publish and end: a witness that does not depend on the store.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from paw_bench.envs.pool import EnvironmentHung
from paw_bench.errors import ConfigError
from paw_bench.store.run_directory import RunDirectory
from paw_bench.sweep.supervise import supervise


def body(directory: RunDirectory) -> None:
    """Count updates from the last checkpoint on; each update's number depends on all before it."""
    experiment, attempt = directory.config.experiment, directory.attempt
    assert attempt is not None
    note(directory, "begin")
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
        wanted = directory.path / "fault"
        if wanted.exists():
            kind = wanted.read_text()
            wanted.unlink()
            go_wrong(kind)
        if update == 4 and behaviour in ("fail", "diverge", "hung"):
            go_wrong(behaviour)
        if update == 4 and attempt.number == 1 and behaviour == "memory":
            go_wrong("memory")
        if update == 4 and behaviour == "hold":
            deadline = time.monotonic() + 400
            while not (directory.path / "go").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
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
    published = directory.publish_result(
        {
            "updates": experiment.training.updates,
            "evaluation": {phase: {"success": 0.5} for phase in ("before", "after")},
            "seconds": {"training": 1.0, "evaluation": 1.0, "total": 2.0},
        }
    )
    note(directory, "published" if published else "too late")


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
        directory.journal("evaluation", phase=phase, seconds=0.01)
        directory.append_episodes([{"phase": phase, "game": game, "success": True} for game in range(3)])


def note(directory: RunDirectory, event: str) -> None:
    """Write to the ledger, if there is one."""
    if "TRIVIAL_LEDGER" in os.environ:
        with open(Path(os.environ["TRIVIAL_LEDGER"], directory.path.name), "a") as file:
            file.write(f"{event} {os.getpid()} {directory.attempt.number if directory.attempt else 0}\n")


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), body))
