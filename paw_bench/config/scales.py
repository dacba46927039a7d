"""Scale files: how big an experiment is run."""

from __future__ import annotations

from pathlib import Path

from paw_bench.config.experiment_file import ScaleSpec
from paw_bench.config.layers import Layer, Origin, make_layer
from paw_bench.config.messages import closest
from paw_bench.config.resources import shipped
from paw_bench.config.schema import ExecutionConfig, ExperimentConfig
from paw_bench.config.spec import check_spec
from paw_bench.config.yaml_reader import read_yaml
from paw_bench.errors import ConfigError


def available_scales(beside: Path) -> dict[str, Path]:
    """Scale name -> file: those in `scales/` of the folder `beside`, and the shipped ones that it does not replace."""
    folders = (shipped() / "experiments" / "scales", beside / "scales")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def load_scale(name: str, beside: Path, *, asked_by: tuple[str, str]) -> tuple[Layer, Layer]:
    """(experiment layer, execution layer) of a scale. `asked_by`: the (file, key) that named it.

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
    return (
        make_layer(scale.experiment, Origin(document, ("experiment",)), ExperimentConfig),
        make_layer(scale.execution, Origin(document, ("execution",)), ExecutionConfig),
    )
