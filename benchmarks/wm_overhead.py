"""What the world-model term costs: updates with and without it, in turns, on the same episodes.

    python benchmarks/wm_overhead.py [--pairs 60] [--scale embedded] [--model embedded] [--device cpu] [--set KEY=VALUE]

For windowed and full contexts apart it plays the episodes of a few updates once, then the trainers train on them, each
in a lane of `paired.py`, from the end of one rollout to the beginning of the next. `paw` trains with the term; `none`
measures it on the same rows; `bare` (windowed contexts) trains rows that end with the action, as anybody without a
world model would: the baseline for all that PaW adds, the observation's tokens included. Full rows hold them anyway.
The learning rate is next to nothing: the weights, and so the work, stay what they are. Printed are ratios with a 95 %
interval of the training phase, of the whole update (with the seconds that its episodes took to play) and of peak memory
(of the process on a CPU, of the allocator on a GPU).

A pair of whole updates of scale embedded takes half a minute on a CPU. `--set algorithm.groups=2 --set
algorithm.group_size=4 --set environment.max_turns=8` gives one a second; small updates hide least what the term costs
an update rather than a token. The gradients of the two parts are not measured apart here. What entropies of the whole
vocabulary cost in the rollout, which is the same for all: `entropy.py`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

from paired import Cost, Lane, synchronize, take_turns, with_interval

from paw_bench.config.experiment_file import ExperimentFile
from paw_bench.config.load import load_experiment_file
from paw_bench.config.schema import RunConfig
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool

if TYPE_CHECKING:
    from paw_bench.rollout.episode import Episode

ROLLOUTS = 4
"""Updates' worth of episodes that are played and then trained on by turns."""
EXPERIMENT = """
schema_version: 1
name: overhead
scale: embedded
base:
  context: {{ mode: {mode} }}
  algorithm: {{ penalty_credit: episode, learning_rate: 1e-12 }}
arms:
  none: {{ world_model: none }}
  paw: {{ world_model: paw }}
seeds: [0]
execution: {{ gradient_parts_every: 0 }}
"""


def main() -> None:
    """Measure both context forms."""
    parser = parser_of(__doc__)
    parser.add_argument("--modes", nargs="+", default=["window", "full"])
    options = parser.parse_args()
    for mode in options.modes:
        measure_mode(mode, options)


def parser_of(text: str) -> argparse.ArgumentParser:
    """The options that this benchmark shares with `train_step.py`."""
    parser = argparse.ArgumentParser(description=text.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--scale", default="embedded")
    parser.add_argument("--model", default=None, help="any model name that a config takes (default: the scale's)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    return parser


def experiment(mode: str, options: argparse.Namespace) -> ExperimentFile:
    """The two arms at the asked scale, long enough for all pairs."""
    overrides = [*options.overrides, f"training.updates={options.pairs + 2}"]
    if options.model:
        overrides.append(f"model.name={options.model}")
    if options.device == "cuda":
        overrides += ["execution.device=cuda", "execution.gpus=1"]
    if mode == "full":
        overrides.append("context.max_prompt_tokens=2048")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "overhead.yaml")
        path.write_text(EXPERIMENT.format(mode=mode))
        return load_experiment_file(path, scale=options.scale, overrides=overrides)


def measure_mode(mode: str, options: argparse.Namespace) -> None:
    """Print one context form's ratios."""
    file = experiment(mode, options)
    paw, none = (RunConfig(experiment=file.resolve(arm, {}), execution=file.execution) for arm in ("paw", "none"))
    rollouts = cycle(play(none, updates=ROLLOUTS))
    current: list[Episode] = []
    seconds: list[float] = []

    def next_rollout() -> None:
        current[:], took = next(rollouts)
        seconds.append(took)

    works = {"paw": training(paw, lambda: list(current)), "none": training(none, lambda: list(current))}
    if mode == "window":
        works["bare"] = training(none, lambda: ended_by_actions(current))
    lanes = [Lane(work, device=options.device) for work in works.values()]
    found = take_turns(*lanes, rounds=options.pairs, prepare=next_rollout)
    report(mode, seconds[1:], dict(zip(works, zip(*found, strict=True), strict=True)))


def play(config: RunConfig, *, updates: int) -> list[tuple[list[Episode], float]]:
    """The episodes of the first updates, each with the seconds that it took to play them (its lane's clock)."""
    environment, execution = config.experiment.environment, config.execution
    tasks = load_panels(environment)["train"].tasks
    clock = time.thread_time if execution.device == "cpu" else time.perf_counter
    with EnvironmentPool(
        environment, workers=execution.environment_workers, timeout_s=execution.step_timeout_s
    ) as pool:
        import torch

        from paw_bench import models
        from paw_bench.rollout.build import build_collector
        from paw_bench.training.tasks import assignments_of_update

        torch.set_num_threads(execution.threads)
        model, tokenizer = models.load(config.experiment.model, execution.device)
        collector = build_collector(config, pool, model, tokenizer)
        played = []
        for update in range(1, updates + 1):
            assignments = assignments_of_update(tasks, config.experiment.algorithm, seed=0, update=update)
            started = clock()
            episodes = collector.collect(assignments, 1.0)
            synchronize(execution.device)
            played.append((episodes, clock() - started))
        return played


def ended_by_actions(episodes: list[Episode]) -> list[Episode]:
    """The same episodes as rows that nothing follows: turns without the observation that answers them."""
    silence = {"observation_text": "", "listed_text": "", "separator_ids": [], "observation_ids": [], "closing_ids": []}
    return [replace(episode, turns=[replace(turn, **silence) for turn in episode.turns]) for episode in episodes]


def training(config: RunConfig, collect: Callable[[], list[Episode]]) -> Callable[[Callable[[], None]], None]:
    """This package's trainer as the work of a lane: its turns begin where an update has its episodes."""

    def work(begin: Callable[[], None]) -> None:
        import torch

        from paw_bench import models
        from paw_bench.training.build import build_trainer

        torch.set_num_threads(config.execution.threads)
        model, tokenizer = models.load(config.experiment.model, config.execution.device)

        def collected(_: int) -> list[Episode]:
            begin()
            return collect()

        trainer = build_trainer(
            config,
            model=model,
            tokenizer=tokenizer,
            collect=collected,
            on_update=lambda *_: None,
            output_dir=Path(tempfile.mkdtemp()),
        )
        trainer.train_to(config.experiment.training.updates)

    return work


def report(mode: str, rollouts: list[float], lanes: Mapping[str, Sequence[Cost]]) -> None:
    """Print the ratios of the counted rounds; `rollouts` are the seconds that the episodes of each took to play."""
    for name, costs in lanes.items():
        print(
            f"{mode}, {name}: {len(costs)} updates; rollout {fmean(rollouts):.2f} s, training "
            f"{median(cost.seconds for cost in costs):.3f} s, peak {median(cost.peak_mb for cost in costs):.0f} MB"
        )
    for base in [name for name in lanes if name != "paw"]:
        rounds = list(zip(rollouts, lanes["paw"], lanes[base], strict=True))
        named = {
            "training phase": [paw.seconds / other.seconds for _, paw, other in rounds],
            "whole update": [(rollout + paw.seconds) / (rollout + other.seconds) for rollout, paw, other in rounds],
            "peak memory": [paw.peak_mb / other.peak_mb for _, paw, other in rounds],
        }
        for name, ratios in named.items():
            print(f"  {name:14} paw / {base} = {with_interval(ratios)}")


if __name__ == "__main__":
    main()
