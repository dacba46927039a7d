"""ALFWorld's games: textworld's grammar and Fast Downward's translation, with everything remembered that repeats.

Stock textworld (`PddlEnv`) answers an action by applying it in Fast Downward's library, deriving the feedback from the
grammar, and deriving the command of each applicable operator. All three depend only on the state, and of the state only
on the atoms that a precondition, an axiom or the goal reads, and on the facts that the grammar queries. So a game is a
graph: a node for each state that an episode has been in, an edge for each command that was played there. Episodes of
one game share its graph. A command that a node does not list changes nothing.

Texts, lists of commands, rewards and endings are those of stock to the byte: `tests/test_envs_engine.py` compares them.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from textworld.generator.game import EntityInfo
from textworld.logic import Placeholder, Variable

from paw_bench.envs.alfworld.facts import Difference, FactState, fact_of
from paw_bench.envs.alfworld.package import Demangler
from paw_bench.envs.alfworld.sas import Operator, SasTask, State
from paw_bench.envs.alfworld.textgen import logic_of
from paw_bench.envs.alfworld.translation import translation_of

NOTHING_HAPPENS = "Nothing happens."
_GAMES_KEPT = 32
_QUERIED_PREDICATE = re.compile(r"([a-z][\w@-]*)\s*\(")
_QUERIED_VARIABLE = re.compile(r"(\w+)\s*:")


class Node:
    """One state of a game."""

    __slots__ = ("admissible", "difference", "edges", "operators", "state", "won")

    def __init__(self, state: State, difference: Difference, operators: dict[str, Operator], won: bool) -> None:
        self.state = state
        self.difference = difference
        """Of the facts that the grammar queries."""
        self.operators = operators
        """Command -> operator."""
        self.admissible = tuple(sorted(operators))
        self.won = won
        self.edges: dict[str, tuple[str, Node]] = {}
        """Command -> (feedback, node) of the commands that were played."""


class Game:
    """One game file: its logic, its names, and the states that were seen."""

    def __init__(self, path: Path, translations: Path | None) -> None:
        data = orjson.loads(path.read_bytes())
        domain, grammar = data["pddl_domain"], data["grammar"]
        translation = translation_of(domain, data["pddl_problem"], translations)
        self._task = SasTask(translation.task)
        self._logic = logic_of(domain, grammar)
        self._parameters = {
            action: [Placeholder(name, kind) for name, kind in parameters]
            for action, parameters in translation.parameters.items()
        }
        self._shown = {
            action: _arguments_shown(self._logic.actions[action].template, parameters)
            for action, parameters in self._parameters.items()
            if action in self._logic.actions
        }

        atoms = [fact_of(atom) for atom in translation.task.atoms]
        true_at_first = [fact for variable, fact in enumerate(atoms) if self._task.initial >> variable & 1]
        self.initial_facts = frozenset([*translation.facts, *true_at_first])
        queried = frozenset(_QUERIED_PREDICATE.findall(grammar.lower()))
        self.facts = FactState(self._logic, translation.objects, translation.types, self.initial_facts, queried)
        self.entities = _named_entities(self.facts)
        self._atoms = atoms
        self._read = sum(1 << variable for variable, fact in enumerate(atoms) if fact[0] in translation.read)

        self._commands: dict[int, str] = {}
        self._derived_commands: dict[tuple[str, ...], str] = {}
        self._nodes: dict[tuple[State, Difference], Node] = {}
        self.opening = self._derive("#intro#", {})
        self.root = self._node(self._task.initial, frozenset())

    def play(self, node: Node, command: str) -> tuple[str, Node]:
        """Feedback and next node of a command, which may be any text."""
        if command not in node.operators:
            return NOTHING_HAPPENS, node
        if command not in node.edges:
            node.edges[command] = self._expand(node, node.operators[command])
        return node.edges[command]

    def _expand(self, node: Node, operator: Operator) -> tuple[str, Node]:
        # As in stock, the facts take all effects in turn; only the state asks for their conditions.
        effects = [
            (predicate if effect.value else f"not_{predicate}", arguments)
            for effect in operator.effects
            for predicate, arguments in [self._atoms[effect.variable]]
        ]
        difference = self.facts.after(node.difference, effects)
        self.facts.move_to(difference)
        action, mapping = self._action(operator)
        try:
            feedback = self._derive(action.feedback_rule, mapping)
        except ValueError:
            feedback = NOTHING_HAPPENS  # as stock: the action counts, but its text cannot be derived
        return feedback, self._node(self._task.after(node.state, operator), difference)

    def _node(self, state: State, difference: Difference) -> Node:
        key = (state & self._read, difference)
        if key not in self._nodes:
            operators: dict[str, Operator] = {}
            for operator in self._task.applicable(state):
                operators.setdefault(self._command(operator), operator)
            self._nodes[key] = Node(state, difference, operators, self._task.goal_holds(state))
        return self._nodes[key]

    def _command(self, operator: Operator) -> str:
        if operator.number not in self._commands:
            name, *arguments = operator.name
            shown = (name, *(arguments[index] for index in self._shown[name]))
            if shown not in self._derived_commands:
                action, mapping = self._action(operator)
                names = {identifier: entity.name for identifier, entity in self.entities.items()}
                # Command templates query only where receptacles are, which never changes.
                self._derived_commands[shown] = self._derive(action.template, mapping).format(**names)
            self._commands[operator.number] = self._derived_commands[shown]
        return self._commands[operator.number]

    def _action(self, operator: Operator) -> tuple[Any, dict[Placeholder, Variable]]:
        name, *arguments = operator.name
        # The name gives the action's own parameters; those of its quantifiers come after them.
        pairs = zip(self._parameters[name], arguments, strict=False)
        mapping = {placeholder: Variable(argument, placeholder.type) for placeholder, argument in pairs}
        return self._logic.actions[name], mapping

    def _derive(self, rule: str, mapping: Mapping[Placeholder, Variable]) -> str:
        context = {
            "state": self.facts,
            "variables": {holder.name: self.entities[variable.name] for holder, variable in mapping.items()},
            "mapping": mapping,
            "entity_infos": self.entities,
        }
        text: str = self._logic.grammar.derive(rule, context)
        return text


class Engine:
    """The games of a process; those used last are kept. `translations`: folder of their cache, or None."""

    def __init__(self, translations: Path | None) -> None:
        self._translations = translations
        self._games: OrderedDict[Path, Game] = OrderedDict()

    def open(self, path: Path) -> Game:
        """The game of a game.tw-pddl file."""
        if path not in self._games:
            self._games[path] = Game(path, self._translations)
            if len(self._games) > _GAMES_KEPT:
                self._games.popitem(last=False)
        self._games.move_to_end(path)
        return self._games[path]


def _arguments_shown(template: str, parameters: list[Placeholder]) -> list[int]:
    """Which arguments of an action can change the command that its template gives."""
    names = [parameter.name for parameter in parameters]
    if not set(_QUERIED_VARIABLE.findall(template)) <= set(names):
        return list(range(len(names)))  # a query looks for things that no argument is: all arguments limit it
    words = set(re.findall(r"\w+", template))
    return [index for index, name in enumerate(names) if name in words]


def _named_entities(state: FactState) -> dict[str, EntityInfo]:
    """Every thing of the game under its PDDL name, with the name that ALFWorld shows."""
    entities = {
        variable.name: EntityInfo(variable.name, variable.type) for fact in state.facts for variable in fact.arguments
    }
    names = Demangler(game_infos=entities)
    for entity in entities.values():
        entity.name = names.demangle_alfred_name(entity.id)
        entity.definite, entity.indefinite = "the", "a"
    return entities
