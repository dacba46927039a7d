"""Keys that a config does not read. Naming one is a mistake: the arm would not do what its author thinks."""

from __future__ import annotations

from paw_bench.config.merge import Key
from paw_bench.config.schema import ExperimentConfig


def without_effect(config: ExperimentConfig, key: Key) -> str | None:
    """Why setting `key` changes nothing in `config`; None where it is read."""
    match key:
        case ("world_model", other, *_) if other not in ("enabled", "preset") and not config.world_model.enabled:
            return "world_model.enabled is false"
        case ("world_model", "loss", "rho") if config.world_model.loss.kind != "cmae":
            return f"world_model.loss.kind {config.world_model.loss.kind!r} clips nothing"
        case ("world_model", "balance", "max_return" | "include_penalty"):
            if config.world_model.balance.kind == "constant":
                return "world_model.balance.kind 'constant' does not look at returns"
        case ("context", "turns") if config.context.mode == "full":
            return "context.mode 'full' has no window"
        case ("environment", "games", "seed" | "max_receptacles") if config.environment.games.source == "data":
            return "environment.games.source 'data' generates no games"
    return None
