"""PDDL -> SAS translations, made once per game and kept on disk.

The translation of a game takes about a third of a CPU-second and stock textworld makes it four times an episode. What
playing reads of it is small and is kept under the SHA-256 of the PDDL texts, so a changed game never meets a stale
translation.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from paw_bench.envs.alfworld.facts import Fact, Types, named
from paw_bench.envs.alfworld.kept import kept
from paw_bench.envs.alfworld.sas import PackedTask

_FORMAT = 5
"""Counted up whenever a kept translation would be read differently."""


@dataclass(frozen=True)
class Translation:
    """The parts of Fast Downward's task that textworld reads."""

    task: PackedTask
    types: Types
    objects: dict[str, str]
    """Name -> type name."""
    parameters: dict[str, tuple[tuple[str, str], ...]]
    """Action name -> (parameter, type name)."""
    facts: tuple[Fact, ...]
    """Initial facts of the problem, sorted: Fast Downward's order changes from process to process."""
    read: frozenset[str]
    """Predicates that some precondition, axiom or goal reads; the others have no effect on what can be done."""


def translation_of(domain: str, problem: str, folder: Path | None) -> Translation:
    """The translation of a problem, read from `folder` where it is there, else made and (if possible) put there."""
    key = hashlib.sha256(f"{_FORMAT}\0{_translator()}\0{domain}\0{problem}".encode()).hexdigest()
    path = folder / key[:2] / f"{key}.json.gz" if folder else None
    return kept(path, _translation, "translated", orjson.dumps([domain, problem]))


@functools.cache
def _translator() -> str:
    return importlib.metadata.version("fast-downward-textworld")


def _translation(data: dict[str, Any]) -> Translation:
    return Translation(
        task=PackedTask.of_json(data["task"]),
        types=tuple((name, tuple(supertypes)) for name, supertypes in data["types"]),
        objects=data["objects"],
        parameters={name: tuple((p, t) for p, t in pairs) for name, pairs in data["parameters"].items()},
        facts=tuple(named(predicate, arguments) for predicate, arguments in data["facts"]),
        read=frozenset(data["read"]),
    )


def shown_names(things: Iterable[str]) -> dict[str, str]:
    """PDDL names -> the names that ALFWorld shows (`apple 2`), numbered as its `Demangler` does."""
    ordered, shown = sorted(things), {}
    left = Counter(name for name, numbered in map(_class_of, ordered) if numbered)
    for thing in ordered:
        name, numbered = _class_of(thing)
        shown[thing] = f"{name} {left[name] if numbered else ''}"
        left[name] -= numbered
    return shown


def _class_of(thing: str) -> tuple[str, bool]:
    """`sink_bar_...` -> `sink`, and whether things of that class are numbered."""
    name, bar, _ = thing.partition("_bar_")
    for mangled, character in (("_minus_", "-"), ("_plus_", "+"), ("_dot_", "."), ("_comma_", ",")):
        name = name.replace(mangled, character)
    return name + ("basin" if bar and "basin" in thing else ""), bool(bar)
