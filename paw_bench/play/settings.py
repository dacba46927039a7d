"""What is played: the config of an environment at a scale, or of a run, and one task of its panels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from paw_bench.config.environments import names
from paw_bench.config.layers import Layer, Origin, make_layer, resolve
from paw_bench.config.merge import Delta, merge
from paw_bench.config.messages import closest
from paw_bench.config.overrides import FILE, parse_overrides
from paw_bench.config.scales import load_scale
from paw_bench.config.schema import EnvironmentConfig, ExecutionConfig, ExperimentConfig, RunConfig
from paw_bench.config.yaml_reader import Document
from paw_bench.envs.definition import PanelOptions, definition
from paw_bench.envs.panels import load_panels
from paw_bench.envs.protocol import Task
from paw_bench.errors import ConfigError, UserError
from paw_bench.models import locate
from paw_bench.play.policies import ModelPolicy

SCALE = "embedded"
"""Where `--scale` says nothing."""
_OWN = Document("paw-bench play", None)
_FEW, _ONE = 6, 1
"""Tasks of the evaluation panel, and of the others, that are made where no task is named: some games take seconds."""
_SHOWN = 6
"""Tasks that a message lists."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A task, and the panel that it is from."""

    panel: str
    task: Task


def play_config(
    environment: str, *, scale: str | None = None, overrides: Iterable[str] = (), model: ModelPolicy | None = None
) -> RunConfig:
    """The config of one group of episodes of `environment`, as an update would have it.

    Lowest first: PaW's world-model term; the scale, with what it says of the environment, or the config of the run that
    `model` is from; how a shipped model wants its prompts; `overrides` (texts `key=value`).
    Raises UserError for an environment that is not installed, ConfigError for anything else that cannot be.
    """
    if environment not in names():
        near = closest(environment, names())
        problem = f"there is no environment {environment!r}" + (f": did you mean {near!r}?" if near else "")
        raise UserError(problem, f"give one of {', '.join(names())}, or install the package that offers it")
    changes = parse_overrides(overrides)
    if changes.lists:
        key, value = next(iter(changes.lists.items()))
        problem = "is no key of an episode"
        raise ConfigError(file=FILE, key=key, value=value, problem=problem, remedy="leave it out; see --seed")
    if model is None or model.run is None:
        sized = load_scale(scale or SCALE, Path("experiments"), asked_by=("--scale", "scale"))
        below, execution = sized.experiment, sized.execution
        own = sized.environments.get(environment, _layer({}))
    else:
        below, own = _layer(model.run.config.experiment.model_dump()), _layer({})
        execution = make_layer(model.run.config.execution.model_dump(), Origin(_OWN), ExecutionConfig)
    paw, one_group = _layer({"world_model": "paw"}), _layer({"algorithm": {"groups": 1, "optimizer_steps": 1}})
    layers = (paw, _about(environment, below), own, _layer(_made_for(model)), *changes.experiment, one_group)
    executed = resolve((execution, *changes.execution), ExecutionConfig)
    # One process, and an engine that takes entropies.
    alone = {"engine": "transformers", "processes": 1, "gpus": min(executed.gpus, 1)}
    return RunConfig(
        experiment=resolve(layers, ExperimentConfig),
        execution=ExecutionConfig.model_validate(executed.model_dump() | alone),
    )


def find_task(config: ExperimentConfig, wanted: str | None, seed: int) -> Chosen:
    """The task that `wanted` names: its id, the one beginning of an id, or a task type; None: any.

    Where several will do, `seed` says which, counting through the evaluation panel. Raises UserError where there is
    none, or where several ids begin so.
    """
    panel = config.evaluation.panel
    few = _small(config.environment, panel)
    tasks = load_panels(few)[panel].tasks
    fitting = [task for task in tasks if wanted in (None, task.task_type, task.task_id)]
    if fitting:
        return Chosen(panel, fitting[seed % len(fitting)])
    panels = load_panels(config.environment)
    everything = [Chosen(name, task) for name, found in panels.items() for task in found.tasks]
    return _named(str(wanted), everything, panel, seed)


def _named(wanted: str, everything: Sequence[Chosen], panel: str, seed: int) -> Chosen:
    exact = [one for one in everything if one.task.task_id == wanted]
    typed = [one for one in everything if one.task.task_type == wanted]
    typed = [one for one in typed if one.panel == panel] or typed
    if exact or typed:
        return exact[0] if exact else typed[seed % len(typed)]
    begun = [one for one in everything if one.task.task_id.startswith(wanted)]
    if len(begun) == 1:
        return begun[0]
    types = list(dict.fromkeys(one.task.task_type for one in everything))
    ids = [one.task.task_id for one in begun or everything][:_SHOWN]
    rest = len(begun or everything) - len(ids)
    problem = f"{len(begun)} tasks begin with {wanted!r}" if begun else f"there is no task {wanted!r}"
    near = closest(wanted, [*types, *(one.task.task_id for one in everything)])
    problem += f": did you mean {near!r}?" if near and not begun else ""
    listed = "\n    ".join([*ids, f"and {rest} more"] if rest else ids)
    raise UserError(problem, f"give a task type ({', '.join(types)}) or an id:\n    {listed}")


def _made_for(model: ModelPolicy | None) -> Delta:
    """What goes with the weights of `model`; a warm-started one has its form of prompts on record beside them."""
    if model is None or model.run is not None:
        return {}
    record = Path(locate(model.name)) / "warm_start.json"
    made = orjson.loads(record.read_bytes())["config"] if record.is_file() else {}
    return {"model": {"name": model.name}, **{key: made[key] for key in ("prompt", "context") if key in made}}


def _about(environment: str, below: Layer) -> Layer:
    """The layer on another environment: its name, and a panel that it has."""
    delta = merge(below.delta, {"environment": {"name": environment}})
    held_out = [panel for panel in definition(environment).panels if panel not in ("train", "tune")]
    if delta.get("evaluation", {}).get("panel") not in held_out:
        delta = merge(delta, {"evaluation": {"panel": held_out[0], "games": None}})
    return replace(below, delta=delta)


def _small(config: EnvironmentConfig, panel: str) -> EnvironmentConfig:
    """The same with fewer tasks to be made. A smaller panel is the beginning of a larger one."""
    kind = definition(config.name)
    if not issubclass(kind.options, PanelOptions):
        return config
    sizes = {name: min(size, _FEW if name == panel else _ONE) for name, size in config.panel_sizes.items()}
    return config.model_copy(update={"options": {**config.options, **sizes}})


def _layer(delta: dict[str, Any]) -> Layer:
    return make_layer(delta, Origin(_OWN), ExperimentConfig)
