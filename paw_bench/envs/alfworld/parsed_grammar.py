"""Parse a game's grammar with textworld's own parser: `python -m paw_bench.envs.alfworld.parsed_grammar < TEXT > JSON`.

A process of its own does this, once for all games of a grammar, because textworld brings 40 MB of memory and a second
of imports that playing has no use for. What the JSON holds is said in `grammar.py`, which reads it.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson
from textworld.envs.pddl import textgen
from textworld.envs.pddl.logic import GameLogic
from textworld.logic import Rule


def parsed(text: str) -> dict[str, Any]:
    """The grammar of a `game.tw-pddl` file as JSON can hold it."""
    logic = GameLogic(domain="", grammar=text)
    return {
        "actions": {
            name: {
                "template": action.template,
                "command": _symbols_of(action.template),
                "feedback": _symbols_of(action.feedback_rule),
            }
            for name, action in logic.actions.items()
        },
        "rules": {
            name: [[_query(rule.condition), _symbols(rule.rhs)] for rule in rules]
            for name, rules in logic.grammar._rules.items()
        },
    }


def _symbols_of(text: str) -> list[Any]:
    return _symbols(textgen._parse_and_convert(text, rule_name="symbols"))


def _symbols(symbols: list[Any]) -> list[Any]:
    return [_symbol(symbol) for symbol in symbols]


def _symbol(symbol: Any) -> Any:
    match symbol:
        case textgen.TerminalSymbol():
            return str(symbol)
        case textgen.NonterminalSymbol():
            return ["rule", symbol.symbol]
        case textgen.EvalSymbol():
            return ["value", symbol.expression]
        case textgen.ConditionalSymbol():
            return ["each", _symbol(symbol.expression), _query(symbol.given)]
        case textgen.ListSymbol():
            return ["list", _symbol(symbol.symbol)]
    raise ValueError(f"a symbol that textworld does not derive: {symbol!r}")


def _query(text: str | None) -> list[Any] | None:
    if not text:
        return None
    return [
        [predicate.name, [[holder.name, holder.type] for holder in predicate.parameters]]
        for predicate in Rule.parse_conjunctive_query(text).preconditions
    ]


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(parsed(sys.stdin.read())))
