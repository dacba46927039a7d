"""What `full` contexts cost against `window: 2`: tokens, time and memory of whole updates.

    python benchmarks/contexts.py [--pairs 3] [--groups 4] [--size 4] [--turns 20] [--model embedded] [--set KEY=VALUE]

Each context plays the same games with the same seeds, with an engine of its own, and trains on them, update by update.
The learning rate is next to nothing, so the policy stays what it is; the world-model term (paw) is on. Printed for each
context, medians over the updates: tokens that the policy reads before its actions, and those of them that no prefix of
the episode's last turn holds (what is left to read for an engine that shares prefixes), rows and tokens that are
trained, processor seconds of this thread for generation and for training, and the most memory of the process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from kv_cache import common_prefix
from paired import peak_mb, reset_peak
from wm_overhead import experiment

from paw_bench.config.schema import RunConfig
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool

if TYPE_CHECKING:
    from paw_bench.rollout.episode import Episode


@dataclass(frozen=True, slots=True)
class Cost:
    """What one update took."""

    turns: int
    read: int
    """Tokens before all actions."""
    new: int
    """Those of them that are in no common prefix with the episode's previous turn."""
    rows: int
    trained: int
    generating: float
    training: float
    peak_mb: float


def main() -> None:
    """Print both contexts and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--size", type=int, default=4)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--model", default=None)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    options.scale, options.device = "embedded", "cpu"
    options.overrides += [
        f"algorithm.groups={options.groups}",
        f"algorithm.group_size={options.size}",
        f"environment.max_turns={options.turns}",
    ]
    costs: dict[str, list[Cost]] = {}
    for mode in ("window", "full"):
        extra = ["context.turns=2"] if mode == "window" else []
        file = experiment(mode, argparse.Namespace(**{**vars(options), "overrides": options.overrides + extra}))
        costs[mode] = updates(RunConfig(experiment=file.resolve("paw", {}), execution=file.execution), options.pairs)
    episodes = options.groups * options.size
    print(f"{episodes} episodes an update, at most {options.turns} turns, {options.pairs} updates each; medians")
    for mode, found in costs.items():
        middle = {name: median(getattr(cost, name) for cost in found) for name in Cost.__slots__}
        print(
            f"  {mode:6}  {middle['turns']:.0f} turns; {middle['read']:.0f} tokens read, {middle['new']:.0f} of them "
            f"new; {middle['rows']:.0f} rows, {middle['trained']:.0f} tokens trained; generation "
            f"{middle['generating']:.2f} s, training {middle['training']:.2f} s, peak {middle['peak_mb']:.0f} MB"
        )


def updates(config: RunConfig, count: int) -> list[Cost]:
    """The costs of `count` updates after one that warms up."""
    environment, execution = config.experiment.environment, config.execution
    tasks = load_panels(environment)["train"].tasks
    with EnvironmentPool(environment, workers=1, timeout_s=execution.step_timeout_s) as pool:
        import torch

        from paw_bench import models
        from paw_bench.rollout.build import build_collector
        from paw_bench.training.build import build_trainer
        from paw_bench.training.tasks import assignments_of_update

        torch.set_num_threads(1)
        model, tokenizer = models.load(config.experiment.model, "cpu")
        collector = build_collector(config, pool, model, tokenizer)
        costs: list[Cost] = []
        now: dict[str, Any] = {}

        def collect(update: int) -> list[Episode]:
            assignments = assignments_of_update(tasks, config.experiment.algorithm, seed=0, update=update)
            reset_peak("cpu")
            collector.engine.load_weights(model)
            started = time.thread_time()
            now["episodes"] = collector.collect(assignments, 1.0)
            now["generating"], now["clock"] = time.thread_time() - started, time.thread_time()
            return list(now["episodes"])

        def on_update(record: dict[str, Any], _: Any) -> None:
            trained = time.thread_time() - now["clock"]
            costs.append(cost_of(now["episodes"], record, now["generating"], trained))

        trainer = build_trainer(
            config,
            model=model,
            tokenizer=tokenizer,
            collect=collect,
            on_update=on_update,
            output_dir=Path(tempfile.mkdtemp()),
        )
        trainer.train_to(count + 1)
        return costs[1:]


def cost_of(episodes: list[Episode], record: dict[str, Any], generating: float, training: float) -> Cost:
    """The update's tokens beside its seconds."""
    turns = [turn for episode in episodes for turn in episode.turns]
    shared = sum(
        common_prefix(before.context_ids + before.action_ids, turn.context_ids)
        for episode in episodes
        for before, turn in zip(episode.turns, episode.turns[1:], strict=False)
    )
    read = sum(len(turn.context_ids) for turn in turns)
    tokens = sum(record["tokens"].values())
    return Cost(len(turns), read, read - shared, record["rows"], tokens, generating, training, peak_mb("cpu"))


if __name__ == "__main__":
    main()
