"""Translate a game with Fast Downward: `python -m paw_bench.envs.alfworld.translated < JSON > JSON`.

From [domain, problem] to what `translation.Translation` holds. A process of its own does this, because translating
takes memory that a worker would not give back, and `pddl2sas` replaces `sys.argv` and writes to stdout.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import fast_downward
import orjson
from fast_downward.translate.pddl.conditions import Atom, Literal
from fast_downward.translate.pddl.f_expression import Assign

from paw_bench.envs.alfworld.facts import Fact, named
from paw_bench.envs.alfworld.sas import packed_task


def translated(domain: str, problem: str) -> dict[str, Any]:
    """What textworld reads of Fast Downward's task. ValueError where the task is not of the supported kind."""
    with contextlib.redirect_stdout(sys.stderr):
        task, sas = fast_downward.pddl2sas(domain, problem, verbose=False)
    conditions = [task.goal, *(axiom.condition for axiom in task.axioms)]
    for action in task.actions:
        conditions += [action.precondition, *(effect.condition for effect in action.effects)]
    return {
        "task": packed_task(sas),
        "types": [(kind.name, kind.supertype_names) for kind in task.types],
        "objects": {item.name: item.type_name for item in task.objects},
        "parameters": {
            action.name: [(parameter.name.strip("?"), parameter.type_name) for parameter in action.parameters]
            for action in task.actions
        },
        "facts": sorted(fact for item in task.init if (fact := _fact(item)) is not None),
        "read": sorted({literal.predicate for condition in conditions for literal in _literals(condition)}),
    }


def _fact(item: Any) -> Fact | None:
    """An initial fact as stock textworld reads it: equality, costs and whole-numbered distances are no facts."""
    if isinstance(item, Atom):
        return None if item.predicate == "=" else named(item.predicate, item.args)
    if isinstance(item, Assign) and item.fluent.symbol != "total-cost":
        value = str(item.expression.value)
        return None if value.isdigit() else named(value, item.fluent.args)
    return None


def _literals(condition: Any) -> Iterator[Any]:
    if isinstance(condition, Literal):
        yield condition
    for part in condition.parts:
        yield from _literals(part)


if __name__ == "__main__":
    domain, problem = orjson.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(orjson.dumps(translated(domain, problem)))
