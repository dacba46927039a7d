"""`--set key=value`: dotted keys of the experiment, of `execution`, and the lists `arms`, `seeds` and `axes.KEY`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from paw_bench.config.layers import Layer, Origin, make_layer
from paw_bench.config.merge import nest, split
from paw_bench.config.schema import ExecutionConfig, ExperimentConfig
from paw_bench.config.yaml_reader import Document, parse_yaml
from paw_bench.errors import ConfigError

FILE = "--set"
LISTS = ("arms", "seeds")


@dataclass(frozen=True)
class Overrides:
    """What the `--set` arguments ask for, in their order."""

    texts: tuple[str, ...]
    experiment: tuple[Layer, ...]
    execution: tuple[Layer, ...]
    lists: dict[str, Any]
    """`arms`, `seeds` and `axes.KEY`, as given."""

    @property
    def axes(self) -> dict[str, Any]:
        """Axis -> the values to keep."""
        return {key.removeprefix("axes."): value for key, value in self.lists.items() if key.startswith("axes.")}


def parse_overrides(texts: Iterable[str]) -> Overrides:
    """Check and sort the `--set` arguments. Raises ConfigError with the file named `--set`."""
    texts = tuple(texts)
    experiment: list[Layer] = []
    execution: list[Layer] = []
    lists: dict[str, Any] = {}
    for text in texts:
        dotted, value = _parse(text)
        section, *rest = split(dotted)
        if (section in LISTS and not rest) or (section == "axes" and rest):
            lists[dotted] = _listed(value)
        elif section == "execution" and rest:
            execution.append(make_layer(nest(tuple(rest), value), _origin("execution"), ExecutionConfig))
        else:
            experiment.append(_experiment_layer(dotted, value))
    return Overrides(texts, tuple(experiment), tuple(execution), lists)


def _parse(text: str) -> tuple[str, Any]:
    dotted, equals, value = text.partition("=")
    if not equals or not dotted.strip():
        raise ConfigError(
            file=FILE, key=text, value=text, problem="is not of the form key=value", remedy=f"write {FILE} key=value"
        )
    return dotted.strip(), parse_yaml(value, FILE).data


def _experiment_layer(dotted: str, value: Any) -> Layer:
    remedies = {"seed": f"write {FILE} 'seeds=[...]'", "scale": "use --scale", "execution": "write execution.KEY=value"}
    if dotted in remedies:
        problem = "is not set this way"
        raise ConfigError(file=FILE, key=dotted, value=value, problem=problem, remedy=remedies[dotted])
    return make_layer(nest(split(dotted), value), _origin(), ExperimentConfig)


def _origin(*inside: str) -> Origin:
    return Origin(Document(FILE, None), inside)


def _listed(value: Any) -> Any:
    """`grpo,paw` and `0,1` are lists too, and one name or number is a list of one."""
    if isinstance(value, str):
        return [parse_yaml(item, FILE).data for item in value.split(",")]
    return [value] if isinstance(value, int) else value
