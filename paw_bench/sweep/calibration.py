"""Measured speeds that come with the package, and those of a sweep that is under way."""

from __future__ import annotations

import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Literal

from paw_bench.config.schema import RunConfig
from paw_bench.config.section import NonNegative, PositiveInt, Section
from paw_bench.config.spec import check_spec
from paw_bench.config.yaml_reader import parse_yaml, read_yaml
from paw_bench.store.jsonl import TornLineWarning
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.plan import Plan

_NAME = "calibration.yaml"


class Speed(Section):
    """Measured speed of one model on one device; the file's head says how each figure is taken."""

    model: str
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
        """The entry for a run's model and device, or None."""
        wanted = (config.experiment.model.name, config.execution.device)
        return next((entry for entry in self.entries if (entry.model, entry.device) == wanted), None)


@cache
def shipped_calibration() -> Calibration:
    """The figures that come with the package."""
    text = files("paw_bench.sweep").joinpath(_NAME).read_text(encoding="utf-8")
    return check_spec(parse_yaml(text, _NAME), Calibration)


def load_calibration(path: Path) -> Calibration:
    """The figures in `path`. Raises ConfigError where the file is bad."""
    return check_spec(read_yaml(path, what="calibration file"), Calibration)


@dataclass
class Samples:
    """Seconds measured in a sweep, for one arm at one axis point or for several."""

    update: list[float] = field(default_factory=list)
    evaluation: list[float] = field(default_factory=list)
    startup: list[float] = field(default_factory=list)

    def add(self, other: Samples) -> None:
        """Take in the seconds of `other`."""
        self.update += other.update
        self.evaluation += other.evaluation
        self.startup += other.startup


Measured = dict[tuple[str, str], Samples]
"""(arm, axis point as text) -> what was measured there."""


def measured_speeds(plan: Plan, sweep_path: Path) -> Measured:
    """What the finished and running runs of this plan took so far; empty where the sweep has not begun."""
    sweep = SweepDirectory(sweep_path)
    speeds: Measured = defaultdict(Samples)
    if not sweep.exists():
        return speeds
    for run in plan.runs:
        directory = RunDirectory(sweep.run_path(run.run_id))
        if (directory.path / "config.json").exists():
            speeds[run.arm, point_text(run.axes)].add(_samples(directory))
    return speeds


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
    samples = Samples(
        update=[record["seconds"]["total"] for record in metrics],
        evaluation=[event["seconds"] for event in events if event["event"] == "evaluation" and "seconds" in event],
    )
    result = directory.result(verify=False)
    if result is not None and result["attempts"] == 1:
        taken = result["seconds"]
        samples.startup.append(max(0.0, taken["total"] - taken["training"] - taken["evaluation"]))
    return samples
