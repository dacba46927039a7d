"""The facts of a PDDL game as textworld's grammar queries them, settable to those of any state."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from textworld.envs.pddl.logic import PddlState
from textworld.logic import Proposition, Type, Variable

Fact = tuple[str, tuple[str, ...]]
"""Predicate and arguments; the predicate of a negated fact begins with `not_`."""
Difference = frozenset[Fact]
"""The facts in which a state differs from the initial one: those that came and those that went."""


class FactState(PddlState):  # type: ignore[misc]
    """textworld's state without a simulator behind it.

    `types`: name of a thing -> name of its type. `queried`: predicates that the grammar asks for, negated ones by their
    own name (`not_inreceptacle`). Facts of other predicates stay as they are at first.
    """

    def __init__(
        self,
        logic: Any,
        types: dict[str, str],
        hierarchy: Iterable[tuple[str, tuple[str, ...]]],
        initial: frozenset[Fact],
        queried: frozenset[str],
    ) -> None:
        # Neither parent's constructor: one translates the problem, the other refuses this kind of logic.
        self._facts: defaultdict[Any, set[Proposition]] = defaultdict(set)
        self._vars_by_name: dict[str, Variable] = {}
        self._vars_by_type: defaultdict[str, set[Variable]] = defaultdict(set)
        self._var_counts: Counter[str] = Counter()
        self._logic = logic
        self._types = types
        self._initial = initial
        self._queried = queried
        self._difference: Difference = frozenset()
        for name, supertypes in hierarchy:
            with contextlib.suppress(ValueError):  # one of the logic's own
                logic.types.add(Type(name, supertypes))
        self.add_facts(map(self._proposition, initial))

    def move_to(self, difference: Difference) -> None:
        """Become the state that differs from the initial one in `difference`."""
        for fact in self._difference ^ difference:
            if (fact in self._initial) == (fact in difference):
                self.remove_fact(self._proposition(fact))
            else:
                self.add_fact(self._proposition(fact))
        self._difference = difference

    def after(self, difference: Difference, effects: Iterable[Fact]) -> Difference:
        """`difference` after effects of which each now holds, and its negation does not.

        As in stock, a negated fact is there once an effect has said so, not from the start.
        """
        changed = set(difference)
        for fact in effects:
            for each, holds in ((_negation(fact), False), (fact, True)):
                if each[0] not in self._queried:
                    continue
                if (each in self._initial) == holds:
                    changed.discard(each)
                else:
                    changed.add(each)
        return frozenset(changed)

    def _proposition(self, fact: Fact) -> Proposition:
        predicate, arguments = fact
        return Proposition(predicate, [Variable(name, self._types[name]) for name in arguments])


def fact_of(atom: str) -> Fact:
    """`opened(cabinet_1)` as a fact."""
    predicate, arguments = atom[:-1].split("(", 1)
    # A game has thousands of facts about a few dozen things.
    return sys.intern(predicate), tuple(sys.intern(argument) for argument in arguments.split(", ") if argument)


def _negation(fact: Fact) -> Fact:
    predicate, arguments = fact
    return (predicate.removeprefix("not_") if predicate.startswith("not_") else f"not_{predicate}"), arguments
