"""What the world-model term costs: paired updates, none and paw, on the same episodes from the same weights.

    python benchmarks/wm_overhead.py [--pairs 8] [--scale embedded] [--model embedded] [--device cpu] [--set KEY=VALUE]

For full and windowed contexts apart, it collects an update's episodes once, then trains on them without and with the
term, in alternating order and from the initial weights each time. It prints ratios
paw / none with a 95 % t interval over the pairs (of the mean log ratio): of the training phase, of the whole update
(rollout and training), and of peak memory (of the process on a CPU, of the allocator on a GPU). On a CPU the training
phase is also given in CPU seconds, which other work on the machine stretches less. It also prints what the
full-vocabulary entropy costs in the rollout: the share of decoding that `selection.score: surprisal` would not need.

The gradients of the two parts are not measured apart here (`execution.gradient_parts_every` is 0).
"""

from __future__ import annotations

import argparse
import copy
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from scipy import stats

from paw_bench.config.experiment_file import ExperimentFile
from paw_bench.config.load import load_experiment_file
from paw_bench.config.schema import RunConfig
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool

if TYPE_CHECKING:
    from paw_bench.rollout.collector import Collector
    from paw_bench.rollout.episode import Episode

ARMS = ("none", "paw")
EXPERIMENT = """
schema_version: 1
name: overhead
scale: embedded
base:
  context: {{ mode: {mode} }}
  algorithm: {{ penalty_credit: episode }}
  training: {{ updates: 10000 }} # a long run, of which one update is measured at a time
arms:
  none: {{ world_model: none }}
  paw: {{ world_model: paw }}
seeds: [0]
execution: {{ gradient_parts_every: 0 }}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one training phase took."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def main() -> None:
    """Measure both context forms."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--scale", default="embedded")
    parser.add_argument("--model", default=None, help="any model name that a config takes (default: the scale's)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--modes", nargs="+", default=["window", "full"])
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    for mode in options.modes:
        measure_mode(mode, options)


def measure_mode(mode: str, options: argparse.Namespace) -> None:
    """Print one context form's ratios."""
    file = experiment(mode, options)
    configs = {arm: RunConfig(experiment=file.resolve(arm, {}), execution=file.execution) for arm in ARMS}
    environment = configs["none"].experiment.environment
    tasks = load_panels(environment)["train"].tasks
    workers, timeout = file.execution.environment_workers, file.execution.step_timeout_s
    with EnvironmentPool(environment, workers=workers, timeout_s=timeout) as pool:
        from paw_bench.training.tasks import assignments_of_update

        bench = Bench(configs, pool)
        algorithm = configs["none"].experiment.algorithm
        rollouts, pairs = [], []
        # The first pair warms up and is not counted.
        for number in range(options.pairs + 1):
            assignments = assignments_of_update(tasks, algorithm, seed=0, update=number + 1)
            started = time.perf_counter()
            episodes = bench.collector.collect(assignments, 1.0)
            rollouts.append(time.perf_counter() - started)
            order = ARMS if number % 2 == 0 else ARMS[::-1]
            costs = {arm: bench.train(arm, episodes) for arm in order}
            pairs.append((costs["none"], costs["paw"]))
        report(mode, rollouts[1:], pairs[1:], bench.entropy_share(episodes))


def experiment(mode: str, options: argparse.Namespace) -> ExperimentFile:
    """The two arms at the asked scale."""
    overrides = list(options.overrides)
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


class Bench:
    """One trainer an arm, on a model of its own, that starts every update from the same weights."""

    collector: Collector

    def __init__(self, configs: dict[str, RunConfig], pool: EnvironmentPool) -> None:
        import torch

        from paw_bench import models
        from paw_bench.rollout.collector import Collector
        from paw_bench.training.build import build_trainer

        config = configs["none"]
        torch.set_num_threads(config.execution.threads)
        self.device = config.execution.device
        self._episodes: list[Episode] = []
        self._trainers: dict[str, Any] = {}
        for arm, own in configs.items():
            model, tokenizer = models.load(config.experiment.model, self.device)
            self._trainers[arm] = build_trainer(
                own,
                model=model,
                tokenizer=tokenizer,
                collect=self._collect,
                on_update=lambda *_: self._stop(),
                output_dir=Path(tempfile.mkdtemp()),
            )
        self._start = {arm: copy.deepcopy(trainer.model.state_dict()) for arm, trainer in self._trainers.items()}
        self.collector = Collector.with_model(
            config.experiment,
            pool,
            self._trainers["none"].model,
            tokenizer,
            batch=config.execution.generation_batch,
        )

    def train(self, arm: str, episodes: list[Episode]) -> Cost:
        """Train one update of an arm on the episodes, from the initial weights."""
        trainer = self._trainers[arm]
        self._episodes = episodes
        trainer.train_to(trainer.updates_done + 1)
        trainer.model.load_state_dict(self._start[arm])
        return self._cost

    def _collect(self, update: int) -> list[Episode]:
        """The episodes, as the trainer asks for them: the update begins (entering HF's loop is not part of it)."""
        reset_peak(self.device)
        self._began = time.perf_counter(), time.process_time()
        return list(self._episodes)

    def _stop(self) -> None:
        """The update has ended."""
        synchronize(self.device)
        wall, cpu = self._began
        self._cost = Cost(time.perf_counter() - wall, time.process_time() - cpu, peak_mb(self.device))

    def entropy_share(self, episodes: list[Episode]) -> float:
        """Share of an update's decoding time that the full-vocabulary entropies take (measured on its shapes)."""
        import torch

        generate = self.collector.timing.generate
        steps = sum(max(len(turn.action_ids) for turn in turns) for turns in turns_in_step(episodes))
        model = self._trainers["none"].model
        logits = torch.randn(len(episodes), model.config.vocab_size, device=model.device)
        distribution = logits.log_softmax(-1)
        synchronize(self.device)
        started = time.perf_counter()
        for _ in range(20):
            _ = -(distribution.exp() * distribution).sum(-1)
        synchronize(self.device)
        return (time.perf_counter() - started) / 20 * steps / generate


def turns_in_step(episodes: list[Episode]) -> list[list[Any]]:
    """The turns that were decoded together: the n-th of every episode that has one."""
    longest = max(len(episode.turns) for episode in episodes)
    return [[e.turns[number] for e in episodes if number < len(e.turns)] for number in range(longest)]


def report(mode: str, rollouts: list[float], pairs: list[tuple[Cost, Cost]], entropy: float) -> None:
    """Print the ratios of the counted pairs."""
    train = [with_term.seconds / without.seconds for without, with_term in pairs]
    whole = [
        (rollout + with_term.seconds) / (rollout + without.seconds)
        for rollout, (without, with_term) in zip(rollouts, pairs, strict=True)
    ]
    cpu = [with_term.cpu_seconds / without.cpu_seconds for without, with_term in pairs]
    memory = [with_term.peak_mb / without.peak_mb for without, with_term in pairs]
    none = [without for without, _ in pairs]
    print(
        f"{mode}: {len(pairs)} pairs; without the term rollout {fmean(rollouts):.2f} s, training "
        f"{fmean(cost.seconds for cost in none):.2f} s, peak {fmean(cost.peak_mb for cost in none):.0f} MB"
    )
    named = {"whole update": whole, "training phase": train, "its CPU seconds": cpu, "peak memory": memory}
    for name, ratios in named.items():
        print(f"  {name:15} paw / none = {with_interval(ratios)}")
    print(f"  entropies of the whole vocabulary: {entropy:.2%} of decoding (none with selection.score: surprisal)")


def with_interval(ratios: list[float]) -> str:
    """`1.012 [1.003, 1.021]`: geometric mean and 95 % t interval of paired ratios."""
    logs = [math.log(ratio) for ratio in ratios]
    mean = fmean(logs)
    if len(logs) < 2:
        return f"{math.exp(mean):.4f}"
    half = stats.t.ppf(0.975, len(logs) - 1) * stats.tstd(logs) / math.sqrt(len(logs))
    return f"{math.exp(mean):.4f} [{math.exp(mean - half):.4f}, {math.exp(mean + half):.4f}]"


def synchronize(device: str) -> None:
    """Wait for the GPU, so that a clock sees its work."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def reset_peak(device: str) -> None:
    """Start a new peak: of the allocator, or (Linux) of this process's resident memory."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb(device: str) -> float:
    """Peak memory in MB since `reset_peak`."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


if __name__ == "__main__":
    main()
