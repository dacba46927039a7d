"""textworld's context-sensitive grammar, compiled: rules and action templates whose texts depend on facts.

It gives the texts of textworld's `ContextSensitiveGrammar` (1.7.0) without its price: stock parses symbols at each use
and copies a context for each symbol. Its notation, in the words of this module:

    text                a terminal
    #name#              `Reference`: the first rule of that name whose condition holds
    {expression}        `ForEach` of a `Value`: Python, over the things that names stand for
    {... | query}       `ForEach`: once for each way in which the query holds
    [{... | query}]     `Listing`: the same, with separators
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from paw_bench.envs.alfworld.facts import Bindings, Facts, Query
from paw_bench.envs.alfworld.kept import kept

_GOAL = re.compile(r'"task":\s*\[\s*\{\s*"rhs":\s*"(?P<text>[A-Za-z][^"\\;|<>\[\]#{}\t\n]*)"\s*\}\s*\]')
"""The sentence in which the grammars of games differ, where it is a plain text."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A rule, by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Value:
    """A Python expression, such as `o.indefinite + ' ' + o.name`."""

    code: CodeType
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class ForEach:
    """`inner` for each way in which the query holds; once where there is no query."""

    inner: Reference | Value
    query: Query | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The items of `each`, put together by the rules `list_empty`, `list_separator` and `list_last_separator`."""

    each: ForEach


Symbol = str | Reference | Value | ForEach | Listing
Rules = dict[str, list[tuple[Query | None, list[Symbol]]]]
"""Name -> (condition, what it becomes), of which the first with a true condition is taken."""


@dataclass(frozen=True, slots=True)
class Action:
    """How an action is written and answered."""

    template: str
    command: list[Symbol]
    feedback: list[Symbol]


@dataclass(frozen=True)
class Grammar:
    """A game's rules and actions."""

    rules: Rules
    actions: dict[str, Action]
    queried: frozenset[str]
    """Predicates that some query reads."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing of a game, as expressions see it."""

    id: str
    type: str
    name: str
    definite: str = "the"
    indefinite: str = "a"

    def __str__(self) -> str:
        return self.name


def grammar_of(text: str, folder: Path | None) -> Grammar:
    """The grammar of a game file. What games share of it is parsed once and kept in `folder` (None: in memory)."""
    goals = list(_GOAL.finditer(text))
    if len(goals) != 1:
        return _parsed(text, folder)
    (goal,) = goals
    shared = _parsed(text[: goal.start("text")] + "GOAL" + text[goal.end("text") :], folder)
    sentence: list[Symbol] = [json.loads(f'"{goal["text"]}"')]
    return Grammar({**shared.rules, "task": [(None, sentence)]}, shared.actions, shared.queried)


class Texts:
    """Derives the texts of one game from its facts. `entities`: what the names of things stand for."""

    def __init__(self, rules: Rules, facts: Facts, entities: Mapping[str, Entity]) -> None:
        self._rules = rules
        self._facts = facts
        self._entities = entities

    def derive(self, symbols: list[Symbol], bindings: Bindings) -> str:
        """The text of `symbols` where names stand for what `bindings` says.

        Raises LookupError where the grammar lacks a rule, or none of its conditions holds.
        """
        parts = []
        for symbol in symbols:
            match symbol:
                case str():
                    parts.append(symbol)
                case Listing():
                    parts.append(self._listed(self._items(symbol.each, bindings), bindings))
                case ForEach():
                    parts += self._items(symbol, bindings)
                case _:
                    parts.append(self._one(symbol, bindings))
        return "".join(parts)

    def _one(self, symbol: Reference | Value, bindings: Bindings) -> str:
        if isinstance(symbol, Reference):
            return self._rule(symbol.name, bindings)
        named = {name: self._entities[thing] for (name, _), (thing, _) in bindings.items() if name in symbol.names}
        return str(eval(symbol.code, {"__builtins__": {}}, named))

    def _items(self, symbol: ForEach, bindings: Bindings) -> list[str]:
        ways = [bindings] if symbol.query is None else self._facts.assignments(symbol.query, bindings)
        return [self._one(symbol.inner, way) for way in ways]

    def _listed(self, items: list[str], bindings: Bindings) -> str:
        if not items:
            return self._rule("list_empty", bindings)
        if len(items) == 1:
            return items[0]
        separator = self._rule("list_separator", bindings) if len(items) > 2 else ""
        return separator.join(items[:-1]) + self._rule("list_last_separator", bindings) + items[-1]

    def _rule(self, name: str, bindings: Bindings) -> str:
        for condition, symbols in self._rules[name]:
            if condition is None or any(True for _ in self._facts.assignments(condition, bindings)):
                return self.derive(symbols, bindings)
        raise LookupError(f"no rule #{name}# of the grammar applies")


@functools.lru_cache(maxsize=4)
def _parsed(text: str, folder: Path | None) -> Grammar:
    key = hashlib.sha256(f"{importlib.metadata.version('textworld')}\0{text}".encode()).hexdigest()
    path = folder / "grammars" / f"{key}.json.gz" if folder else None
    return kept(path, _grammar, "parsed_grammar", text.encode())


def _grammar(data: dict[str, Any]) -> Grammar:
    rules: Rules = {
        name: [(_query(condition), _symbols(symbols)) for condition, symbols in choices]
        for name, choices in data["rules"].items()
    }
    actions = {
        name: Action(action["template"], _symbols(action["command"]), _symbols(action["feedback"]))
        for name, action in data["actions"].items()
    }
    conditions = [condition for choices in rules.values() for condition, _ in choices]
    symbols = [symbol for choices in rules.values() for _, symbols in choices for symbol in symbols]
    symbols += [symbol for action in actions.values() for symbol in (*action.command, *action.feedback)]
    queries = [*conditions, *(_query_of(symbol) for symbol in symbols)]
    return Grammar(rules, actions, frozenset(predicate for query in queries if query for predicate, _ in query))


def _symbols(data: list[Any]) -> list[Symbol]:
    return [_symbol(item) for item in data]


def _symbol(data: Any) -> Any:
    match data:
        case str():
            return data
        case ["rule", name]:
            return Reference(name)
        case ["value", expression]:
            code = compile(expression.strip(" \t"), "<grammar>", "eval")
            return Value(code, frozenset(code.co_names))
        case ["each", inner, query]:
            return ForEach(_symbol(inner), _query(query))
        case ["list", each]:
            return Listing(_symbol(each))
    raise ValueError(f"no symbol of a grammar: {data!r}")


def _query(data: list[Any] | None) -> Query | None:
    if data is None:
        return None
    return tuple((predicate, tuple((name, kind) for name, kind in holders)) for predicate, holders in data)


def _query_of(symbol: Symbol) -> Query | None:
    each = symbol.each if isinstance(symbol, Listing) else symbol
    return each.query if isinstance(each, ForEach) else None
