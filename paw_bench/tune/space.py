"""The search space of an arm: Optuna distributions of schema keys, some of them under a condition."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.trial import Trial

from paw_bench.config.merge import Delta, Key, split
from paw_bench.config.yaml_reader import Place

Params = dict[str, Any]
"""Dotted key -> value, of one trial."""


@dataclass(frozen=True, eq=False)
class Parameter:
    """One searched key."""

    key: str
    distribution: BaseDistribution
    when: Mapping[str, tuple[Any, ...]]
    """Other searched key -> values at which this one is searched."""
    place: Place
    """Where it is written in the study file."""

    def applies(self, params: Params) -> bool:
        """Whether the key is searched beside the values chosen so far."""
        return all(key in params and params[key] in values for key, values in self.when.items())

    @property
    def values(self) -> list[Any] | None:
        """Every value that can be tried, in order; None where they are not countable."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return list(distribution.choices)
        assert isinstance(distribution, IntDistribution | FloatDistribution)
        if distribution.step is None:
            return None
        count = math.floor((distribution.high - distribution.low) / distribution.step + 1e-9) + 1
        return [distribution.low + number * distribution.step for number in range(count)]

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a key that is no range; empty for a range."""
        return self.distribution.choices if isinstance(self.distribution, CategoricalDistribution) else ()

    def suggest(self, trial: Trial) -> Any:
        """The trial's value: the one that it has, or a new one of the study's sampler."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return trial.suggest_categorical(self.key, choices)
            case IntDistribution(low=low, high=high, log=log, step=step):
                return trial.suggest_int(self.key, low, high, log=log, step=step)
            case FloatDistribution(low=low, high=high, log=log, step=step):
                return trial.suggest_float(self.key, low, high, log=log, step=step)
        raise AssertionError(self.distribution)

    def words(self) -> str:
        """'1e-05 to 0.001, log', 'cmae, mae', '0.25 to 1, step 0.25'; with its condition."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                text = ", ".join(map(str, choices))
            case IntDistribution(low=low, high=high, log=log, step=step):
                text = f"{low} to {high}" + (", log" if log else "") + (f", step {step}" if step > 1 else "")
            case FloatDistribution(low=low, high=high, log=log, step=stride):
                text = f"{low:g} to {high:g}" + (", log" if log else "") + (f", step {stride:g}" if stride else "")
            case _:
                raise AssertionError(self.distribution)
        conditions = (f"{key} is {' or '.join(map(str, values))}" for key, values in self.when.items())
        return text + "".join(f"; when {condition}" for condition in conditions)

    def document(self) -> Delta:
        """As plain data, for comparing and for readers of `sweep.json`."""
        return {
            "distribution": distribution_to_json(self.distribution),
            "when": {key: list(values) for key, values in self.when.items()},
        }


@dataclass(frozen=True)
class Space:
    """The searched keys of one arm; a key stands behind those that its condition names."""

    parameters: Sequence[Parameter]

    def suggest(self, trial: Trial) -> Params:
        """The trial's values, in the order of the file; called again it returns the same."""
        params: Params = {}
        for parameter in self.parameters:
            if parameter.applies(params):
                params[parameter.key] = parameter.suggest(trial)
        return params

    def points(self) -> Iterator[Params]:
        """Every combination, the last key changing fastest; all keys must be countable."""
        yield from _points(self.parameters, {})


def _points(parameters: Sequence[Parameter], chosen: Params) -> Iterator[Params]:
    if not parameters:
        yield chosen
        return
    first, *rest = parameters
    if not first.applies(chosen):
        yield from _points(rest, chosen)
        return
    for value in first.values or ():
        yield from _points(rest, {**chosen, first.key: value})


def with_params(delta: Delta, params: Mapping[str, Any]) -> Delta:
    """`delta`, as a user writes it, with the values set; a section that is a preset's name keeps it as `preset`."""
    for key, value in params.items():
        delta = _with_key(delta, split(key), value)
    return delta


def _with_key(delta: Delta, key: Key, value: Any) -> Delta:
    first, *rest = key
    if not rest:
        return {**delta, first: value}
    inner = delta.get(first) or {}
    if isinstance(inner, str):
        inner = {"preset": inner}
    return {**delta, first: _with_key(inner, tuple(rest), value)}
