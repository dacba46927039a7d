"""Refusals in the user's words: what is wrong at which key, and what would be right there.

Everything is read off the schema itself, so a new field has good messages from its first day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from paw_bench.config.merge import Key
from paw_bench.errors import ConfigError

Locate = Callable[[tuple[str | int, ...]], tuple[str, str]]
"""Path in the checked data -> (`file:line`, dotted key) as the user wrote them."""


_TYPES = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


def refusal(error: ErrorDetails, model: type[BaseModel], locate: Locate) -> ConfigError:
    """The ConfigError for one error of pydantic on data that was checked against `model`."""
    file, key = locate(error["loc"])
    value = None if error["type"] == "missing" else error["input"]
    problem, remedy = explained(error, model)
    return ConfigError(file=file, key=key, value=value, problem=problem, remedy=remedy)


def explained(error: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    """(problem, remedy) for one error of pydantic on data that was checked against `model`."""
    path = error["loc"]
    if error["type"] == "extra_forbidden":
        return unknown_key(str(path[-1]), model, path[:-1])
    if error["type"] == "missing":
        return "this key is missing", f"give {expected(_node(model, path))}"
    return _wrong_value(error["type"], error["input"], _node(model, path))


def unknown_key(key: str, model: type[BaseModel], section: tuple[str | int, ...] = ()) -> tuple[str, str]:
    """(problem, remedy) for a key that the schema does not have in `section`."""
    if "." in key:
        return f"unknown key {key!r}", "write nested sections, one level a line, not a dotted key"
    known = keys_at(model, section)
    near = closest(key, known, cutoff=0.55) or _elsewhere(key, model)
    remedy = f"keys here: {', '.join(known)}"
    return f"unknown key {key!r}" + (f": did you mean {near!r}?" if near else ""), remedy


def closest(word: str, candidates: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The candidate that `word` was probably meant to be."""
    by_case = {candidate.lower(): candidate for candidate in candidates}
    found = get_close_matches(word.lower(), by_case, cutoff=cutoff)
    # One slip changes the length by one letter at most: `gpo` is `ppo`, not `gigpo`, which shares more with it.
    return by_case[min(found, key=lambda near: abs(len(near) - len(word)) > 1)] if found else None


def keys_at(model: type[BaseModel], section: tuple[str | int, ...] = ()) -> list[str]:
    """Keys that the schema has directly in `section`."""
    return list(_node(model, section).get("properties", {}))


def all_keys(model: type[BaseModel]) -> Iterator[Key]:
    """Every dotted key of the schema, sections before what is in them."""

    def walk(section: Key) -> Iterator[Key]:
        for key in keys_at(model, section):
            yield (*section, key)
            yield from walk((*section, key))

    return walk(())


def types_at(model: type[BaseModel], path: Key) -> set[str]:
    """JSON types that the schema allows at a key, such as {"integer", "null"}; empty where it has no such key."""
    node = _node(model, path)
    return {option["type"] for option in node.get("anyOf", [node]) if "type" in option}


def expected(node: Mapping[str, Any]) -> str:
    """What a value at this node of the JSON schema must be, in words."""
    if "anyOf" in node:
        return ", or ".join(expected(option) for option in node["anyOf"])
    if "const" in node or "enum" in node:
        choices = node.get("enum", [node.get("const")])
        return ("one of " if len(choices) > 1 else "") + ", ".join(repr(choice) for choice in choices)
    if "properties" in node:
        return f"a section with the keys {', '.join(node['properties'])}"
    if node.get("items"):
        return f"a list, each item {expected(node['items'])}"
    return _TYPES.get(node.get("type", ""), "a value") + _bounds(node)


def _elsewhere(key: str, model: type[BaseModel]) -> str | None:
    """The dotted key of another section that `key` was probably meant to be."""
    paths = {path[-1]: ".".join(path) for path in reversed(list(all_keys(model)))}
    near = closest(key, paths, cutoff=0.75)
    return paths[near] if near else None


def _wrong_value(kind: str, value: Any, node: Mapping[str, Any]) -> tuple[str, str]:
    wanted = expected(node)
    if kind == "literal_error":
        near = closest(value, _choices(node)) if isinstance(value, str) else None
        return "is not one of the choices" + (f": did you mean {near!r}?" if near else ""), f"give {wanted}"
    if kind.endswith("_type"):
        return "has the wrong type", f"give {wanted}{_type_hint(value, node)}"
    if kind == "string_pattern_mismatch":
        return "has characters that are not allowed here", f"give {wanted}"
    if kind in ("too_short", "too_long"):
        return "has the wrong number of items", f"give {wanted}"
    return "is out of range", f"give {wanted}"


def _type_hint(value: Any, node: Mapping[str, Any]) -> str:
    types = {option.get("type") for option in node.get("anyOf", [node])}
    if isinstance(value, str) and types & {"integer", "number"}:
        try:
            float(value)
        except ValueError:
            return ""
        return ", without quotes"
    if isinstance(value, bool | int | float) and "string" in types:
        return ", in quotes"
    return ""


def _choices(node: Mapping[str, Any]) -> list[str]:
    options = [choice for option in node.get("anyOf", [node]) for choice in option.get("enum", [option.get("const")])]
    return [choice for choice in options if isinstance(choice, str)]


def _bounds(node: Mapping[str, Any]) -> str:
    if "pattern" in node:
        return f" of the form {node['pattern']}"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
    parts = [f"{word} {node[bound]:g}" for bound, word in words.items() if bound in node]
    return f", {' and '.join(parts)}" if parts else ""


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _node(model: type[BaseModel], path: tuple[str | int, ...]) -> dict[str, Any]:
    """The part of the JSON schema that describes the value at `path`; empty where the schema has no such key."""
    schema = _schema(model)
    node: dict[str, Any] = schema
    for part in path:
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
        for option in [node, *node.get("anyOf", [])] if isinstance(node, dict) else []:
            if "$ref" in option:
                node = schema["$defs"][option["$ref"].rsplit("/", 1)[-1]]
        if not isinstance(node, dict):
            return {}
    return node
