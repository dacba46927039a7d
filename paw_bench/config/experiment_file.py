"""An experiment file: what a user writes, and the same with its scale and overrides applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, reduce
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_core import PydanticCustomError

from paw_bench.config.budget import Budget, Limit
from paw_bench.config.environments import complete_options
from paw_bench.config.layers import Layer, resolve
from paw_bench.config.merge import Delta, Key, merge, split
from paw_bench.config.schema import ExecutionConfig, ExperimentConfig
from paw_bench.config.section import NonNegativeInt, Section
from paw_bench.config.tuned import Tuned

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name that becomes part of a folder's name."""

Point = Mapping[str, Any]
"""One value for each axis, by the axis's dotted key."""


class ExperimentSpec(Section):
    """The keys of an experiment file. `base`, `arms` and `execution` are deltas against the schema of a run."""

    schema_version: Literal[1]
    name: Name | None = None
    """Names the results folder, together with the scale (None: the file's own name)."""
    description: str = ""
    scale: Name
    """Scale to run at unless the command line says another."""
    base: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, dict[str, Any] | None]
    """Arm name -> what it changes against the base."""
    reference: str | None = None
    """The arm that others are compared with (None: the first)."""
    axes: dict[str, list[Any]] = Field(default_factory=dict)
    """Dotted key -> the values it takes; every arm is run at every combination."""
    seeds: list[NonNegativeInt]
    comparisons: list[Annotated[list[str], Field(min_length=2, max_length=2)]] | None = None
    """Pairs [arm, arm it is compared with] (None: every arm with the reference)."""
    execution: dict[str, Any] = Field(default_factory=dict)
    budget: Budget | None = None
    """From how many hours on a sweep asks before it starts."""
    tuned: Tuned | None = None
    """Where the settings come from, if a study chose them."""


class ScaleSpec(Section):
    """The keys of a scale file."""

    schema_version: Literal[1]
    description: str = ""
    experiment: dict[str, Any] = Field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Environment -> what it changes against `experiment` in runs that play it."""
    execution: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Axis:
    """A dotted key and one checked layer for each of its values."""

    key: str
    values: tuple[Any, ...]
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class ExperimentFile:
    """A checked experiment file at one scale, overrides applied: everything that a plan is made from."""

    path: Path
    text: str
    """The file as it was read."""
    name: str
    description: str
    scale: str
    overrides: tuple[str, ...]
    """The `--set` arguments, as given."""
    arms: Mapping[str, Layer]
    reference: str
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    comparisons: tuple[tuple[str, str], ...]
    """(arm, arm it is compared with)."""
    below: tuple[Layer, ...]
    """Layers under the arm: the scale's, then the base."""
    above: tuple[Layer, ...]
    """Layers over arms and axes: one for each `--set` of an experiment key."""
    execution_layers: tuple[Layer, ...]
    environments: Mapping[str, Layer] = field(default_factory=dict)
    """Environment -> the scale's layer of it, on top of what the scale says of all."""
    tuned: Tuned | None = None
    limits: tuple[Limit, ...] = ()
    """Of the budget."""

    @property
    def sweep_name(self) -> str:
        """Name of the results folder: one experiment at one scale."""
        return f"{self.name}-{self.scale}"

    @cached_property
    def execution(self) -> ExecutionConfig:
        """How the runs are executed. Raises ConfigError for an impossible combination."""
        return resolve(self.execution_layers, ExecutionConfig)

    def points(self) -> Iterator[dict[str, Any]]:
        """Every combination of axis values, the last axis changing fastest; one empty point without axes."""
        for values in product(*(axis.values for axis in self.axes)):
            yield {axis.key: value for axis, value in zip(self.axes, values, strict=True)}

    @property
    def first_point(self) -> Point:
        """The first value of every axis."""
        return next(self.points())

    def layers(self, arm: str | None, point: Point) -> tuple[Layer, ...]:
        """The layers of one config, lowest first; without an arm those of the base."""
        return (*self.scale_layers(arm, point), *self._own_layers(arm, point))

    def scale_layers(self, arm: str | None, point: Point) -> tuple[Layer, ...]:
        """What the scale says: of all runs, and on top of it of the environment that is played."""
        scale = self.below[0]
        own = self.environments.get(environment_of((scale, *self._own_layers(arm, point))) or "")
        return (scale, own) if own else (scale,)

    def _own_layers(self, arm: str | None, point: Point) -> tuple[Layer, ...]:
        own = () if arm is None else (self.arms[arm],)
        chosen = (axis.layers[axis.values.index(point[axis.key])] for axis in self.axes)
        return (*self.below[1:], *own, *chosen, *self.above)

    def implied(self, arm: str) -> frozenset[Key]:
        """Keys that the arm sets without naming them: what the scale says of an environment that the arm names."""
        own = self.environments.get(environment_of((self.arms[arm],)) or "")
        return own.keys if own else frozenset()

    def base_settings(self, point: Point) -> Delta:
        """Every key of the base with its value, as merged and not validated: a base need not be possible by itself."""
        merged = reduce(merge, (layer.delta for layer in self.layers(None, point)), ExperimentConfig().model_dump())
        with suppress(PydanticCustomError):  # options that are impossible without those of an arm
            section = merged["environment"]
            return merge(merged, {"environment": {"options": complete_options(section["name"], section["options"])}})
        return merged

    def resolve(self, arm: str, point: Point) -> ExperimentConfig:
        """The config of an arm at an axis point. Raises ConfigError for an impossible combination."""
        known = self._off_axes[arm] if self.axes else {}
        return resolve(self.layers(arm, point), ExperimentConfig, whose=_whose(arm, point), known=known)

    @cached_property
    def _off_axes(self) -> dict[str, dict[str, Section]]:
        """Arm -> its sections that no axis touches, validated once: they are the same at every point."""
        touched = {split(axis.key)[0] for axis in self.axes}
        if "environment" in touched:
            touched |= {key[0] for layer in self.environments.values() for key in layer.keys}
        names = [name for name in ExperimentConfig.model_fields if name != "seed" and name not in touched]
        point = self.first_point
        configs = {
            arm: resolve(self.layers(arm, point), ExperimentConfig, whose=_whose(arm, point)) for arm in self.arms
        }
        return {arm: {name: getattr(config, name) for name in names} for arm, config in configs.items()}

    def locate(self, key: Key, arm: str, point: Point) -> tuple[str, str]:
        """(`file:line`, dotted key) of the uppermost layer that sets `key`."""
        layers: Sequence[Layer] = self.layers(arm, point)
        guilty = next((layer for layer in reversed(layers) if layer.names(key)), layers[-1])
        return guilty.origin.locate(key)


def environment_of(layers: Sequence[Layer]) -> str | None:
    """The environment that the uppermost of the layers which name one names."""
    named = (layer.delta.get("environment", {}).get("name") for layer in reversed(layers))
    return next((name for name in named if name), None)


def _whose(arm: str, point: Point) -> str:
    where = ", ".join(f"{key} = {value!r}" for key, value in point.items())
    return f"arm {arm!r}" + (f" at {where}" if where else "")
