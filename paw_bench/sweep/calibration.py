"""Measured speeds that come with the package, and those of a sweep that is under way."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Literal

from paw_bench.config.schema import EvaluationConfig, RunConfig
from paw_bench.config.section import NonNegative, PositiveInt, Section
from paw_bench.config.spec import check_spec
from paw_bench.config.yaml_reader import parse_yaml, read_yaml
from paw_bench.store.jsonl import TornLineWarning
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.finished import Finished, FinishedRuns
from paw_bench.sweep.plan import Plan

_NAME = "calibration.yaml"


class Speed(Section):
    """Measured speed of one model in one environment on one device; the file's head says how each figure is taken."""

    model: str
    environment: str
    device: Literal["cpu", "cuda"]
    max_turns: PositiveInt
    startup_seconds: NonNegative | None
    rollout_seconds_per_episode: NonNegative | None
    training_seconds_per_episode: NonNegative | None
    evaluation_seconds_per_episode: NonNegative | None
    measured: str
    """Machine, date and command."""

    @property
    def update_known(self) -> bool:
        """Whether the time of an update can be predicted."""
        return self.rollout_seconds_per_episode is not None and self.training_seconds_per_episode is not None


class Calibration(Section):
    """The keys of a calibration file."""

    schema_version: Literal[1]
    entries: list[Speed]

    def speed(self, config: RunConfig) -> Speed | None:
        """The entry for a run's model, environment and device, or None."""
        wanted = (config.experiment.model.name, config.experiment.environment.name, config.execution.device)
        return next((each for each in self.entries if (each.model, each.environment, each.device) == wanted), None)


@cache
def shipped_calibration() -> Calibration:
    """The figures that come with the package."""
    text = files("paw_bench.sweep").joinpath(_NAME).read_text(encoding="utf-8")
    return check_spec(parse_yaml(text, _NAME), Calibration)


def load_calibration(path: Path) -> Calibration:
    """The figures in `path`. Raises ConfigError where the file is bad."""
    return check_spec(read_yaml(path, what="calibration file"), Calibration)


@dataclass(slots=True)
class Total:
    """How often something was measured, and the seconds that it took altogether."""

    count: int = 0
    seconds: float = 0.0

    def add(self, count: int, seconds: float) -> None:
        """Take in `count` measurements of `seconds` in all."""
        self.count += count
        self.seconds += seconds

    @property
    def mean(self) -> float | None:
        """Seconds each; None where nothing was measured."""
        return self.seconds / self.count if self.count else None


@dataclass(slots=True)
class Samples:
    """Seconds measured in a sweep, for one arm at one axis point or for several."""

    update: Total = field(default_factory=Total)
    evaluation: Total = field(default_factory=Total)
    startup: Total = field(default_factory=Total)

    def add(self, other: Samples) -> None:
        """Take in the seconds of `other`."""
        self.update.add(other.update.count, other.update.seconds)
        self.evaluation.add(other.evaluation.count, other.evaluation.seconds)
        self.startup.add(other.startup.count, other.startup.seconds)


Measured = dict[tuple[str, str], Samples]
"""(arm, axis point as text) -> what was measured there."""


def measured_speeds(plan: Plan, sweep_path: Path) -> Measured:
    """What the finished and running runs of this plan took so far; empty where the sweep has not begun.

    Finished runs are not read where the index knows them.
    """
    sweep = SweepDirectory(sweep_path)
    speeds: Measured = defaultdict(Samples)
    if not sweep.exists():
        return speeds
    finished = FinishedRuns(sweep_path)
    for run in plan.runs:
        path = sweep.run_path(run.run_id)
        known = finished.look(path)
        if known is not None:
            _add_finished(speeds[run.arm, point_text(run.axes)], known, run.config.experiment.evaluation)
        elif os.path.exists(f"{path}/config.json"):
            speeds[run.arm, point_text(run.axes)].add(_samples(RunDirectory(path)))
    return speeds


def evaluations(evaluation: EvaluationConfig, updates: int) -> int:
    """How often a run is evaluated: before (if asked), every n-th update but the last, and after."""
    between = (updates - 1) // evaluation.every if evaluation.every else 0
    return int(evaluation.before) + between + 1


def point_text(axes: dict[str, object]) -> str:
    """An axis point as a key."""
    return repr(sorted(axes.items()))


def mean(values: list[float]) -> float | None:
    """The mean, or None of nothing."""
    return fmean(values) if values else None


def _samples(directory: RunDirectory) -> Samples:
    with warnings.catch_warnings():
        # A run that is at work may be in the middle of a line.
        warnings.simplefilter("ignore", TornLineWarning)
        metrics, events = directory.metrics(), directory.events()
    samples = Samples()
    samples.update.add(len(metrics), sum(record["seconds"]["total"] for record in metrics))
    played = [event["seconds"] for event in events if event["event"] == "evaluation" and "seconds" in event]
    samples.evaluation.add(len(played), sum(played))
    result = directory.result(verify=False)
    if result is not None and result["attempts"] == 1:
        taken = result["seconds"]
        samples.startup.add(1, max(0.0, taken["total"] - taken["training"] - taken["evaluation"]))
    return samples


def _add_finished(samples: Samples, run: Finished, evaluation: EvaluationConfig) -> None:
    samples.update.add(run.updates, run.training_s)
    samples.evaluation.add(evaluations(evaluation, run.updates), run.evaluation_s)
    if run.attempts == 1:
        samples.startup.add(1, max(0.0, run.seconds - run.training_s - run.evaluation_s))
