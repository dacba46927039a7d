"""A planning task in Fast Downward's SAS format, with its states as plain integers.

textworld steps through Fast Downward's library, which holds one state of one task and cannot go back: every turn to
another episode costs milliseconds. Here a state is a value: bit v is set where the atom of variable v holds. Supported
is what textworld's translation gives: variables of two values, an atom and its negation.

Most operators of a task (thousands, of which half only move the agent) are never looked at in an episode, so they stay
packed as numbers, in groups of which few apply at a time, and a group is unpacked when it is needed.

What effects and derived atoms do: Helmert, "The Fast Downward Planning System", JAIR 26 (2006).
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from paw_bench.envs.alfworld.facts import Fact, named

State = int


@dataclass(frozen=True)
class PackedTask:
    """A task in numbers. A literal is 2 v where the atom of variable v holds, 2 v + 1 where it does not."""

    atoms: list[Fact]
    """The atom of each variable."""
    words: list[str]
    """Words of the operators' names: actions and things."""
    initial: list[int]
    """Variables whose atoms hold at first, derived ones apart."""
    derived: list[int]
    """Variables that axioms decide; their atoms do not hold unless an axiom says so."""
    goal: list[int]
    """Literals."""
    axioms: list[list[tuple[list[int], int]]]
    """Layer by layer: (literals of the condition, literal that follows)."""
    groups: list[tuple[list[int], list[int]]]
    """(literals that all operators of a group require: one or none; the operators, one after the other).

    An operator is: its number, the words of its name, its required literals, and its effects, each of these three after
    their count; an effect is the count of its conditions, these literals, and the literal that it makes true.
    """

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> PackedTask:
        """A task that was written as JSON, which knows no tuples."""
        atoms = [named(predicate, arguments) for predicate, arguments in data["atoms"]]
        axioms = [[(condition, literal) for condition, literal in layer] for layer in data["axioms"]]
        groups = [(shared, numbers) for shared, numbers in data["groups"]]
        return cls(**{**data, "atoms": atoms, "axioms": axioms, "groups": groups})


class Condition(NamedTuple):
    """Holds where all bits of `true` are set and none of `false` is."""

    true: int
    false: int

    def holds(self, state: State) -> bool:
        """Whether `state` fulfils it."""
        return state & self.true == self.true and not state & self.false


class Effect(NamedTuple):
    """Where `condition` held before the operator, the atom of `variable` becomes `value`."""

    condition: Condition
    variable: int
    value: bool


class Operator(NamedTuple):
    """A ground action. `name`: that of the action and its arguments."""

    number: int
    name: tuple[str, ...]
    condition: Condition
    effects: tuple[Effect, ...]


class SasTask:
    """What can be done in a state, and what follows from it."""

    def __init__(self, packed: PackedTask) -> None:
        self._words = packed.words
        self._goal = _condition(packed.goal)
        self._derived = _bits(packed.derived)
        self._axioms = [
            [(_condition(condition), 1 << (literal >> 1), not literal & 1) for condition, literal in layer]
            for layer in packed.axioms
        ]
        self._packed = [(_condition(shared), array("I", numbers)) for shared, numbers in packed.groups]
        self._groups: dict[int, list[Operator]] = {}
        self._conditions: dict[tuple[int, ...], Condition] = {}
        """Operators share most of theirs: large numbers, which take time and memory to make."""
        self.initial: State = self._with_derived(_bits(packed.initial))

    def applicable(self, state: State) -> list[Operator]:
        """Operators whose conditions hold in `state`, in the task's order."""
        found = []
        for index, (condition, _) in enumerate(self._packed):
            if condition.holds(state):
                found += [operator for operator in self._group(index) if operator.condition.holds(state)]
        return sorted(found)

    def after(self, state: State, operator: Operator) -> State:
        """The state after `operator`, which must be applicable in `state`."""
        following = state
        for effect in operator.effects:
            if effect.condition.holds(state):
                bit = 1 << effect.variable
                following = following | bit if effect.value else following & ~bit
        return self._with_derived(following)

    def goal_holds(self, state: State) -> bool:
        """Whether `state` is a goal."""
        return self._goal.holds(state)

    def _with_derived(self, state: State) -> State:
        """`state` with its derived atoms: from their defaults, layer by layer, each to its fixed point."""
        state &= ~self._derived
        for axioms in self._axioms:
            before = -1
            while before != state:
                before = state
                for condition, bit, value in axioms:
                    if condition.holds(state):
                        state = state | bit if value else state & ~bit
        return state

    def _group(self, index: int) -> list[Operator]:
        if index not in self._groups:
            self._groups[index] = list(self._unpacked(self._packed[index][1]))
        return self._groups[index]

    def _unpacked(self, numbers: array[int]) -> Iterator[Operator]:
        place = 0

        def counted() -> tuple[int, ...]:
            nonlocal place
            first, place = place + 1, place + 1 + numbers[place]
            return tuple(numbers[first:place])

        while place < len(numbers):
            number = numbers[place]
            place += 1
            name = tuple(self._words[word] for word in counted())
            required = self._condition(counted())
            effects = []
            place += 1
            for _ in range(numbers[place - 1]):
                condition, literal = self._condition(counted()), numbers[place]
                place += 1
                effects.append(Effect(condition, literal >> 1, not literal & 1))
            yield Operator(number, name, required, tuple(effects))

    def _condition(self, literals: tuple[int, ...]) -> Condition:
        if literals not in self._conditions:
            self._conditions[literals] = _condition(literals)
        return self._conditions[literals]


def packed_task(sas: str) -> PackedTask:
    """Pack the text of a task (format version 3). ValueError where it is not of the supported kind."""
    lines = iter(sas.split("\n"))
    _skip_past(lines, "end_metric")
    atoms, layers = [], []
    for _ in range(int(next(lines))):
        _skip(lines, 2)
        layers.append(int(next(lines)))
        atoms.append(_atom(next(lines), next(lines), next(lines)))
        _skip(lines, 1)
    for _ in range(int(next(lines))):
        _skip_past(lines, "end_mutex_group")
    _skip(lines, 1)
    first = [variable for variable in range(len(atoms)) if next(lines) == "0"]
    derived = [variable for variable, layer in enumerate(layers) if layer != -1]
    if set(first) & set(derived):
        raise ValueError("a derived atom that holds by default")
    _skip(lines, 2)
    goal = _literals(lines)
    _skip(lines, 1)
    words: dict[str, int] = {}
    operators = [_operator(lines, words) for _ in range(int(next(lines)))]
    axioms = defaultdict(list)
    for _ in range(int(next(lines))):
        _skip(lines, 1)
        condition = _literals(lines)
        variable, _, after = map(int, next(lines).split())
        axioms[layers[variable]].append((condition, 2 * variable + after))
        _skip(lines, 1)
    return PackedTask(
        atoms=atoms,
        words=list(words),
        initial=first,
        derived=derived,
        goal=goal,
        axioms=[axioms[layer] for layer in sorted(axioms)],
        groups=_grouped(operators),
    )


@dataclass(frozen=True)
class _RawOperator:
    name: list[int]
    required: list[int]
    effects: list[tuple[list[int], int]]

    def numbers(self, number: int) -> list[int]:
        packed = [number, len(self.name), *self.name, len(self.required), *self.required, len(self.effects)]
        for condition, literal in self.effects:
            packed += [len(condition), *condition, literal]
        return packed


def _operator(lines: Iterator[str], words: dict[str, int]) -> _RawOperator:
    _skip(lines, 1)
    name = [words.setdefault(word, len(words)) for word in next(lines).split()]
    required = _literals(lines)
    effects = []
    for _ in range(int(next(lines))):
        _, *pairs, variable, before, after = map(int, next(lines).split())
        if before != -1:
            required.append(2 * variable + before)
        condition = [2 * v + value for v, value in zip(pairs[::2], pairs[1::2], strict=True)]
        effects.append((condition, 2 * variable + after))
    _skip(lines, 2)
    return _RawOperator(name, required, effects)


def _grouped(operators: Sequence[_RawOperator]) -> list[tuple[list[int], list[int]]]:
    """Each operator under the literal of its condition that most operators share: in ALFWorld, where the agent is."""
    shared = Counter(literal for operator in operators for literal in operator.required)
    groups: defaultdict[int | None, list[int]] = defaultdict(list)
    for number, operator in enumerate(operators):
        most_shared = max(operator.required, key=lambda literal: (shared[literal], literal), default=None)
        groups[most_shared] += operator.numbers(number)
    return [([] if literal is None else [literal], numbers) for literal, numbers in groups.items()]


def _atom(values: str, first: str, second: str) -> Fact:
    atom = first.removeprefix("Atom ")
    if (values, first, second) != ("2", f"Atom {atom}", f"NegatedAtom {atom}"):
        raise ValueError(f"a variable that is not an atom and its negation: {first}, {second}")
    predicate, arguments = atom[:-1].split("(", 1)
    return named(predicate, (argument for argument in arguments.split(", ") if argument))


def _literals(lines: Iterator[str]) -> list[int]:
    """The (variable, value) pairs of the next lines, after a line with their count."""
    pairs = (next(lines).split() for _ in range(int(next(lines))))
    return [2 * int(variable) + int(value) for variable, value in pairs]


def _skip(lines: Iterator[str], count: int) -> None:
    for _ in range(count):
        next(lines)


def _skip_past(lines: Iterator[str], mark: str) -> None:
    for line in lines:
        if line == mark:
            return
    raise ValueError(f"a task without {mark}")


def _condition(literals: Iterable[int]) -> Condition:
    literals = list(literals)
    return Condition(
        _bits(literal >> 1 for literal in literals if not literal & 1),
        _bits(literal >> 1 for literal in literals if literal & 1),
    )


def _bits(variables: Iterable[int]) -> int:
    mask = 0
    for variable in variables:
        mask |= 1 << variable
    return mask
