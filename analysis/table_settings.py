"""What an arm is, in the words of the published tables: benchmark, model, algorithm, world-model variant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from analysis.load import Results
from paw_bench.config.merge import merge
from paw_bench.config.presets import presets
from paw_bench.config.world_model import WorldModelConfig
from paw_bench.store.run_directory import RunDirectory

CUSTOM = "custom"
"""The variant of an arm that no published row and no preset describes."""

_OF_PAW: dict[str, dict[str, Any]] = {
    "paw_fixed_lambda": {"balance": {"kind": "constant", "value": 1.0}},
    "paw_ce": {"loss": {"kind": "ce"}},
}
"""Rows of the paper's component ablation, as changes of the preset `paw`."""

CONTROLS = ("shuffled", "random_tokens")
"""Presets that are no methods but controls of one."""

_PLACES = ("model.name", "algorithm.name", "environment.name")
"""Axes that the published layouts have a place for."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One arm under one condition of the axes."""

    condition: str
    arm: str
    benchmark: str
    model: str
    algorithm: str
    variant: str
    """`none`, a preset, `paw_ce`, `paw_fixed_lambda`, or `custom`."""
    rest: str
    """The values of the axes that no published table has, as `key=value, ...`."""

    @property
    def whole(self) -> bool:
        """Whether it is a method of its own: the bare algorithm, or with a published world-model term."""
        return self.variant in presets() and self.variant not in CONTROLS


def settings(results: Results) -> list[Setting]:
    """The arms that have a finished run, in the order of the conditions and of the experiment file."""
    found = []
    for condition in results.conditions:
        for arm in results.arms:
            own = results.done_of(condition, arm)
            if own.empty:
                continue
            run = own.iloc[0]
            config = RunDirectory(results.path / "runs" / str(run["run_id"])).config.experiment
            rest = ", ".join(f"{key}={run[key]}" for key in run.index if "." in key and key not in _PLACES)
            place = (config.environment.name, config.model.name, config.algorithm.name)
            found.append(Setting(condition, arm, *place, variant_of(config.world_model), rest))
    return found


def variant_of(world_model: WorldModelConfig) -> str:
    """The name of a world-model section in the published tables, or among the presets."""
    section = world_model.model_dump()
    if not world_model.enabled:
        return "none"
    return next((name for name, known in _variants().items() if known == section), CUSTOM)


@cache
def _variants() -> dict[str, Any]:
    paw = presets()["paw"]
    return {**presets(), **{name: merge(paw, delta) for name, delta in _OF_PAW.items()}}
