"""World-model presets: `world_model: paw` and `world_model: {preset: paw, loss: {kind: mae}}` written out.

An expanded preset names every key of the section, so that nothing of a lower layer shines through. A resolved config
carries no preset name.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from paw_bench.config.merge import Delta, merge
from paw_bench.config.messages import Locate, closest
from paw_bench.config.world_model import WorldModelConfig
from paw_bench.config.yaml_reader import parse_yaml
from paw_bench.errors import ConfigError

SECTION = "world_model"


@cache
def presets() -> dict[str, Delta]:
    """Preset name -> the whole `world_model` section it stands for."""
    name = "world_model_presets.yaml"
    document = parse_yaml(files("paw_bench.config").joinpath(name).read_text(encoding="utf-8"), name)
    return {
        preset: WorldModelConfig.model_validate(delta).model_dump()
        for preset, delta in document.data["presets"].items()
    }


def expand_presets(delta: Delta, locate: Locate) -> Delta:
    """`delta` with a preset of its `world_model` written out. Raises ConfigError for a name that is no preset."""
    if SECTION not in delta:
        return delta
    section = delta[SECTION]
    if not isinstance(section, dict):
        return {**delta, SECTION: _preset(section, locate, (SECTION,))}
    if "preset" in section:
        own = {key: value for key, value in section.items() if key != "preset"}
        return {**delta, SECTION: merge(_preset(section["preset"], locate, (SECTION, "preset")), own)}
    return delta


def _preset(name: Any, locate: Locate, path: tuple[str, ...]) -> Delta:
    known = presets()
    if isinstance(name, str) and name in known:
        return known[name]
    near = closest(name, known) if isinstance(name, str) else None
    file, key = locate(path)
    raise ConfigError(
        file=file,
        key=key,
        value=name,
        problem="is not a preset" + (f": did you mean {near!r}?" if near else ""),
        remedy=f"give one of {', '.join(known)}, or a section with the keys that you want to change",
    )
