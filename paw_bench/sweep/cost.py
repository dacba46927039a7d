"""What a plan will cost: predicted from measurements, or unknown. Nothing is guessed."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paw_bench.config.budget import Unit
from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.sweep.calibration import (
    Calibration,
    Measured,
    Samples,
    Speed,
    evaluations,
    mean,
    measured_speeds,
    point_text,
    shipped_calibration,
)
from paw_bench.sweep.plan import Plan, PlannedRun

Source = Literal["this sweep", "calibration", "no measurement"]


@dataclass(frozen=True, slots=True)
class ArmCost:
    """Cost of one arm's runs, from the beginning and whatever is done already."""

    runs: int
    run_seconds: float | None
    """Mean wall-clock seconds of one run (None: unknown)."""
    source: Source
    """Where the time of an update comes from."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a run occupies while it works."""

    gpus: int
    cores: int
    limit_s: float | None = None
    """How long an attempt may take (None: as long as it likes)."""

    @classmethod
    def here(cls, run: PlannedRun) -> Size:
        """Of a run on this machine, all of its processes counted."""
        execution = run.config.execution
        return cls(execution.gpus, execution.threads * execution.ranks)

    @property
    def unit(self) -> Unit:
        """What its hours are counted of."""
        return "gpu" if self.gpus else "core"

    @property
    def units(self) -> int:
        """GPUs, or cores where it uses no GPU."""
        return self.gpus or self.cores


@dataclass(frozen=True, slots=True)
class CostPrediction:
    """Cost of a plan. None wherever something that it needs was not measured."""

    arms: Mapping[str, ArmCost]
    run_seconds: Mapping[str, float | None]
    """Run id -> wall-clock seconds of the run."""
    parallel: int
    total_seconds: float | None
    """Wall-clock seconds of the sweep with `parallel` runs at a time, in the plan's order."""
    sizes: Mapping[str, Size]
    """Run id -> what it occupies."""
    sources: tuple[str, ...]
    """What the prediction stands on, in words."""

    def hours(self, unit: Unit, runs: Collection[str]) -> float | None:
        """GPU hours of those of `runs` that use GPUs, or core hours of the others; None where some are unknown."""
        seconds = [(self.run_seconds[run], size.units) for run in runs if (size := self.sizes[run]).unit == unit]
        if any(each is None for each, _ in seconds):
            return None
        return sum((each or 0.0) * units for each, units in seconds) / 3600

    def most_hours(self, unit: Unit, runs: Collection[str]) -> float | None:
        """The same if one attempt of each run takes all the time that it may; None without such a limit."""
        sizes = [size for run in runs if (size := self.sizes[run]).unit == unit]
        if any(size.limit_s is None for size in sizes):
            return None
        return sum((size.limit_s or 0.0) * size.units for size in sizes) / 3600

    @property
    def gpu_hours(self) -> float | None:
        """GPU hours of all runs; 0 without GPUs."""
        return self.hours("gpu", self.run_seconds.keys())


def predict(
    plan: Plan,
    *,
    calibration: Calibration | None = None,
    sweep_path: Path | None = None,
    parallel: int = 1,
    size: Callable[[PlannedRun], Size] = Size.here,
) -> CostPrediction:
    """Predict seconds a run = start-up + updates x seconds an update + evaluations x seconds an evaluation.

    What runs of the same sweep took (under `sweep_path`) takes precedence over the calibration (None: the shipped one).
    Where only updates were measured so far, the calibrated rest is scaled by how much slower or faster they are.
    """
    calibration = calibration or shipped_calibration()
    measured = measured_speeds(plan, sweep_path) if sweep_path else {}
    pooled = _pooled(measured)
    speeds = {
        run.run_id: _Times.of(run, calibration.speed(run.config), _nearest(run, measured, pooled)) for run in plan.runs
    }
    seconds = {run.run_id: speeds[run.run_id].run(run.config.experiment) for run in plan.runs}
    known = [value for value in seconds.values() if value is not None]
    complete = len(known) == len(seconds)
    return CostPrediction(
        arms={arm: _arm_cost([run for run in plan.runs if run.arm == arm], speeds, seconds) for arm in plan.file.arms},
        run_seconds=seconds,
        parallel=parallel,
        total_seconds=_wall_clock(known, parallel) if complete else None,
        sizes={run.run_id: size(run) for run in plan.runs},
        sources=_sources(plan, calibration, measured),
    )


def evaluation_games(experiment: ExperimentConfig) -> int:
    """Games of one evaluation."""
    return experiment.evaluation.games or experiment.environment.panel_sizes[experiment.evaluation.panel]


@dataclass(frozen=True, slots=True)
class _Times:
    """Seconds of the three parts of one run; None is unknown."""

    startup: float | None
    update: float | None
    evaluation: float | None
    source: Source

    @classmethod
    def of(cls, run: PlannedRun, speed: Speed | None, samples: Samples) -> _Times:
        known = _calibrated(run.config, speed)
        update = samples.update.mean
        if update is None:
            return known
        slower = update / known.update if known.update else 1.0
        rest = [None if value is None else value * slower for value in (known.startup, known.evaluation)]
        startup, evaluation = samples.startup.mean, samples.evaluation.mean
        return cls(
            rest[0] if startup is None else startup,
            update,
            rest[1] if evaluation is None else evaluation,
            "this sweep",
        )

    def run(self, experiment: ExperimentConfig) -> float | None:
        if self.startup is None or self.update is None or self.evaluation is None:
            return None
        updates = experiment.training.updates
        return self.startup + updates * self.update + evaluations(experiment.evaluation, updates) * self.evaluation


def _calibrated(config: RunConfig, speed: Speed | None) -> _Times:
    if speed is None:
        return _Times(None, None, None, "no measurement")
    experiment = config.experiment
    algorithm = experiment.algorithm
    longer = experiment.environment.max_turns / speed.max_turns
    update = evaluation = None
    if speed.rollout_seconds_per_episode is not None and speed.training_seconds_per_episode is not None:
        episode = speed.rollout_seconds_per_episode + algorithm.epochs * speed.training_seconds_per_episode
        update = algorithm.groups * algorithm.group_size * longer * episode
    if speed.evaluation_seconds_per_episode is not None:
        evaluation = evaluation_games(experiment) * longer * speed.evaluation_seconds_per_episode
    return _Times(speed.startup_seconds, update, evaluation, "no measurement" if update is None else "calibration")


def _pooled(measured: Measured) -> dict[str, Samples]:
    """Axis point -> what was measured there in any arm."""
    pooled: dict[str, Samples] = defaultdict(Samples)
    for (_, point), samples in measured.items():
        pooled[point].add(samples)
    return pooled


def _nearest(run: PlannedRun, measured: Measured, pooled: Mapping[str, Samples]) -> Samples:
    """The run's own arm where it has updates, else every arm at the same axis point."""
    point = point_text(run.axes)
    own = measured.get((run.arm, point))
    return own if own is not None and own.update.count else pooled.get(point, Samples())


def _arm_cost(runs: list[PlannedRun], speeds: Mapping[str, _Times], seconds: Mapping[str, float | None]) -> ArmCost:
    known = [value for run in runs if (value := seconds[run.run_id]) is not None]
    return ArmCost(len(runs), mean(known) if len(known) == len(runs) else None, speeds[runs[0].run_id].source)


def _wall_clock(seconds: Iterable[float], parallel: int) -> float:
    """When the last run ends if each slot takes the next run as soon as it is free."""
    free = [0.0] * parallel
    for run in seconds:
        heapq.heappush(free, heapq.heappop(free) + run)
    return max(free)


def _sources(plan: Plan, calibration: Calibration, measured: Measured) -> tuple[str, ...]:
    updates = sum(samples.update.count for samples in measured.values())
    found = [f"{updates} updates of this sweep"] if updates else []
    entries = {speed.model: speed for run in plan.runs if (speed := calibration.speed(run.config)) is not None}
    known = [speed for speed in entries.values() if speed.update_known]
    return (*found, *(f"{speed.model} on {speed.device}: {speed.measured}" for speed in known))
