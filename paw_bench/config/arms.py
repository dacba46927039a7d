"""The arms of an experiment file: checked one by one, then against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paw_bench.config.experiment_file import ExperimentFile, ExperimentSpec
from paw_bench.config.layers import Layer, Origin, make_layer
from paw_bench.config.messages import closest
from paw_bench.config.overrides import FILE
from paw_bench.config.schema import ExperimentConfig
from paw_bench.config.yaml_reader import Document, Place, dotted
from paw_bench.errors import ConfigError


@dataclass(frozen=True)
class Arms:
    """The chosen arms in the file's order, the reference, and who is compared with whom."""

    layers: Mapping[str, Layer]
    reference: str
    comparisons: tuple[tuple[str, str], ...]


def make_arms(spec: ExperimentSpec, document: Document, *, only: Any = None) -> Arms:
    """Check names, deltas, reference and comparisons; `only` (of `--set arms=`) keeps some of the arms."""
    if not spec.arms:
        raise _refusal(document, ("arms",), spec.arms, "there is no arm", "name at least one")
    reference = spec.reference if spec.reference is not None else next(iter(spec.arms))
    _check_known(reference, spec.arms, document, ("reference",))
    for row, pair in enumerate(spec.comparisons or []):
        for arm in pair:
            _check_known(arm, spec.arms, document, ("comparisons", row))
        if pair[0] == pair[1] or pair in (spec.comparisons or [])[:row]:
            problem = "an arm is compared with itself" if pair[0] == pair[1] else "the pair is there twice"
            raise _refusal(document, ("comparisons", row), pair, problem, "give each pair of two arms once")
    layers = {name: _layer(name, delta or {}, document, reference) for name, delta in spec.arms.items()}
    kept = _kept(only, layers, reference)
    pairs = [(arm, against) for arm, against in spec.comparisons or [[arm, reference] for arm in kept]]
    return Arms(kept, reference, tuple(pair for pair in pairs if pair[0] != pair[1] and set(pair) <= set(kept)))


def check_arms(file: ExperimentFile, document: Document) -> None:
    """Raise ConfigError where an arm is impossible, or resolves to the same settings as another arm."""
    point = file.first_point
    seen = {file.resolve(file.reference, point): file.reference}
    hint = " (a --set lies above every arm)" if file.above else ""
    for name in file.arms:
        if name == file.reference:
            continue
        twin = seen.setdefault(file.resolve(name, point), name)
        if twin != name:
            same = f"the arm has the same settings as the arm {twin!r}"
            problem = f"the arm changes nothing against the reference {twin!r}" if twin == file.reference else same
            delta = document.data["arms"][name]
            raise _refusal(document, ("arms", name), delta, problem + hint, "let it change a key, or remove it")


def _layer(name: str, delta: dict[str, Any], document: Document, reference: str) -> Layer:
    path = ("arms", name)
    if not name.strip() or name != name.strip() or not name.isprintable():
        problem = "the name is empty, or has spaces at its ends or characters that cannot be printed"
        raise _refusal(document, path, name, problem, "give the arm a name of printable characters")
    if "seed" in delta:
        raise _refusal(document, (*path, "seed"), delta["seed"], "an arm has no seed of its own", "use `seeds`")
    if not delta and name != reference:
        problem = "the arm changes nothing against the base"
        raise _refusal(document, path, delta, problem, "let it change a key, or make it the `reference`")
    return make_layer(delta, Origin(document, path), ExperimentConfig)


def _kept(only: Any, layers: Mapping[str, Layer], reference: str) -> Mapping[str, Layer]:
    if only is None:
        return layers
    remedy = f"arms: {', '.join(layers)}"
    if not isinstance(only, list) or not only:
        raise ConfigError(file=FILE, key="arms", value=only, problem="is not a list of arms", remedy=remedy)
    for name in only:
        if name not in layers:
            near = closest(str(name), layers)
            problem = "there is no such arm" + (f": did you mean {near!r}?" if near else "")
            raise ConfigError(file=FILE, key="arms", value=name, problem=problem, remedy=remedy)
    if reference not in only:
        problem = f"the reference arm {reference!r} is left out"
        raise ConfigError(file=FILE, key="arms", value=only, problem=problem, remedy=f"add {reference!r}")
    return {name: layer for name, layer in layers.items() if name in only}


def _check_known(name: str, arms: Mapping[str, Any], document: Document, path: Place) -> None:
    if name not in arms:
        near = closest(name, arms)
        problem = "there is no such arm" + (f": did you mean {near!r}?" if near else "")
        raise _refusal(document, path, name, problem, f"arms: {', '.join(arms)}")


def _refusal(document: Document, path: Place, value: Any, problem: str, remedy: str) -> ConfigError:
    return ConfigError(file=document.where(path), key=dotted(path), value=value, problem=problem, remedy=remedy)
