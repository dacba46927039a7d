"""Savings in textworld's text generation. None of them changes a text.

Stock parses every grammar symbol and every query at each use, deep-copies the entities of each context though nothing
writes to them, and parses the whole grammar of every game though games differ in one sentence, the goal.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from typing import Any

from textworld.envs.pddl import textgen
from textworld.envs.pddl.logic import GameLogic
from textworld.logic import Rule, TypeHierarchy

_GOAL = re.compile(r'"task":\s*\[\s*\{\s*"rhs":\s*"(?P<text>[^"\\]+)"\s*\}\s*\]')


@functools.cache
def speed_up() -> None:
    """Install the savings that are for the whole process, once."""
    textgen._parse_and_convert = _remembered(textgen._parse_and_convert)
    textgen.copy_context = _copy_context
    parse_query = functools.lru_cache(maxsize=None)(Rule.parse_conjunctive_query)
    Rule.parse_conjunctive_query = staticmethod(parse_query)


def logic_of(domain: str, grammar: str) -> GameLogic:
    """textworld's GameLogic of a game; what games with the same grammar share is parsed once."""
    speed_up()
    goals = list(_GOAL.finditer(grammar))
    if len(goals) != 1:
        return GameLogic(domain=domain, grammar=grammar)
    (goal,) = goals
    shared = _shared_logic(domain, grammar[: goal.start("text")] + grammar[goal.end("text") :])
    logic = copy.copy(shared)
    logic.types = TypeHierarchy()
    logic.grammar = textgen.ContextSensitiveGrammar()
    logic.grammar.update(shared.grammar)
    sentence = textgen._parse_and_convert(json.loads(f'"{goal["text"]}"'), rule_name="symbols")
    logic.grammar._rules["task"] = [textgen.ProductionRule(lhs="task", rhs=sentence)]
    return logic


@functools.lru_cache(maxsize=4)
def _shared_logic(domain: str, grammar: str) -> GameLogic:
    return GameLogic(domain=domain, grammar=grammar)


def _remembered(parse: Any) -> Any:
    known: dict[tuple[str, Any], Any] = {}

    def parse_once(text: str, rule_name: Any = None, **options: Any) -> Any:
        key = (text, rule_name)
        if key not in known:
            known[key] = parse(text, rule_name=rule_name, **options)
        return copy.deepcopy(known[key])  # the caller writes contexts into the symbols

    return parse_once


def _copy_context(context: dict[str, Any]) -> dict[str, Any]:
    return {**context, "variables": dict(context["variables"]), "mapping": dict(context["mapping"])}
