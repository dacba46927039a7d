"""The facts of a PDDL game as textworld's grammar queries them, settable to those of any state.

`Facts.assignments` finds what textworld's `State.all_assignments` (1.7.0) finds, in its order: predicate by predicate
of the query, type by type, facts in the order of their names; different placeholders stand for different things.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

Fact = tuple[str, tuple[str, ...]]
"""Predicate and arguments; the predicate of a negated fact begins with `not_`."""
Difference = frozenset[Fact]
"""The facts in which a state differs from the initial one: those that came and those that went."""
Types = tuple[tuple[str, tuple[str, ...]], ...]
"""(name, names of supertypes), in the task's order."""

Typed = tuple[str, str]
"""Name and type, of a placeholder or of a thing."""
Bindings = dict[Typed, Typed]
"""Placeholder -> thing."""
Query = tuple[tuple[str, tuple[Typed, ...]], ...]
"""Predicates and their placeholders, which must all hold."""
_Signature = tuple[str, tuple[str, ...]]
"""Predicate and types of its arguments."""


class Facts:
    """The facts of one state at a time.

    `types`: name of a thing -> name of its type. `queried`: predicates that the grammar asks for, negated ones by their
    own name (`not_inreceptacle`); others are not kept.
    """

    def __init__(
        self, types: Mapping[str, str], hierarchy: Types, initial: Iterable[Fact], queried: frozenset[str]
    ) -> None:
        self._types = types
        self._kinds = frozenset(types.values())
        self._hierarchy = hierarchy
        self._signatures: dict[_Signature, list[_Signature]] = {}
        """Of a query's predicate -> of the facts that it can be."""
        self._queried = queried
        self._initial = frozenset(fact for fact in initial if fact[0] in queried)
        at_first: defaultdict[_Signature, list[tuple[Typed, ...]]] = defaultdict(list)
        for fact in self._initial:
            signature, arguments = self._typed(fact)
            at_first[signature].append(arguments)
        self._at_first = {signature: sorted(facts) for signature, facts in at_first.items()}
        self._now = self._at_first
        self._difference: Difference = frozenset()

    def move_to(self, difference: Difference) -> None:
        """Become the state that differs from the initial one in `difference`."""
        if difference == self._difference:
            return
        now = dict(self._at_first)
        for fact in difference:
            signature, arguments = self._typed(fact)
            facts = now.get(signature, [])
            if facts is self._at_first.get(signature, facts):
                facts = now[signature] = list(facts)
            if fact in self._initial:
                del facts[bisect_left(facts, arguments)]
            else:
                insort(facts, arguments)
        self._now, self._difference = now, difference

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

    def assignments(self, query: Query, bindings: Bindings) -> Iterator[Bindings]:
        """`bindings` extended in every way in which the query holds."""
        return self._extended(query, 0, dict(bindings), set(bindings.values()))

    def _extended(self, query: Query, depth: int, found: Bindings, used: set[Typed]) -> Iterator[Bindings]:
        if depth == len(query):
            yield dict(found)
            return
        predicate, holders = query[depth]
        for signature in self._signatures_of(predicate, tuple(kind for _, kind in holders)):
            for arguments in self._now.get(signature, ()):
                new = []
                for holder, thing in zip(holders, arguments, strict=True):
                    known = found.get(holder)
                    if known is None:
                        if thing in used:
                            break
                        found[holder] = thing
                        used.add(thing)
                        new.append(holder)
                    elif known != thing:
                        break
                else:
                    yield from self._extended(query, depth + 1, found, used)
                for holder in new:
                    used.discard(found.pop(holder))

    def _signatures_of(self, predicate: str, types: tuple[str, ...]) -> list[_Signature]:
        asked = (predicate, types)
        if asked not in self._signatures:
            lower = _subtypes(types, self._hierarchy)
            self._signatures[asked] = [(predicate, kinds) for kinds in lower if self._kinds.issuperset(kinds)]
        return self._signatures[asked]

    def _typed(self, fact: Fact) -> tuple[_Signature, tuple[Typed, ...]]:
        predicate, names = fact
        arguments = tuple((name, self._types[name]) for name in names)
        return (predicate, tuple(kind for _, kind in arguments)), arguments


def named(predicate: str, arguments: Iterable[str]) -> Fact:
    """A fact; a game has thousands of them about a few dozen things, so names are shared."""
    return sys.intern(predicate), tuple(map(sys.intern, arguments))


def _negation(fact: Fact) -> Fact:
    predicate, arguments = fact
    return (predicate.removeprefix("not_") if predicate.startswith("not_") else f"not_{predicate}"), arguments


@lru_cache(maxsize=64)
def _subtypes(types: tuple[str, ...], hierarchy: Types) -> list[tuple[str, ...]]:
    """`types` and all that is below them, in the order of textworld's `TypeHierarchy.multi_subtypes`."""
    children: defaultdict[str, list[str]] = defaultdict(list)
    # ALFWorld's domain declares `object`, which Fast Downward lists already: the first entry counts.
    for name, supertypes in dict(reversed(hierarchy)).items():
        for supertype in supertypes:
            children[supertype].append(name)
    order, waiting, seen = [types], deque(_one_step_down(types, children)), set()
    while waiting:
        reached = waiting.popleft()
        order.append(reached)
        for lower in _one_step_down(reached, children):
            if lower not in seen:
                seen.add(lower)
                waiting.append(lower)
    return order


def _one_step_down(types: tuple[str, ...], children: Mapping[str, list[str]]) -> Iterator[tuple[str, ...]]:
    for place, kind in enumerate(types):
        for child in sorted(children.get(kind, ())):
            yield (*types[:place], child, *types[place + 1 :])
