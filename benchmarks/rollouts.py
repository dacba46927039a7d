"""Episodes a second, in flight against lock-step, on the same games, seeds and noise.

    python benchmarks/rollouts.py [--pairs 8] [--workers 2] [--batch 64] [--mode window] [--model NAME] [--set KEY=V]

Both collectors have one model, and environments of their own: `--workers` processes each, which meet every game for
the first time, as in training. They play the episodes of an update one after the other, who goes first changing from
pair to pair, in seconds of the clock: waiting for each other is what is measured, so a machine with other work on it
disturbs the pairs. The first pair warms up and is not counted. Printed are medians, the shares of the time in which
the engine, and the mean worker, were idle, and the ratio of episodes a second, in flight / lock-step, with a 95 %
interval over the pairs (`paired.py`); and the same of the collector's processor seconds, in which neither waiting nor
other work is: what it costs to play in flight. `--batch` is `execution.generation_batch`: in flight, twice as many
episodes are begun. `--wait 0.05` lets every step of ALFWorld wait besides, 50 ms in the mean and as long as chance (the
exponential distribution) says, the same for both: what an environment behind a server is like.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

from paired import with_interval
from wm_overhead import experiment, parser_of

from paw_bench.config.schema import RunConfig
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool

if TYPE_CHECKING:
    from paw_bench.rollout.collector import Timing

WAYS = {"lock-step": True, "in flight": False}
"""Name -> `rollout.deterministic`."""
WAITING = """
import itertools, random, time
from paw_bench.envs.alfworld.definition import Alfworld

numbers = itertools.count()

class Waiting(Alfworld):
    def make(self, config):
        environment = super().make(config)
        step, chance = environment.step, random.Random(next(numbers))
        def waiting(action):
            time.sleep(chance.expovariate(1 / {seconds}))
            return step(action)
        environment.step = waiting
        return environment

KIND = Waiting()
"""


def main() -> None:
    """Play, and print what both took."""
    parser = parser_of(__doc__)
    parser.set_defaults(pairs=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64, help="execution.generation_batch")
    parser.add_argument("--mode", choices=("window", "full"), default="window")
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="that a step takes besides")
    options = parser.parse_args()
    if options.wait:
        install_waiting(options.wait)
        options.overrides.append("environment.name=waiting")
    file = experiment(options.mode, options)
    execution = file.execution.model_copy(
        update={"environment_workers": options.workers, "generation_batch": options.batch}
    )
    found = play(RunConfig(experiment=file.resolve("none", {}), execution=execution), pairs=options.pairs)
    algorithm = file.resolve("none", {}).algorithm
    report(found, algorithm.groups * algorithm.group_size, f"{options.workers} workers, batch {options.batch}")


def install_waiting(seconds: float) -> None:
    """Make the environment `waiting` known to this process and to the workers that it starts, as a package would."""
    folder = Path(tempfile.mkdtemp())
    (folder / "waiting.py").write_text(WAITING.format(seconds=seconds))
    metadata = folder / "waiting-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: waiting\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[paw_bench.envs]\nwaiting = waiting:KIND\n")
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)


def play(config: RunConfig, *, pairs: int) -> dict[str, list[tuple[Timing, float]]]:
    """What each way took for the same updates, the first of which is left out: by the clock, and of the processor."""
    environment, execution = config.experiment.environment, config.execution
    tasks = load_panels(environment)["train"].tasks
    workers, patience = execution.environment_workers, execution.step_timeout_s
    with (
        EnvironmentPool(environment, workers=workers, timeout_s=patience) as first,
        EnvironmentPool(environment, workers=workers, timeout_s=patience) as second,
    ):
        import torch

        from paw_bench import models
        from paw_bench.rollout.build import build_collector
        from paw_bench.training.tasks import assignments_of_update

        torch.set_num_threads(execution.threads)
        model, tokenizer = models.load(config.experiment.model, execution.device)
        collectors = {}
        for (way, deterministic), pool in zip(WAYS.items(), (first, second), strict=True):
            rollout = config.experiment.rollout.model_copy(update={"deterministic": deterministic})
            own = config.model_copy(update={"experiment": config.experiment.model_copy(update={"rollout": rollout})})
            collectors[way] = build_collector(own, pool, model, tokenizer)
        found: dict[str, list[tuple[Timing, float]]] = {way: [] for way in WAYS}
        for update in range(1, pairs + 2):
            assignments = assignments_of_update(tasks, config.experiment.algorithm, seed=0, update=update)
            for way in list(WAYS)[:: 1 if update % 2 else -1]:
                started = time.thread_time()
                collectors[way].collect(assignments, config.experiment.rollout.temperature)
                found[way].append((collectors[way].timing, time.thread_time() - started))
        return {way: rollouts[1:] for way, rollouts in found.items()}


def report(found: dict[str, list[tuple[Timing, float]]], episodes: int, setting: str) -> None:
    """Print both ways and their ratio."""
    print(f"{episodes} episodes a rollout, {setting}, {len(found['in flight'])} pairs")
    for way, rollouts in found.items():
        timings = [timing for timing, _ in rollouts]
        seconds = median(timing.total for timing in timings)
        print(
            f"  {way:9}  {seconds:6.2f} s  {episodes / seconds:6.2f} episodes/s  "
            f"engine at work {median(one.generate for one in timings):5.2f} s, idle {_idle(timings, 'engine')}; "
            f"workers at work {median(one.worked for one in timings):5.2f} s, idle {_idle(timings, 'environments')}"
        )
    pairs = list(zip(found["lock-step"], found["in flight"], strict=True))
    clock = [step.total / flight.total for (step, _), (flight, _) in pairs]
    processor = [flight / step for (_, step), (_, flight) in pairs]
    print(f"  episodes a second, in flight / lock-step = {with_interval(clock)}")
    print(f"  processor seconds of the collector, in flight / lock-step = {with_interval(processor)}")


def _idle(timings: Sequence[Timing], what: str) -> str:
    return f"{fmean(timing.idle[what] for timing in timings):.0%}"


if __name__ == "__main__":
    main()
