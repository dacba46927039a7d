"""PDDL -> SAS translations, made once per game and kept on disk.

The translation of a game takes about a third of a CPU-second and stock textworld makes it four times an episode. What
textworld reads of it is small and is kept as gzipped JSON under the SHA-256 of the PDDL texts, so a changed game never
meets a stale translation.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import importlib.metadata
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fast_downward
import orjson
from fast_downward.translate.pddl.conditions import Atom, Literal
from fast_downward.translate.pddl.f_expression import Assign

from paw_bench.envs.alfworld.sas import PackedTask, packed_task

_FORMAT = 4
"""Counted up whenever a kept translation would be read differently."""


@dataclass(frozen=True)
class Translation:
    """The parts of Fast Downward's task that textworld reads."""

    task: PackedTask
    types: tuple[tuple[str, tuple[str, ...]], ...]
    """(name, names of supertypes), in the task's order."""
    objects: dict[str, str]
    """Name -> type name."""
    parameters: dict[str, tuple[tuple[str, str], ...]]
    """Action name -> (parameter, type name)."""
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    """Initial facts of the problem: (predicate, arguments), in the task's order."""
    read: frozenset[str]
    """Predicates that some precondition, axiom or goal reads; the others have no effect on what can be done."""


def translation_of(domain: str, problem: str, folder: Path | None) -> Translation:
    """The translation of a problem, read from `folder` where it is there, else made and (if possible) put there."""
    path = _path(folder, domain, problem) if folder else None
    if path is not None and (known := _load(path)) is not None:
        return known
    made = _translate(domain, problem)
    if path is not None:
        _save(path, made)
    return made


def _translate(domain: str, problem: str) -> Translation:
    arguments = sys.argv
    try:
        task, sas = fast_downward.pddl2sas(domain, problem, verbose=False)
    finally:
        sys.argv = arguments  # pddl2sas replaces it
    conditions = [task.goal, *(axiom.condition for axiom in task.axioms)]
    for action in task.actions:
        conditions += [action.precondition, *(effect.condition for effect in action.effects)]
    return Translation(
        task=packed_task(sas),
        types=tuple((kind.name, tuple(kind.supertype_names)) for kind in task.types),
        objects={item.name: item.type_name for item in task.objects},
        parameters={
            action.name: tuple((parameter.name.strip("?"), parameter.type_name) for parameter in action.parameters)
            for action in task.actions
        },
        facts=tuple(fact for item in task.init if (fact := _fact(item)) is not None),
        read=frozenset(literal.predicate for condition in conditions for literal in _literals(condition)),
    )


def _fact(item: Any) -> tuple[str, tuple[str, ...]] | None:
    """An initial fact as stock textworld reads it: equality, costs and whole-numbered distances are no facts."""
    if isinstance(item, Atom):
        return None if item.predicate == "=" else (item.predicate, tuple(item.args))
    if isinstance(item, Assign) and item.fluent.symbol != "total-cost":
        value = str(item.expression.value)
        return None if value.isdigit() else (value, tuple(item.fluent.args))
    return None


def _literals(condition: Any) -> Iterator[Any]:
    if isinstance(condition, Literal):
        yield condition
    for part in condition.parts:
        yield from _literals(part)


def _path(folder: Path, domain: str, problem: str) -> Path:
    key = hashlib.sha256(f"{_FORMAT}\0{_translator()}\0{domain}\0{problem}".encode()).hexdigest()
    return folder / key[:2] / f"{key}.json.gz"


@functools.cache
def _translator() -> str:
    return importlib.metadata.version("fast-downward-textworld")


def _load(path: Path) -> Translation | None:
    try:
        data = orjson.loads(gzip.decompress(path.read_bytes()))
        return Translation(
            task=PackedTask.of_json(data["task"]),
            types=tuple((name, tuple(supertypes)) for name, supertypes in data["types"]),
            objects=data["objects"],
            parameters={name: tuple((p, t) for p, t in pairs) for name, pairs in data["parameters"].items()},
            facts=tuple((predicate, tuple(arguments)) for predicate, arguments in data["facts"]),
            read=frozenset(data["read"]),
        )
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
        return None  # absent or damaged: it is made again


def _save(path: Path, translation: Translation) -> None:
    # A cache that cannot be written costs time, not the run.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(gzip.compress(orjson.dumps(translation, default=sorted), compresslevel=1, mtime=0))
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
