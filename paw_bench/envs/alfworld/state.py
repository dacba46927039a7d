"""The state of a PDDL game: the facts, as textworld's grammar queries them, and Fast Downward's simulator."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import fast_downward
from textworld.envs.pddl import logic as pddl_logic
from textworld.logic import Proposition, Type, Variable

from paw_bench.envs.alfworld.translation import Translation

Difference = frozenset[Proposition]
"""The facts in which a state differs from the initial one: those that came and those that went."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A ground action of Fast Downward. `signature`: the action's name and its arguments."""

    number: int
    effects: int
    signature: str


class FactState(pddl_logic.PddlState):  # type: ignore[misc]
    """Facts that can be set to those of any state. Effects on predicates outside `read` are ignored."""

    def __init__(self, translation: Translation, logic: Any, read: frozenset[str]) -> None:
        # Neither parent's constructor: one translates, the other refuses this kind of logic.
        self._facts: defaultdict[Any, set[Proposition]] = defaultdict(set)
        self._vars_by_name: dict[str, Variable] = {}
        self._vars_by_type: defaultdict[str, set[Variable]] = defaultdict(set)
        self._var_counts: Counter[str] = Counter()
        self._logic = logic
        self._types = translation.objects
        self._read = read
        for name, supertypes in translation.types:
            with contextlib.suppress(ValueError):  # one of the logic's own
                logic.types.add(Type(name, supertypes))
        self.add_facts(
            Proposition(predicate, [Variable(name, self._types[name]) for name in arguments])
            for predicate, arguments in translation.facts
        )
        self._initial = frozenset(self.facts)
        self._difference: Difference = frozenset()

    def move_to(self, difference: Difference) -> None:
        """Become the state that differs from the initial one in `difference`."""
        for fact in self._difference ^ difference:
            if (fact in self._initial) == (fact in difference):
                self.remove_fact(fact)
            else:
                self.add_fact(fact)
        self._difference = difference

    def after(self, difference: Difference, effects: Iterable[pddl_logic.Atom]) -> Difference:
        """`difference` after the effects of an operator: each of them holds, and its negation does not."""
        changed = set(difference)
        for effect in effects:
            fact = effect.get_fact(self._types)
            negation = fact.negate()
            if (negation if fact.is_negation else fact).name not in self._read:
                continue
            for proposition, holds in ((negation, False), (fact, True)):
                if (proposition in self._initial) == holds:
                    changed.discard(proposition)
                else:
                    changed.add(proposition)
        return frozenset(changed)


class Simulator:
    """Fast Downward's library; one problem at a time."""

    def __init__(self) -> None:
        self.library = fast_downward.load_lib()

    def load(self, sas: bytes) -> None:
        """Go to the initial state of a problem."""
        self.library.load_sas(sas)

    def applicable(self) -> list[Operator]:
        """Operators that can be applied now, in the library's order; of those with one signature the first."""
        operators = (fast_downward.Operator * self.library.get_applicable_operators_count())()
        self.library.get_applicable_operators(operators)
        found: dict[str, Operator] = {}
        for operator in operators:
            signature = operator.name
            if signature not in found:
                found[signature] = Operator(operator.id, operator.nb_effect_atoms, signature)
        return list(found.values())

    def apply(self, operator: Operator) -> Iterable[pddl_logic.Atom]:
        """Apply an operator that is applicable; what it changed."""
        effects = (pddl_logic.Atom * operator.effects)()
        self.library.apply_operator(operator.number, effects)
        return effects

    def goal_holds(self) -> bool:
        """Whether the game is won."""
        return bool(self.library.check_goal())
