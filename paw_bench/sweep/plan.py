"""The plan: arms x axes x seeds -> runs, with the proof that arms differ only in what they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from paw_bench.config.effects import Resolved, refuse_idle_keys
from paw_bench.config.experiment_file import ExperimentFile
from paw_bench.config.merge import Delta, Key, differences
from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.config.tuned import refuse_tuned_panel
from paw_bench.errors import ConfigError
from paw_bench.sweep.identity import run_ids

Changes = dict[str, tuple[Any, Any]]
"""Dotted key -> (base value, arm value)."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One resolved config with one seed."""

    arm: str
    axes: dict[str, Any]
    """Axis key -> this run's value; empty without axes."""
    seed: int
    run_id: str
    config: RunConfig


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep, in the order they are started: every arm at the first seed comes first."""

    file: ExperimentFile
    runs: tuple[PlannedRun, ...]
    changes: Mapping[str, Changes]
    """Arm -> what it changes against the base at the first axis point, any `--set` applied to both."""
    points: int
    """Combinations of axis values at which the arms were compared with the base."""


def plan(file: ExperimentFile) -> Plan:
    """Resolve every run of the file.

    Raises ConfigError where a combination is impossible, a named key has no effect, or two runs are the same.
    Each config is validated once; seeds differ by a copy, which is what makes thousands of runs cheap.
    """
    points = list(file.points())
    resolved = []
    for point in points:
        base = file.base_settings(point)
        for arm, layer in file.arms.items():
            config = file.resolve(arm, point)
            _check_processes(file, config)
            document = config.model_dump()
            _prove(arm, base, document, layer.keys | file.implied(arm))
            resolved.append((Resolved(arm, point, config), run_ids(document, file.seeds)))
    refuse_idle_keys(file, [entry for entry, _ in resolved])
    refuse_tuned_panel(file, [entry for entry, _ in resolved])
    runs = tuple(
        _run(file, entry, seed, ids[number]) for number, seed in enumerate(file.seeds) for entry, ids in resolved
    )
    _check_distinct(file, runs)
    base = file.base_settings(points[0])
    changes = {entry.arm: _changes(base, entry.config.model_dump()) for entry, _ in resolved[: len(file.arms)]}
    return Plan(file, runs, changes, len(points))


def undeclared(base: Delta, arm: Delta, named: frozenset[Key]) -> list[str]:
    """Dotted keys in which a resolved arm differs from the base although its delta does not name them."""
    # An arm that names another environment has that one's options.
    implied = ("environment", "options") if ("environment", "name") in named else None
    return [".".join(key) for key in differences(base, arm) if key not in named and key[:2] != implied]


def _prove(arm: str, base: Delta, config: Delta, named: frozenset[Key]) -> None:
    strangers = undeclared(base, config, named)
    if strangers:
        raise RuntimeError(f"arm {arm!r} differs in {', '.join(strangers)}, which it does not name: a bug in paw_bench")


def _check_processes(file: ExperimentFile, config: ExperimentConfig) -> None:
    """Raise ConfigError where the processes of a run could not share its work."""
    try:
        RunConfig(experiment=config, execution=file.execution)
    except ValidationError as error:
        context, execution = error.errors()[0]["ctx"], file.execution
        raise ConfigError(
            file=str(file.path),
            key=context["key"],
            value=execution.processes or f"one for each of {execution.gpus} GPUs",
            problem=context["problem"],
            remedy=context["remedy"],
        ) from None


def _run(file: ExperimentFile, entry: Resolved, seed: int, run_id: str) -> PlannedRun:
    experiment = entry.config.model_copy(update={"seed": seed})
    config = RunConfig(experiment=experiment, execution=file.execution)
    return PlannedRun(entry.arm, dict(entry.point), seed, run_id, config)


def _changes(base: Delta, arm: Delta) -> Changes:
    return {".".join(key): values for key, values in differences(base, arm).items()}


def _check_distinct(file: ExperimentFile, runs: tuple[PlannedRun, ...]) -> None:
    seen: dict[str, PlannedRun] = {}
    for run in runs:
        twin = seen.setdefault(run.run_id, run)
        if twin is run:
            continue
        raise ConfigError(
            file=str(file.path),
            key="axes",
            value=_describe(run),
            problem=f"gives the same run as {_describe(twin)}: run id {run.run_id}",
            remedy="remove the arm or the axis value that changes nothing there",
        )


def _describe(run: PlannedRun) -> str:
    return ", ".join([f"arm {run.arm}", *(f"{key} = {value}" for key, value in run.axes.items()), f"seed {run.seed}"])
