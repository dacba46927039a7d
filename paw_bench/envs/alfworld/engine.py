"""ALFWorld's games on textworld's grammar and Fast Downward's simulator, with everything remembered that repeats.

Stock textworld (`PddlEnv`) answers an action by applying it in Fast Downward's library, deriving the feedback from the
grammar, and deriving the command of each applicable operator. All three depend on the facts of the state only, and only
on those that a precondition, an axiom, the goal or the grammar reads. So a game is a graph: a node for each state that
an episode has been in, an edge for each command that was played there. Episodes of one game share its graph; only an
edge that nobody has taken before needs the simulator, which is then brought to that state. A command that the node does
not list changes nothing.

Texts, lists of commands, rewards and endings are those of stock to the byte: `tests/test_envs_engine.py` compares them.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from textworld.envs.pddl import logic as pddl_logic
from textworld.generator.game import EntityInfo
from textworld.logic import Placeholder, Variable

from paw_bench.envs.alfworld.package import Demangler
from paw_bench.envs.alfworld.state import Difference, FactState, Operator, Simulator
from paw_bench.envs.alfworld.textgen import speed_up
from paw_bench.envs.alfworld.translation import translation_of

NOTHING_HAPPENS = "Nothing happens."
_GAMES_KEPT = 32
_QUERIED_PREDICATE = re.compile(r"\b(?:not_)?([a-z][\w@-]*)\s*\(")


class Node:
    """One state of a game."""

    __slots__ = ("admissible", "difference", "edges", "operators", "origin", "won")

    def __init__(
        self,
        difference: Difference,
        operators: dict[str, Operator],
        won: bool,
        origin: tuple[Node, Operator] | None,
    ) -> None:
        self.difference = difference
        self.operators = operators
        """Command -> operator."""
        self.admissible = tuple(sorted(operators))
        self.won = won
        self.origin = origin
        """The node and the operator that led here first; None for the initial state."""
        self.edges: dict[str, tuple[str, Node]] = {}
        """Command -> (feedback, node) of the commands that were played."""


class Game:
    """One game file: its logic, its names, and the states that were seen."""

    def __init__(self, path: Path, simulator: Simulator, translations: Path | None) -> None:
        data = orjson.loads(path.read_bytes())
        domain, grammar = data["pddl_domain"], data["grammar"]
        translation = translation_of(domain, data["pddl_problem"], simulator.library, translations)
        read = translation.read | set(_QUERIED_PREDICATE.findall(grammar.lower()))
        self._logic = pddl_logic.GameLogic(domain=domain, grammar=grammar)
        self._parameters = {
            action: [Placeholder(name, kind) for name, kind in parameters]
            for action, parameters in translation.parameters.items()
        }
        self.state = FactState(translation, self._logic, read)
        self.sas = translation.sas.encode()
        self.entities = _named_entities(self.state)
        self._nodes: dict[Difference, Node] = {}
        self._commands: dict[str, str] = {}

        simulator.load(self.sas)
        self.opening = self._derive("#intro#", {})
        self.root = self._node(frozenset(), simulator, None)

    def expand(self, node: Node, command: str, simulator: Simulator) -> tuple[str, Node]:
        """Play `command` with the simulator, which is at `node`: the feedback, and the node where it is then."""
        operator = node.operators[command]
        difference = self.state.after(node.difference, simulator.apply(operator))
        self.state.move_to(difference)
        action, mapping = self._action(operator)
        try:
            feedback = self._derive(action.feedback_rule, mapping)
        except ValueError:
            feedback = NOTHING_HAPPENS  # as stock: the action counts, its text cannot be derived
        if difference not in self._nodes:
            self._node(difference, simulator, (node, operator))
        return feedback, self._nodes[difference]

    def _node(self, difference: Difference, simulator: Simulator, origin: tuple[Node, Operator] | None) -> Node:
        operators: dict[str, Operator] = {}
        for operator in simulator.applicable():
            operators.setdefault(self._command(operator), operator)
        node = Node(difference, operators, simulator.goal_holds(), origin)
        self._nodes[difference] = node
        return node

    def _command(self, operator: Operator) -> str:
        # Command templates query only where receptacles are, which never changes.
        known = self._commands.get(operator.signature)
        if known is None:
            action, mapping = self._action(operator)
            names = {identifier: entity.name for identifier, entity in self.entities.items()}
            # stock formats the derived template with the names of all entities
            known = self._derive(action.template, mapping).format(**names)
            self._commands[operator.signature] = known
        return known

    def _action(self, operator: Operator) -> tuple[Any, dict[Placeholder, Variable]]:
        name, *arguments = operator.signature.split()
        # The signature gives the action's own parameters; those of its quantifiers come after them.
        pairs = zip(self._parameters[name], arguments, strict=False)
        mapping = {placeholder: Variable(argument, placeholder.type) for placeholder, argument in pairs}
        return self._logic.actions[name], mapping

    def _derive(self, rule: str, mapping: Mapping[Placeholder, Variable]) -> str:
        context = {
            "state": self.state,
            "facts": list(self.state.facts),
            "variables": {holder.name: self.entities[variable.name] for holder, variable in mapping.items()},
            "mapping": mapping,
            "entity_infos": self.entities,
        }
        text: str = self._logic.grammar.derive(rule, context)
        return text


class Engine:
    """All games of a process. `translations` is the folder of the cache of translations, None for no cache."""

    def __init__(self, translations: Path | None) -> None:
        speed_up()
        self._translations = translations
        self._simulator = Simulator()
        self._at: Node | None = None
        self._games: OrderedDict[Path, Game] = OrderedDict()

    def open(self, path: Path) -> Game:
        """The game of a game.tw-pddl file; the games used last are kept."""
        if path not in self._games:
            self._at = None
            game = Game(path, self._simulator, self._translations)
            self._at = game.root
            self._games[path] = game
            if len(self._games) > _GAMES_KEPT:
                self._games.popitem(last=False)
        self._games.move_to_end(path)
        return self._games[path]

    def play(self, game: Game, node: Node, command: str) -> tuple[str, Node]:
        """Feedback and next state of a command in a state of `game`."""
        if command not in node.operators:
            return NOTHING_HAPPENS, node
        if command not in node.edges:
            self._go_to(game, node)
            self._at = None
            feedback, following = game.expand(node, command, self._simulator)
            self._at = following
            node.edges[command] = feedback, following
        return node.edges[command]

    def _go_to(self, game: Game, node: Node) -> None:
        """Bring the simulator to `node`, onwards from where it is when that lies on the way, else from the start."""
        way = []
        behind = node
        while behind is not self._at and behind.origin is not None:
            behind, operator = behind.origin
            way.append(operator)
        if behind is not self._at:
            self._simulator.load(game.sas)
        self._at = None
        for operator in reversed(way):
            self._simulator.apply(operator)
        self._at = node


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
