"""`paw-bench run` with a body that takes a moment: everything around it is the real thing.

What goes wrong is said by the environment variable TRIVIAL: a JSON object, arm -> `fail`, `kill` (SIGKILL at update 4
of the first attempt), `memory` (MemoryError there), `hold` (wait there for a file `go` in the run's folder).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from paw_bench.store.run_directory import RunDirectory
from paw_bench.sweep.supervise import supervise


def body(directory: RunDirectory) -> None:
    """Count updates from the last checkpoint on; each update's number depends on all before it."""
    experiment, attempt = directory.config.experiment, directory.attempt
    assert attempt is not None
    behaviour = json.loads(os.environ.get("TRIVIAL", "{}")).get(directory.info.arm)
    latest = directory.latest_checkpoint()
    done, state = (latest[0], (latest[1] / "state").read_text()) if latest else (0, str(experiment.seed))
    directory.rewind(done)
    evaluate(directory, "before")
    for update in range(done + 1, experiment.training.updates + 1):
        state = hashlib.sha256(state.encode()).hexdigest()
        print(f"update {update}")
        if update == 4 and behaviour == "fail":
            raise ValueError("the loss is not finite")
        if update == 4 and attempt.number == 1 and behaviour == "memory":
            raise MemoryError("no memory")
        if update == 4 and behaviour == "hold":
            deadline = time.monotonic() + 400
            while not (directory.path / "go").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
        directory.append_metrics(
            {"update": update, "success": 0.5, "state": state, "seconds": {"total": 0.01}, "time": time.time()}
        )
        if update == 4 and attempt.number == 1 and behaviour == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if update % directory.config.execution.checkpoint_every == 0:
            with directory.checkpoint_writer(update) as folder:
                (folder / "state").write_text(state)
            directory.journal("checkpoint", update=update)
    evaluate(directory, "after")
    directory.publish_result(
        {
            "updates": experiment.training.updates,
            "evaluation": {phase: {"success": 0.5} for phase in ("before", "after")},
            "seconds": {"training": 1.0, "evaluation": 1.0, "total": 2.0},
        }
    )


def evaluate(directory: RunDirectory, phase: str) -> None:
    """One episode, unless the phase is on record."""
    if all(record["phase"] != phase for record in directory.episodes()):
        directory.journal("evaluation_started", phase=phase)
        directory.append_episodes([{"phase": phase, "success": True}])
        directory.journal("evaluation", phase=phase, seconds=0.01)


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), body))
