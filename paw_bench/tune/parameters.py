"""From the keys of a study file to searched parameters, each checked by itself against the schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from paw_bench.config.layers import Layer, Origin, make_layer
from paw_bench.config.merge import nest, split
from paw_bench.config.messages import closest, types_at
from paw_bench.config.schema import ExperimentConfig
from paw_bench.config.yaml_reader import Document, Place, dotted
from paw_bench.errors import ConfigError
from paw_bench.tune.space import Parameter
from paw_bench.tune.spec import ParameterSpec, Scalar

_MEASURING = (
    *("seed", "execution", "evaluation"),
    *(f"environment.{key}" for key in ("name", "games", "options", "max_turns")),
)
"""Keys that decide what is measured, or how it is run, and not how well an arm does."""


def make_parameters(specs: Mapping[str, ParameterSpec], document: Document, inside: Place) -> list[Parameter]:
    """The parameters written at `inside` of the document. Raises ConfigError naming key, value and remedy."""
    return [_parameter(key, spec, document, (*inside, key)) for key, spec in specs.items()]


def check_conditions(parameters: Iterable[Parameter], document: Document) -> None:
    """Raise ConfigError where a condition names a key that is not searched, or not before, or a value it never has."""
    earlier: dict[str, Parameter] = {}
    for parameter in parameters:
        for key, wanted in parameter.when.items():
            if key not in earlier:
                near = closest(key, earlier)
                problem = "is not searched above this key" + (f": did you mean {near!r}?" if near else "")
                raise refusal(document, (*parameter.place, "when", key), list(wanted), problem, "search it above")
            known = earlier[key].values
            strangers = [value for value in wanted if known is None or value not in known]
            if strangers:
                remedy = (
                    f"give some of {', '.join(map(repr, known))}" if known else "let it depend on a key with choices"
                )
                problem = f"{key} never has this value"
                raise refusal(document, (*parameter.place, "when", key), strangers[0], problem, remedy)
        earlier[parameter.key] = parameter


def value_layer(parameter: Parameter, value: Any, document: Document) -> Layer:
    """The layer that sets the parameter's key. Raises ConfigError where the schema does not take the value."""
    return _layer(parameter.key, value, document, parameter.place)


def refusal(document: Document, place: Place, value: Any, problem: str, remedy: str) -> ConfigError:
    """The ConfigError about what is written at `place`."""
    return ConfigError(file=document.where(place), key=dotted(place), value=value, problem=problem, remedy=remedy)


def _parameter(key: str, spec: ParameterSpec, document: Document, place: Place) -> Parameter:
    measuring = next((name for name in _MEASURING if split(key)[: len(split(name))] == split(name)), None)
    if measuring is not None:
        problem = f"{measuring} decides what is measured or how it is run: trials would not be comparable"
        raise refusal(document, place, key, problem, "search other keys; set this one under while_tuning")
    if (spec.choices is None) == (spec.low is None and spec.high is None):
        problem = "needs either low and high, or choices"
        raise refusal(document, place, spec.model_dump(exclude_unset=True), problem, "give one of the two")
    distribution = _choices(key, spec, document, place) if spec.choices else _range(key, spec, document, place)
    when = {other: tuple(values) if isinstance(values, list) else (values,) for other, values in spec.when.items()}
    return Parameter(key, distribution, when, place)


def _choices(key: str, spec: ParameterSpec, document: Document, place: Place) -> BaseDistribution:
    choices: list[Scalar] = spec.choices or []
    idle = next((name for name in ("low", "high", "step", "log") if name in spec.model_fields_set), None)
    if idle is not None:
        raise refusal(document, (*place, idle), getattr(spec, idle), "has no effect beside choices", "remove it")
    for number, value in enumerate(choices):
        where = (*place, "choices", number)
        if value in choices[:number]:
            raise refusal(document, where, value, "is there twice", "give each choice once")
        _layer(key, value, document, where)
    return CategoricalDistribution(choices)


def _range(key: str, spec: ParameterSpec, document: Document, place: Place) -> BaseDistribution:
    low, high = spec.low, spec.high
    if low is None or high is None:
        missing = "low" if low is None else "high"
        raise refusal(document, place, spec.model_dump(exclude_unset=True), f"{missing} is missing", f"give {missing}")
    for name, value in (("low", low), ("high", high)):
        _layer(key, value, document, (*place, name))
    types = types_at(ExperimentConfig, split(key))
    if not types & {"integer", "number"}:
        raise refusal(document, place, [low, high], "is no number", "list its choices")
    if low >= high:
        raise refusal(document, (*place, "high"), high, f"is not above low, {low}", "exchange the two")
    if spec.log and (low <= 0 or spec.step is not None):
        problem = "a logarithmic range begins above 0 and has no step"
        raise refusal(document, (*place, "log"), spec.log, problem, "remove step, or set log to false")
    whole = "number" not in types
    if spec.step is not None and (spec.step <= 0 or (whole and not isinstance(spec.step, int))):
        remedy = "give a whole number from 1" if whole else "give a number above 0"
        raise refusal(document, (*place, "step"), spec.step, "is no step of this key", remedy)
    if whole:
        return IntDistribution(int(low), int(high), log=spec.log, step=int(spec.step or 1))
    if spec.step is not None and abs((high - low) / spec.step - round((high - low) / spec.step)) > 1e-6:
        problem = f"steps of {spec.step} from {low} do not meet it"
        raise refusal(document, (*place, "high"), high, problem, "let high be low plus a whole number of steps")
    return FloatDistribution(float(low), float(high), log=spec.log, step=spec.step)


def _layer(key: str, value: Any, document: Document, place: Place) -> Layer:
    return make_layer(nest(split(key), value), Origin(document, place, split(key)), ExperimentConfig)
