"""Two savings in textworld's text generation. Both are for the whole process and change no text.

Stock parses every grammar symbol and every query at each use, and deep-copies the entities of each context, though
nothing ever writes to them.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

from textworld.envs.pddl import textgen
from textworld.logic import Rule


@functools.cache
def speed_up() -> None:
    """Install both savings, once."""
    textgen._parse_and_convert = _remembered(textgen._parse_and_convert)
    textgen.copy_context = _copy_context
    parse_query = functools.lru_cache(maxsize=None)(Rule.parse_conjunctive_query)
    Rule.parse_conjunctive_query = staticmethod(parse_query)


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
