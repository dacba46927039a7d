"""The environments that can be named in a config: entry points of the group `paw_bench.envs`.

An entry point names an object with what `Kind` asks for here and `paw_bench.envs.definition.Definition` asks for beyond
it. Importing it must be cheap: no game engine and no torch, because planning and reports look environments up.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from paw_bench.config.merge import Delta
from paw_bench.config.messages import Locate, closest, explained
from paw_bench.config.section import IMPOSSIBLE, Section, impossible
from paw_bench.errors import ConfigError

if TYPE_CHECKING:
    from paw_bench.config.schema import EnvironmentConfig

GROUP = "paw_bench.envs"


class Kind(Protocol):
    """What a config needs to know of an environment."""

    options: type[Section]
    """The keys of `environment.options`."""

    def sizes(self, config: EnvironmentConfig) -> dict[str, int]:
        """Panel -> how many tasks the config asks for; `train` and `tune` are among the panels."""
        ...


def find(name: str) -> Any | None:
    """The object behind the environment `name` (a `Kind`), or None where nothing of that name is installed."""
    entry = _entries().get(name)
    return _load(entry) if entry else None


def names() -> list[str]:
    """All installed environments."""
    return sorted(_entries())


def check_name(delta: Delta, locate: Locate) -> None:
    """Raise ConfigError where a checked delta of an experiment names an environment that is not installed."""
    name = (delta.get("environment") or {}).get("name")
    if name is None or name in _entries():
        return
    near = closest(name, names())
    file, key = locate(("environment", "name"))
    raise ConfigError(
        file=file,
        key=key,
        value=name,
        problem="is no installed environment" + (f": did you mean {near!r}?" if near else ""),
        remedy=f"give one of {', '.join(names())}, or install the package that offers it",
    )


def complete_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """`options` with the environment's defaults filled in.

    They are left as they are where the environment is not installed: results are read on other machines too. Raises
    the error of an impossible combination for a key or value that the environment refuses.
    """
    kind: Kind | None = find(name)
    if kind is None:
        return options
    try:
        return kind.options.model_validate(options).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == IMPOSSIBLE:
            key, problem, remedy = (first["ctx"][part] for part in ("key", "problem", "remedy"))
        else:
            key = ".".join(str(part) for part in first["loc"])
            problem, remedy = explained(first, kind.options)
        raise impossible(key, f"{problem} (options of the environment {name!r})", remedy) from None


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)} | _of_the_checkout()


def _of_the_checkout() -> dict[str, EntryPoint]:
    """The package's own environments, in a source checkout: installed metadata can be older than the code."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if not project.is_file():
        return {}
    own = tomllib.loads(project.read_text(encoding="utf-8"))["project"].get("entry-points", {}).get(GROUP, {})
    return {name: EntryPoint(name, value, GROUP) for name, value in own.items()}


@cache
def _load(entry: EntryPoint) -> Any:
    return entry.load()
