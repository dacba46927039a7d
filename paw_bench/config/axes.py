"""The axes of an experiment file: keys that take several values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from paw_bench.config.experiment_file import Axis, ExperimentSpec
from paw_bench.config.layers import Layer, Origin, make_layer
from paw_bench.config.merge import Key, nest, split
from paw_bench.config.overrides import FILE
from paw_bench.config.schema import ExperimentConfig
from paw_bench.config.yaml_reader import Document
from paw_bench.errors import ConfigError


def make_axes(
    spec: ExperimentSpec,
    document: Document,
    arms: Mapping[str, Layer],
    overrides: Iterable[Layer],
    *,
    only: Mapping[str, Any],
) -> tuple[Axis, ...]:
    """Check keys and values; refuse an axis whose key an arm, another axis or a `--set` sets as well.

    `only`: what `--set axes.KEY=` keeps of an axis.
    """
    axes: list[Axis] = []
    for key, kept in only.items():
        _check_kept(key, kept, spec.axes)
    for key, values in spec.axes.items():
        _check_key(key, document, values)
        _check_values(key, values, document)
        for layer, who in _others(arms, overrides, axes):
            if _sets(layer, split(key)):
                raise _refusal(document, key, values, f"{who} sets this key too", "set it in one place only")
        chosen = [(index, value) for index, value in enumerate(values) if value in only.get(key, values)]
        layers = tuple(
            make_layer(nest(split(key), value), Origin(document, ("axes", key, index), split(key)), ExperimentConfig)
            for index, value in chosen
        )
        axes.append(Axis(key, tuple(value for _, value in chosen), layers))
    return tuple(axes)


def _check_key(key: str, document: Document, values: list[Any]) -> None:
    if key == "seed":
        raise _refusal(document, key, values, "seeds are no axis", "list them under `seeds`")
    if split(key)[0] == "execution":
        raise _refusal(document, key, values, "execution settings do not make another run", "use the experiment's keys")


def _check_values(key: str, values: list[Any], document: Document) -> None:
    if not values:
        raise _refusal(document, key, values, "the list is empty", "give at least one value")
    for index, value in enumerate(values):
        if value in values[:index]:
            raise _refusal(document, key, values, f"the value {value!r} is there twice", "give each value once")


def _check_kept(key: str, kept: Any, axes: Mapping[str, list[Any]]) -> None:
    """Raise ConfigError where `--set axes.KEY=` names no axis of the file, or no value of it."""
    named = f"axes.{key}"
    if key not in axes:
        remedy = f"axes: {', '.join(axes)}" if axes else f"write --set {key}=VALUE"
        raise ConfigError(file=FILE, key=named, value=kept, problem="is no axis of this experiment", remedy=remedy)
    if not isinstance(kept, list) or not kept or any(value not in axes[key] for value in kept):
        values = ", ".join(map(str, axes[key]))
        raise ConfigError(
            file=FILE, key=named, value=kept, problem="is not a list of its values", remedy=f"values: {values}"
        )


def _others(arms: Mapping[str, Layer], overrides: Iterable[Layer], axes: Iterable[Axis]) -> Iterator[tuple[Layer, str]]:
    yield from ((layer, f"the arm {name!r}") for name, layer in arms.items())
    yield from ((layer, "a --set") for layer in overrides)
    yield from ((axis.layers[0], f"the axis {axis.key!r}") for axis in axes)


def _sets(layer: Layer, key: Key) -> bool:
    """Whether the layer sets `key` itself or something in it; an arm's preset below an axis is no conflict."""
    return any(own[: len(key)] == key for own in layer.named)


def _refusal(document: Document, key: str, value: Any, problem: str, remedy: str) -> ConfigError:
    return ConfigError(
        file=document.where(("axes", key)), key=f"axes.{key}", value=value, problem=problem, remedy=remedy
    )
