"""Layers of settings and how they become one config.

defaults < scale < base < arm < axis value < --set. Each layer is checked by itself first (keys, types, ranges), so that
an error points at the line that holds it; combinations are checked once all layers lie on top of each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from paw_bench.config.environments import check_name
from paw_bench.config.merge import Delta, Key, leaves, merge, split
from paw_bench.config.messages import refusal
from paw_bench.config.presets import SECTION, expand_presets
from paw_bench.config.section import IMPOSSIBLE
from paw_bench.config.yaml_reader import Document, Place, dotted
from paw_bench.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Origin:
    """Where a delta was written: at `inside` of the document, and it sets what lies at `mount` of the config."""

    document: Document
    inside: Place = ()
    mount: Key = ()

    def locate(self, path: tuple[str | int, ...]) -> tuple[str, str]:
        """(`file:line`, dotted key) of a config path, as the user wrote it."""
        written = (*self.inside, *path[len(self.mount) :])
        return self.document.where(written), dotted(written)


@dataclass(frozen=True)
class Layer:
    """One delta: `delta` with presets written out, `named` the keys as the user named them."""

    delta: Delta
    named: frozenset[Key]
    origin: Origin

    @cached_property
    def keys(self) -> frozenset[Key]:
        """Every key that the expanded delta sets."""
        return frozenset(key for key, _ in leaves(self.delta))

    def names(self, key: Key) -> bool:
        """Whether the user named this key, a section around it, or something in it."""
        return any(key[: len(own)] == own or own[: len(key)] == key for own in self.named)


def make_layer(raw: Delta, origin: Origin, model: type[BaseModel]) -> Layer:
    """The layer of one delta. Raises ConfigError for unknown keys, wrong types and values out of range."""
    delta = expand_presets(raw, origin.locate) if SECTION in model.model_fields else raw
    error = next((error for error in _errors(model, delta) if error["type"] != IMPOSSIBLE), None)
    if error is not None:
        raise refusal(error, model, origin.locate)
    check_name(delta, origin.locate)
    return Layer(delta, frozenset(key for key, _ in leaves(raw)), origin)


def resolve(
    layers: Iterable[Layer], model: type[Model], *, whose: str = "", known: Mapping[str, BaseModel] | None = None
) -> Model:
    """The config that the layers make, the last one on top. Raises ConfigError for an impossible combination.

    `whose` says in messages which config it is; `known` are sections that were validated before.
    """
    layers = tuple(layers)
    merged = reduce(merge, (layer.delta for layer in layers), Delta())
    try:
        return model.model_validate({**merged, **(known or {})})
    except ValidationError as error:
        raise _impossible(error.errors()[0], layers, merged, model, whose) from None


def _errors(model: type[BaseModel], delta: Delta) -> list[ErrorDetails]:
    try:
        model.model_validate(delta)
    except ValidationError as error:
        return error.errors()
    return []


def _guilty(layers: tuple[Layer, ...], model: type[BaseModel]) -> Layer:
    """The uppermost layer without which the others would be possible."""
    for layer in reversed(layers):
        rest = (other.delta for other in layers if other is not layer)
        if not _errors(model, reduce(merge, rest, Delta())):
            return layer
    return layers[-1]


def _impossible(
    error: ErrorDetails, layers: tuple[Layer, ...], merged: Delta, model: type[BaseModel], whose: str
) -> ConfigError:
    context = error["ctx"]
    key = (*(str(part) for part in error["loc"]), *split(context["key"]))
    file, _ = _guilty(layers, model).origin.locate(key)
    value: Any = merged
    for part in key:
        value = value.get(part) if isinstance(value, dict) else None
    problem = context["problem"] + (f", in {whose}" if whose else "")
    return ConfigError(file=file, key=".".join(key), value=value, problem=problem, remedy=context["remedy"])
