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
from pathlib import Path

import orjson

from paw_bench.envs.alfworld.facts import Bindings, Difference, Fact, Facts
from paw_bench.envs.alfworld.grammar import Entity, Reference, Texts, grammar_of
from paw_bench.envs.alfworld.sas import Operator, SasTask, State
from paw_bench.envs.alfworld.translation import shown_names, translation_of

NOTHING_HAPPENS = "Nothing happens."
_WEIGHT_KEPT = 2000
"""Of the games that a process keeps, in states: about 15 MB."""
_GAME_WEIGHT = 300
"""What a game without its states takes, in states."""
# The games of alfworld 0.4 say `move`.
_PUT = re.compile(r"put (?P<object>.+) (?:in/on|in|on) (?P<receptacle>.+)")
_QUERIED_VARIABLE = re.compile(r"(\w+)\s*:")


class Commands:
    """What can be said in a state; many states share one."""

    __slots__ = ("admissible", "operators")

    def __init__(self, operators: dict[str, Operator]) -> None:
        self.operators = operators
        """Command -> operator."""
        self.admissible = tuple(sorted(operators))


class Node:
    """One state of a game."""

    __slots__ = ("admissible", "difference", "edges", "operators", "state", "won")

    def __init__(self, state: State, difference: Difference, commands: Commands, won: bool) -> None:
        self.state = state
        self.difference = difference
        """Of the facts that the grammar queries."""
        self.operators = commands.operators
        self.admissible = commands.admissible
        self.won = won
        self.edges: dict[str, tuple[str, Node]] = {}
        """Command -> (feedback, node) of the commands that were played."""


class Game:
    """One game file: its logic, its names, and the states that were seen."""

    def __init__(self, path: Path, translations: Path | None) -> None:
        data = orjson.loads(path.read_bytes())
        grammar = grammar_of(data["grammar"], translations)
        translation = translation_of(data["pddl_domain"], data["pddl_problem"], translations)
        self._task = SasTask(translation.task)
        self._actions = grammar.actions
        self._parameters = translation.parameters
        self._shown = {
            name: _arguments_shown(action.template, [parameter for parameter, _ in self._parameters[name]])
            for name, action in grammar.actions.items()
            if name in self._parameters
        }

        atoms = translation.task.atoms
        true_at_first = [fact for variable, fact in enumerate(atoms) if self._task.initial >> variable & 1]
        self.initial_facts = frozenset([*translation.facts, *true_at_first])
        self._facts = Facts(translation.objects, translation.types, self.initial_facts, grammar.queried)
        self.names = shown_names({thing for _, arguments in self.initial_facts for thing in arguments})
        """Things by their PDDL names -> the names that ALFWorld shows."""
        entities = {thing: Entity(thing, translation.objects[thing], name) for thing, name in self.names.items()}
        self._texts = Texts(grammar.rules, self._facts, entities)
        self._atoms = atoms
        self._read = sum(1 << variable for variable, fact in enumerate(atoms) if fact[0] in translation.read)

        self._commands: dict[tuple[int, ...], Commands] = {}
        """Under the numbers of their operators."""
        self._said: dict[int, str] = {}
        """Number of an operator -> its command."""
        self._derived_commands: dict[tuple[str, ...], str] = {}
        self._nodes: dict[tuple[State, Difference], Node] = {}
        self.opening = self._texts.derive([Reference("intro")], {})
        self.root = self._node(self._task.initial, frozenset())

    @property
    def weight(self) -> int:
        """Roughly its memory, in states."""
        return _GAME_WEIGHT + len(self._nodes)

    def forget(self) -> None:
        """Forget the states that were seen, which hold each other in memory. Episodes can go on."""
        for node in self._nodes.values():
            node.edges.clear()
        self._nodes.clear()

    def play(self, node: Node, command: str) -> tuple[str, Node]:
        """Feedback and next node of a command, which may be any text."""
        if command not in node.operators:
            return NOTHING_HAPPENS, node
        if command not in node.edges:
            node.edges[command] = self._expand(node, node.operators[command])
        return node.edges[command]

    def command(self, node: Node, action: str) -> str:
        """The command that an action of a player stands for at `node`.

        White space and case do not matter, and `put X in/on Y`, as published prompts have it, is `move X to Y`.
        """
        command = " ".join(action.lower().split())
        put = _PUT.fullmatch(command)
        if put and command not in node.operators:
            return f"move {put['object']} to {put['receptacle']}"
        return command

    def facts(self, node: Node) -> frozenset[Fact]:
        """The facts of a state, as far as the grammar queries them; those that never change are all there."""
        return self.initial_facts ^ node.difference

    def _expand(self, node: Node, operator: Operator) -> tuple[str, Node]:
        # As in stock, the facts take all effects in turn; only the state asks for their conditions.
        effects = [
            (predicate if effect.value else f"not_{predicate}", arguments)
            for effect in operator.effects
            for predicate, arguments in [self._atoms[effect.variable]]
        ]
        difference = self._facts.after(node.difference, effects)
        self._facts.move_to(difference)
        feedback = self._texts.derive(self._actions[operator.name[0]].feedback, self._bindings(operator))
        return feedback, self._node(self._task.after(node.state, operator), difference)

    def _node(self, state: State, difference: Difference) -> Node:
        key = (state & self._read, difference)
        if key not in self._nodes:
            commands = self._commands_of(self._task.applicable(state))
            self._nodes[key] = Node(state, difference, commands, self._task.goal_holds(state))
        return self._nodes[key]

    def _commands_of(self, applicable: list[Operator]) -> Commands:
        numbers = tuple(operator.number for operator in applicable)
        if numbers not in self._commands:
            operators: dict[str, Operator] = {}
            for operator in applicable:
                operators.setdefault(self._command(operator), operator)
            self._commands[numbers] = Commands(operators)
        return self._commands[numbers]

    def _command(self, operator: Operator) -> str:
        if operator.number not in self._said:
            name, *arguments = operator.name
            shown = (name, *(arguments[index] for index in self._shown[name]))
            if shown not in self._derived_commands:
                # Command templates query only where receptacles are, which never changes.
                command = self._texts.derive(self._actions[name].command, self._bindings(operator))
                self._derived_commands[shown] = command.format(**self.names)
            self._said[operator.number] = self._derived_commands[shown]
        return self._said[operator.number]

    def _bindings(self, operator: Operator) -> Bindings:
        name, *arguments = operator.name
        # The name gives the action's own parameters; those of its quantifiers come after them.
        pairs = zip(self._parameters[name], arguments, strict=False)
        return {(parameter, kind): (thing, kind) for (parameter, kind), thing in pairs}


class Engine:
    """The games of a process; those used last are kept. `translations`: folder of their cache, or None."""

    def __init__(self, translations: Path | None) -> None:
        self._translations = translations
        self._games: dict[Path, Game] = {}
        """Those used last come last."""

    def open(self, path: Path) -> Game:
        """The game of a game.tw-pddl file."""
        game = self._games.pop(path, None)
        if game is None or game.weight > _WEIGHT_KEPT:
            if game is not None:
                game.forget()
            game = Game(path, self._translations)
        self._games[path] = game
        while sum(each.weight for each in self._games.values()) > _WEIGHT_KEPT and len(self._games) > 1:
            self._games.pop(next(iter(self._games))).forget()
        return game


def _arguments_shown(template: str, names: list[str]) -> list[int]:
    """Which arguments of an action, whose parameters have `names`, can change the command that its template gives."""
    if not set(_QUERIED_VARIABLE.findall(template)) <= set(names):
        return list(range(len(names)))  # a query looks for things that no argument is: all arguments limit it
    words = set(re.findall(r"\w+", template))
    return [index for index, name in enumerate(names) if name in words]
