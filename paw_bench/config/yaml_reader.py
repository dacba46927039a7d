"""YAML as people mean it, with line numbers.

PyYAML reads YAML 1.1, where `1e-4` is a string and `on`, `no` and `1:30` are booleans and a number. Here scalars
follow the core schema of YAML 1.2 instead. A key that is written twice in one mapping is refused: the second of two
arms with one name would silently replace the first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from paw_bench.errors import ConfigError

Place = tuple[str | int, ...]
"""Where a value lies in a document: keys and list positions from the top."""


@dataclass(frozen=True)
class Document:
    """A parsed YAML text and the line of each of its values."""

    file: str
    data: Any
    text: str = ""
    lines: Mapping[Place, int] = field(default_factory=dict)

    def where(self, path: Place) -> str:
        """`file:line` of the value at `path`, or of the nearest thing around it that is in the text."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return f"{self.file}:{self.lines[path[:length]]}"
        return self.file


def read_yaml(path: Path, *, what: str = "experiment file", remedy: str = "check the path") -> Document:
    """The document in `path`. Raises ConfigError where it is absent, not YAML, or no mapping."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            file=str(path), key=what, value=str(path), problem="there is no such file", remedy=remedy
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read: {error}"
        raise ConfigError(file=str(path), key=what, value=str(path), problem=problem, remedy=remedy) from error
    document = parse_yaml(text, str(path))
    if not isinstance(document.data, dict):
        raise ConfigError(
            file=str(path),
            key=what,
            value=document.data,
            problem="holds no mapping of keys",
            remedy="write `key: value` lines, the first one `schema_version: 1`",
        )
    return document


def parse_yaml(text: str, file: str) -> Document:
    """Parse `text`; `file` is how messages call it. Keys are always texts. Raises ConfigError where it is not YAML."""
    try:
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.YAMLError as error:
        raise _not_yaml(error, file, text) from None
    if node is None:
        return Document(file, None, text)
    builder = _Builder(file)
    data = builder.build(node, ())
    return Document(file, data, text, builder.lines)


class _CoreLoader(yaml.SafeLoader):
    """Resolves plain scalars by the core schema of YAML 1.2."""


_CoreLoader.yaml_implicit_resolvers = {}


_TAG = "tag:yaml.org,2002:"
for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})$"), _first)


class _Builder:
    """Turns a node tree into plain Python values and notes each value's line."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Place, int] = {}
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: Place) -> Any:
        self.lines.setdefault(path, _line(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            raise self._refusal(node, path, "an anchor refers to itself", "write the value out")
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            raise self._refusal(node, path, f"the tag {node.tag!r} is not read", "remove the tag")
        self._open.add(id(node))
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self._open.remove(id(node))
        return value

    def _mapping(self, node: yaml.MappingNode, path: Place) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._refusal(key_node, path, "a key must be a text", "write `key: value`")
            key = key_node.value
            if key == "<<":
                raise self._refusal(key_node, path, "merge keys are not read", "write the shared keys under `base`")
            if key in mapping:
                problem = f"the key {key!r} is written twice, first on line {first[key]}"
                raise self._refusal(key_node, (*path, key), problem, "rename or remove one of the two")
            first[key] = self.lines[*path, key] = _line(key_node)
            mapping[key] = self.build(value_node, (*path, key))
        return mapping

    def _sequence(self, node: yaml.Node, path: Place) -> list[Any]:
        return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]

    def _scalar(self, node: yaml.ScalarNode, path: Place) -> Any:
        text = node.value
        match node.tag.removeprefix(_TAG):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            case "float":
                return float(re.sub(r"^([-+]?)\.(?=[a-zA-Z])", r"\1", text))
        raise self._refusal(node, path, f"the tag {node.tag!r} is not read", "remove the tag")

    def _refusal(self, node: yaml.Node, path: Place, problem: str, remedy: str) -> ConfigError:
        value = node.value if isinstance(node, yaml.ScalarNode) else None
        return ConfigError(
            file=f"{self.file}:{_line(node)}", key=dotted(path), value=value, problem=problem, remedy=remedy
        )


def dotted(path: Place) -> str:
    """`('axes', 'seeds', 0)` as `axes.seeds[0]`; the top itself is `(top)`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "(top)"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _not_yaml(error: yaml.YAMLError, file: str, text: str) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    line = mark.line + 1 if mark else 1
    lines = text.splitlines()
    value = lines[line - 1].strip() if line <= len(lines) else ""
    remedy = "indent with spaces, close quotes and brackets, and quote values that hold `: ` or ` #`"
    return ConfigError(
        file=f"{file}:{line}", key="(syntax)", value=value, problem=f"is not YAML: {problem}", remedy=remedy
    )
