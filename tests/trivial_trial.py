"""`paw-bench run` for trials: success follows from the settings alone, a learning rate of 1e-4 being the best.

What goes wrong is said by the environment variable TRIVIAL: a JSON object with `kill` (every n-th settings, by hash:
SIGKILL in the middle of the first attempt), `fail` (ValueError where the learning rate is above this), `memory` (always
MemoryError), `update_s` (seconds of an update).
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

from paw_bench.store.run_directory import RunDirectory
from paw_bench.sweep.supervise import supervise

GAMES = 50


def success_of(learning_rate: float) -> float:
    """The share of wins."""
    return max(0.0, 1 - abs(math.log10(learning_rate) + 4) / 2)


def body(directory: RunDirectory) -> None:
    """Updates with evaluations and checkpoints between them."""
    config, attempt = directory.config, directory.attempt
    assert attempt is not None
    behaviour = json.loads(os.environ.get("TRIVIAL", "{}"))
    experiment = config.experiment
    rate, updates = experiment.algorithm.learning_rate, experiment.training.updates
    if behaviour.get("memory"):
        raise MemoryError("no memory")
    latest = directory.latest_checkpoint()
    done = latest[0] if latest else 0
    directory.rewind(done)
    for update in range(done + 1, updates + 1):
        time.sleep(behaviour.get("update_s", 0.0))
        if update == 2 and rate > behaviour.get("fail", math.inf):
            raise ValueError("the loss is not finite")
        directory.append_metrics({"update": update, "success": 0.5, "seconds": {"total": 0.01}, "time": time.time()})
        every = experiment.evaluation.every
        if every and update % every == 0 and update < updates:
            evaluate(directory, f"update-{update:06d}", success_of(rate))
        with directory.checkpoint_writer(update) as folder:
            (folder / "state").write_text(str(update))
        unlucky = "kill" in behaviour and int(directory.info.run_id, 16) % behaviour["kill"] == 0
        if unlucky and update == 2 and attempt.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    evaluate(directory, "after", success_of(rate))
    after = {"success": success_of(rate), "games": GAMES, "panel_hash": "0123456789abcdef"}
    seconds = {"training": 1.0, "evaluation": 1.0, "total": 2.0}
    directory.publish_result({"updates": updates, "evaluation": {"after": after}, "seconds": seconds})


def evaluate(directory: RunDirectory, phase: str, success: float) -> None:
    """So many wins of so many games."""
    wins = round(success * GAMES)
    directory.append_fixed_transitions({"phase": phase, "nll": 1.0})
    directory.journal("evaluation", phase=phase, seconds=0.01, episodes=GAMES, samples=0)
    directory.append_episodes([{"phase": phase, "success": game < wins} for game in range(GAMES)])


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), body))
