"""Load an experiment file: read, check, apply scale and overrides; refuse what makes no sense before a run starts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from paw_bench.config.arms import check_arms, make_arms
from paw_bench.config.axes import make_axes
from paw_bench.config.budget import limits
from paw_bench.config.experiment_file import NAME_PATTERN, ExperimentFile, ExperimentSpec
from paw_bench.config.layers import Layer, Origin, make_layer
from paw_bench.config.overrides import FILE, Overrides, parse_overrides
from paw_bench.config.scales import load_scale
from paw_bench.config.schema import ExecutionConfig, ExperimentConfig
from paw_bench.config.spec import check_spec
from paw_bench.config.yaml_reader import Document, read_yaml
from paw_bench.errors import ConfigError

_NO_FILE = "check the path; `paw-bench init FOLDER` copies the shipped experiment files"


def load_experiment_file(path: Path, *, scale: str | None = None, overrides: Iterable[str] = ()) -> ExperimentFile:
    """The checked experiment file at `path`.

    Layers, lowest first: schema defaults, scale, base, arm, axis value, `overrides` (texts `key=value`).
    `scale` replaces the file's own. Raises ConfigError naming file, line, key, value and remedy.
    """
    document = read_yaml(path, remedy=_NO_FILE)
    changes = parse_overrides(overrides)
    seeds = {key: value for key, value in changes.lists.items() if key == "seeds"}
    spec = check_spec(document, ExperimentSpec, replaced=seeds)
    asked_by = ("--scale", "scale") if scale else (document.where(("scale",)), "scale")
    sized = load_scale(scale or spec.scale, path.parent, asked_by=asked_by)
    below = (sized.experiment, _checked_base(spec.base, document))
    arms = make_arms(spec, document, only=changes.lists.get("arms"))
    file = ExperimentFile(
        path=path,
        text=document.text,
        name=spec.name or name_of(path),
        description=spec.description,
        scale=scale or spec.scale,
        overrides=changes.texts,
        arms=arms.layers,
        reference=arms.reference,
        axes=make_axes(spec, document, arms.layers, changes.experiment, only=changes.axes),
        seeds=_checked_seeds(spec.seeds, document, changes),
        comparisons=arms.comparisons,
        below=below,
        above=changes.experiment,
        execution_layers=(
            sized.execution,
            make_layer(spec.execution, Origin(document, ("execution",)), ExecutionConfig),
            *changes.execution,
        ),
        environments=sized.environments,
        tuned=spec.tuned,
        limits=limits(spec.budget, document),
    )
    check_arms(file, document)
    _ = file.execution
    return file


def _checked_base(base: dict[str, Any], document: Document) -> Layer:
    if "seed" in base:
        raise ConfigError(
            file=document.where(("base", "seed")),
            key="base.seed",
            value=base["seed"],
            problem="seeds are no part of the base",
            remedy="list them under `seeds`",
        )
    return make_layer(base, Origin(document, ("base",)), ExperimentConfig)


def _checked_seeds(seeds: list[int], document: Document, changes: Overrides) -> tuple[int, ...]:
    file = FILE if "seeds" in changes.lists else document.where(("seeds",))
    if not seeds:
        raise ConfigError(file=file, key="seeds", value=seeds, problem="the list is empty", remedy="give a seed")
    twice = [seed for index, seed in enumerate(seeds) if seed in seeds[:index]]
    if twice:
        problem = f"the seed {twice[0]} is there twice"
        raise ConfigError(file=file, key="seeds", value=seeds, problem=problem, remedy="give each seed once")
    return tuple(seeds)


def name_of(path: Path) -> str:
    """The name that a file without `name:` gives its results folder. Raises ConfigError where it is none."""
    if not re.fullmatch(NAME_PATTERN, path.stem):
        raise ConfigError(
            file=str(path),
            key="name",
            value=path.stem,
            problem="the file's own name is no name for a results folder",
            remedy="write `name:` with letters, digits, - and _",
        )
    return path.stem
