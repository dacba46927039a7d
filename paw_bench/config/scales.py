"""Scale files: how big an experiment is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paw_bench.config.experiment_file import ScaleSpec
from paw_bench.config.layers import Layer, Origin, make_layer
from paw_bench.config.merge import merge
from paw_bench.config.messages import closest
from paw_bench.config.resources import shipped
from paw_bench.config.schema import ExecutionConfig, ExperimentConfig
from paw_bench.config.spec import check_spec
from paw_bench.config.yaml_reader import read_yaml
from paw_bench.errors import ConfigError


@dataclass(frozen=True)
class Scale:
    """What a scale file says."""

    experiment: Layer
    environments: Mapping[str, Layer]
    """Environment -> what it changes."""
    execution: Layer


def available_scales(beside: Path) -> dict[str, Path]:
    """Scale name -> file: those in `scales/` of the folder `beside`, and the shipped ones that it does not replace."""
    folders = (shipped() / "experiments" / "scales", beside / "scales")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def load_scale(name: str, beside: Path, *, asked_by: tuple[str, str]) -> Scale:
    """The scale of that name. `asked_by`: the (file, key) that named it.

    Raises ConfigError where there is no such scale, or its file is bad.
    """
    known = available_scales(beside)
    if name not in known:
        near = closest(name, known)
        raise ConfigError(
            file=asked_by[0],
            key=asked_by[1],
            value=name,
            problem="there is no such scale" + (f": did you mean {near!r}?" if near else ""),
            remedy=f"scales: {', '.join(known)}; your own go into {beside / 'scales'}",
        )
    document = read_yaml(known[name], what="scale file")
    scale = check_spec(document, ScaleSpec)
    environments = {
        name: make_layer(
            merge(delta, {"environment": {"name": name}}), Origin(document, ("environments", name)), ExperimentConfig
        )
        for name, delta in scale.environments.items()
    }
    return Scale(
        make_layer(scale.experiment, Origin(document, ("experiment",)), ExperimentConfig),
        environments,
        make_layer(scale.execution, Origin(document, ("execution",)), ExecutionConfig),
    )
