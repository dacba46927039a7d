"""A planning task in Fast Downward's SAS format, with its states as plain integers.

textworld steps through Fast Downward's library, which holds one state of one task and cannot go back: every turn to
another episode costs milliseconds. Here a state is a value: bit v is set where the atom of variable v holds. Supported
is what textworld's translation gives: variables of two values, an atom and its negation.

Format: Fast Downward's "Translator Output Format", version 3. What effects and derived atoms do: Helmert, "The Fast
Downward Planning System", JAIR 26 (2006).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

State = int


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
    """A ground action. `name`: that of the action, and its arguments."""

    number: int
    name: str
    condition: Condition
    effects: tuple[Effect, ...]


class _Axiom(NamedTuple):
    condition: Condition
    bit: int
    value: bool


class SasTask:
    """A parsed task. ValueError where it is not of the supported kind."""

    def __init__(self, text: str) -> None:
        lines = iter(text.split("\n"))
        _skip_past(lines, "end_metric")
        layers: list[int] = []
        self.atoms: list[str] = []
        """The atom of each variable, such as `opened(cabinet_1)`."""
        for _ in range(_number(lines)):
            _skip(lines, 2)
            layers.append(_number(lines))
            self.atoms.append(_atom(_number(lines), next(lines), next(lines)))
            _skip(lines, 1)
        for _ in range(_number(lines)):
            _skip_past(lines, "end_mutex_group")
        _skip_past(lines, "begin_state")
        defaults = _condition((variable, _number(lines)) for variable in range(len(self.atoms))).true
        _skip_past(lines, "begin_goal")
        self._goal = _condition(_pairs(lines))
        _skip(lines, 1)
        self.operators = [_operator(lines, number) for number in range(_number(lines))]
        self._derived_bits = sum(1 << variable for variable, layer in enumerate(layers) if layer != -1)
        self._defaults = defaults & self._derived_bits
        self._axioms = _axioms(lines, layers)
        self._groups = _grouped(self.operators)
        self.initial: State = self._with_derived(defaults)

    def applicable(self, state: State) -> list[Operator]:
        """Operators whose conditions hold in `state`, in the task's order."""
        found = [
            operator
            for bit, operators in self._groups
            if state & bit == bit
            for operator in operators
            if operator.condition.holds(state)
        ]
        return sorted(found, key=lambda operator: operator.number)

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
        state = state & ~self._derived_bits | self._defaults
        for axioms in self._axioms:
            before = -1
            while before != state:
                before = state
                for axiom in axioms:
                    if axiom.condition.holds(state):
                        state = state | axiom.bit if axiom.value else state & ~axiom.bit
        return state


def _skip(lines: Iterator[str], count: int) -> None:
    for _ in range(count):
        next(lines)


def _skip_past(lines: Iterator[str], mark: str) -> None:
    for line in lines:
        if line == mark:
            return
    raise ValueError(f"a task without {mark}")


def _number(lines: Iterator[str]) -> int:
    return int(next(lines))


def _pairs(lines: Iterator[str]) -> list[tuple[int, int]]:
    """(variable, value) pairs, one a line, after a line with their number."""
    return [(int(variable), int(value)) for variable, value in (next(lines).split() for _ in range(_number(lines)))]


def _atom(values: int, first: str, second: str) -> str:
    atom = first.removeprefix("Atom ")
    if values != 2 or (first, second) != (f"Atom {atom}", f"NegatedAtom {atom}"):
        raise ValueError(f"a variable that is not an atom and its negation: {first}, {second}")
    return atom


def _condition(pairs: Iterable[tuple[int, int]]) -> Condition:
    """Value 0 is the atom, value 1 its negation."""
    true = false = 0
    for variable, value in pairs:
        if value == 0:
            true |= 1 << variable
        else:
            false |= 1 << variable
    return Condition(true, false)


def _operator(lines: Iterator[str], number: int) -> Operator:
    _skip(lines, 1)
    name = next(lines)
    required = _pairs(lines)
    effects = []
    for _ in range(_number(lines)):
        conditions, *numbers = map(int, next(lines).split())
        *condition, variable, before, after = numbers
        if before != -1:
            required.append((variable, before))
        pairs = [(condition[i], condition[i + 1]) for i in range(0, 2 * conditions, 2)]
        effects.append(Effect(_condition(pairs), variable, after == 0))
    _skip(lines, 2)
    return Operator(number, name, _condition(required), tuple(effects))


def _axioms(lines: Iterator[str], layers: list[int]) -> list[list[_Axiom]]:
    """The axioms by layer."""
    by_layer: defaultdict[int, list[_Axiom]] = defaultdict(list)
    for _ in range(_number(lines)):
        _skip(lines, 1)
        condition = _condition(_pairs(lines))
        variable, _, after = map(int, next(lines).split())
        _skip(lines, 1)
        by_layer[layers[variable]].append(_Axiom(condition, 1 << variable, after == 0))
    return [axioms for _, axioms in sorted(by_layer.items())]


def _grouped(operators: list[Operator]) -> list[tuple[int, list[Operator]]]:
    """Operators by the atom of their condition that most operators share: in ALFWorld, where the agent is."""
    shared = Counter(bit for operator in operators for bit in _bits(operator.condition.true))
    groups: defaultdict[int, list[Operator]] = defaultdict(list)
    for operator in operators:
        groups[max(_bits(operator.condition.true), key=lambda bit: (shared[bit], bit), default=0)].append(operator)
    return list(groups.items())


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest
        mask ^= lowest
