"""Training tokens per second against TRL's own GRPOTrainer on the same rows, without the world-model term.

    python benchmarks/train_step.py [--rounds 5] [--updates 6] [--scale embedded] [--model embedded] [--device cpu]

One update's episodes are played once, with full contexts. Then both trainers train on their rows, from the same weights
and with the same arguments, in alternating order: ours through its collector, TRL's through its own `rollout_func`. A
round times the updates after the first, from one optimizer step to the next, so that start-up and logging are out and
everything that happens in each update is in. On a CPU the seconds are CPU seconds, which other work on the machine
stretches less. Printed: tokens per second of both, and the ratio ours / TRL's with a 95 % t interval over the rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from wm_overhead import EXPERIMENT, synchronize, with_interval

from paw_bench.config.load import load_experiment_file
from paw_bench.config.schema import RunConfig
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool

if TYPE_CHECKING:
    from paw_bench.rollout.episode import Episode


def main() -> None:
    """Print tokens per second and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=6)
    parser.add_argument("--scale", default="embedded")
    parser.add_argument("--model", default=None, help="any model name that a config takes (default: the scale's)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    config = config_of(options)
    episodes = play(config)
    tokens = sum(
        len(e.turns[-1].context_ids + e.turns[-1].action_ids + e.turns[-1].separator_ids + e.turns[-1].observation_ids)
        for e in episodes
    )
    # The first round warms up and is not counted.
    rounds = []
    for number in range(options.rounds + 1):
        order = (train_ours, train_trl) if number % 2 == 0 else (train_trl, train_ours)
        rounds.append({train.__name__: train(config, episodes) for train in order})
    ours, trl = ([seconds[name] for seconds in rounds[1:]] for name in ("train_ours", "train_trl"))
    print(f"{len(episodes)} rows, {tokens} tokens an update, {options.rounds} rounds of {options.updates} updates")
    print(f"ours {tokens / fmean(ours):.0f} tokens/s, TRL {tokens / fmean(trl):.0f} tokens/s")
    print(f"ours / TRL = {with_interval([b / a for a, b in zip(ours, trl, strict=True)])}")


def config_of(options: argparse.Namespace) -> RunConfig:
    """The plain algorithm with full contexts at the asked scale."""
    overrides = [*options.overrides, "context.max_prompt_tokens=2048", f"training.updates={options.updates + 1}"]
    if options.model:
        overrides.append(f"model.name={options.model}")
    if options.device == "cuda":
        overrides += ["execution.device=cuda", "execution.gpus=1"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train_step.yaml")
        path.write_text(EXPERIMENT.format(mode="full"))
        file = load_experiment_file(path, scale=options.scale, overrides=overrides)
    return RunConfig(experiment=file.resolve("none", {}), execution=file.execution)


def play(config: RunConfig) -> list[Episode]:
    """One update's episodes, in the order of its rows."""
    environment = config.experiment.environment
    tasks = load_panels(environment)["train"].tasks
    workers, timeout = config.execution.environment_workers, config.execution.step_timeout_s
    with EnvironmentPool(environment, workers=workers, timeout_s=timeout) as pool:
        import torch

        from paw_bench import models
        from paw_bench.rollout.collector import Collector
        from paw_bench.training.tasks import assignments_of_update

        torch.set_num_threads(config.execution.threads)
        model, tokenizer = models.load(config.experiment.model, config.execution.device)
        assignments = assignments_of_update(tasks, config.experiment.algorithm, seed=0, update=1)
        collector = Collector.with_model(
            config.experiment, pool, model, tokenizer, batch=config.execution.generation_batch
        )
        return collector.collect(assignments, 1.0)


def train_ours(config: RunConfig, episodes: list[Episode]) -> float:
    """Seconds an update of this package's trainer."""
    from paw_bench import models
    from paw_bench.training.build import build_trainer

    model, tokenizer = models.load(config.experiment.model, config.execution.device)
    trainer = build_trainer(
        config,
        model=model,
        tokenizer=tokenizer,
        collect=lambda _: episodes,
        on_update=lambda *_: None,
        output_dir=Path(tempfile.mkdtemp()),
    )
    return timed(trainer, lambda: trainer.train_to(config.experiment.training.updates), config)


def train_trl(config: RunConfig, episodes: list[Episode]) -> float:
    """Seconds an update of TRL's trainer, fed as a user of TRL would."""
    from datasets import Dataset
    from trl import GRPOTrainer

    from paw_bench import models
    from paw_bench.rollout.rows import rows_of
    from paw_bench.training.arguments import arguments_of

    model, tokenizer = models.load(config.experiment.model, config.execution.device)

    def rollout_func(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        rows = rows_of(episodes, "full")
        return {
            "prompt_ids": [row.prompt_ids for row in rows],
            "completion_ids": [row.completion_ids for row in rows],
            "logprobs": None,
            "env_mask": [row.action_mask for row in rows],
            "returns": [episode.env_return - episode.penalty for episode in episodes],
        }

    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[lambda returns, **_: returns],
        args=arguments_of(config, Path(tempfile.mkdtemp())),
        train_dataset=Dataset.from_dict({"prompt": [""] * config.experiment.algorithm.groups}),
        processing_class=tokenizer,
        rollout_func=rollout_func,
    )
    return timed(trainer, trainer.train, config)


def timed(trainer: Any, train: Any, config: RunConfig) -> float:
    """Seconds an update, from the end of the first to the end of the last."""
    from transformers import TrainerCallback

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            synchronize(config.execution.device)
            ends.append(time.process_time() if config.execution.device == "cpu" else time.perf_counter())

    trainer.add_callback(Clock())
    train()
    steps = config.experiment.algorithm.epochs * config.experiment.algorithm.optimizer_steps
    updates = config.experiment.training.updates - 1
    return (ends[-1] - ends[steps - 1]) / updates


if __name__ == "__main__":
    main()
