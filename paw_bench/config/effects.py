"""Keys that a config does not read. Naming one is a mistake: the arm would not do what its author thinks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from paw_bench.config.experiment_file import ExperimentFile, Point
from paw_bench.config.layers import Layer
from paw_bench.config.merge import Key, leaves
from paw_bench.config.schema import EnvironmentConfig, ExperimentConfig
from paw_bench.config.world_model import WorldModelConfig
from paw_bench.errors import ConfigError


class Resolved(NamedTuple):
    """The config of one arm at one axis point, at no seed yet."""

    arm: str
    point: Point
    config: ExperimentConfig


def refuse_idle_keys(file: ExperimentFile, resolved: Iterable[Resolved]) -> None:
    """Raise ConfigError for a key that a layer names and that has an effect in none of its configs."""
    idle: dict[tuple[int, Key], tuple[Layer, str] | None] = {}
    for entry in resolved:
        for layer, covering in _checked_layers(file, entry):
            for key in layer.named:
                reason = without_effect(entry.config, key) or _covered(key, covering)
                if reason is None:
                    idle[id(layer), key] = None
                else:
                    idle.setdefault((id(layer), key), (layer, reason))
    for (_, key), found in idle.items():
        if found is not None:
            raise _refusal(key, *found)


def without_effect(config: ExperimentConfig, key: Key) -> str | None:
    """Why setting `key` changes nothing in `config`; None where it is read."""
    match key:
        case ("world_model", *_):
            return _idle_world_model_key(config.world_model, key)
        case ("algorithm", *_):
            return _idle_algorithm_key(config.algorithm.name, key)
        case ("model", "lora_alpha") if config.model.lora_rank is None:
            return "model.lora_rank is null: all weights are trained"
        case ("context", "turns") if config.context.mode == "full":
            return "context.mode 'full' has no window"
        case ("environment", *_):
            return _idle_environment_key(config.environment, key)
    return None


def _idle_environment_key(environment: EnvironmentConfig, key: Key) -> str | None:
    match key:
        case (_, "games", *_) if environment.name != "alfworld":
            return f"the environment {environment.name!r} has its own `options`"
        case (_, "games", "seed" | "max_receptacles") if environment.games.source == "data":
            return "environment.games.source 'data' generates no games"
    return None


def _idle_world_model_key(world_model: WorldModelConfig, key: Key) -> str | None:
    loss, balance = world_model.loss.kind, world_model.balance.kind
    match key:
        case (_, other, *_) if other not in ("enabled", "preset") and not world_model.enabled:
            return "world_model.enabled is false"
        case (_, "loss", "rho") if loss != "cmae":
            return f"world_model.loss.kind {loss!r} clips nothing"
        case (_, "loss", "q") if loss != "gce":
            return f"world_model.loss.kind {loss!r} has no exponent"
        case (_, "balance", "max_return" | "include_penalty" | "over") if balance != "reward_adaptive":
            return f"world_model.balance.kind {balance!r} does not look at returns"
    return None


def _idle_algorithm_key(algorithm: str, key: Key) -> str | None:
    match key:
        case (_, "gigpo" | "ppo" as section, *_) if algorithm != section:
            return f"algorithm.name is {algorithm!r}"
        case (_, "loss_type") if algorithm == "rloo":
            return "algorithm.name 'rloo' averages over rows"
        case (_, "penalty_credit") if algorithm == "ppo":
            return "algorithm.name 'ppo' pays every penalty at its own turn"
    return None


def _checked_layers(file: ExperimentFile, entry: Resolved) -> Iterator[tuple[Layer, Layer | None]]:
    """The layers whose keys must have an effect, each with the arm's layer where that lies above it.

    A scale speaks for experiments that it does not know, and a `--set` may take its sense from what the base says:
    then the base is left alone.
    """
    of_scale = len(file.scale_layers(entry.arm, entry.point))
    base, *above = file.layers(entry.arm, entry.point)[of_scale:]
    if not file.overrides:
        yield base, file.arms[entry.arm]
    yield from ((layer, None) for layer in above)


def _covered(key: Key, covering: Layer | None) -> str | None:
    return (
        "the arms set it too, or name a preset, which sets all of its section"
        if covering and key in covering.keys
        else None
    )


def _refusal(key: Key, layer: Layer, reason: str) -> ConfigError:
    where, written = layer.origin.locate(key)
    in_world_model = "remove it, or write it beside a preset: `world_model: {preset: paw, ...}`"
    return ConfigError(
        file=where,
        key=written,
        value=dict(leaves(layer.delta)).get(key),
        problem=f"has no effect: {reason}",
        remedy=in_world_model if key[0] == "world_model" else "remove it",
    )
