"""textworld's PddlEnv without the work that it repeats; every text and every list stays the same to the byte.

Stock parses the grammar at every step, copies a template for each admissible command, and translates PDDL four times an
episode. Here the parses and the command strings are remembered and the translation comes from `translation.py`. The
translation for the planner is not made at all: nobody asks for `policy_commands`.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import fast_downward
import textworld
from textworld.envs.pddl import logic as pddl_logic
from textworld.envs.pddl import textgen
from textworld.envs.pddl.pddl import PddlEnv
from textworld.logic import Action, Placeholder, Proposition, Rule, Type, Variable

from paw_bench.envs.alfworld.package import AlfredDemangler, AlfredInfos
from paw_bench.envs.alfworld.translation import Translation, translation_of


def make_engine(translations: Path | None) -> AlfredInfos:
    """A stock-compatible environment (load, reset, step) as ALFWorld wraps it; `translations` is the cache's folder."""
    infos = textworld.EnvInfos(admissible_commands=True, won=True)
    return AlfredInfos(AlfredDemangler(CachedPddlEnv(infos, translations)))


@functools.cache
def _remember_parses() -> None:
    """Make textworld's two parsers answer a text that they have seen from memory (for the whole process, once)."""
    parse = textgen._parse_and_convert
    known: dict[tuple[str, Any], Any] = {}

    def parse_once(text: str, rule_name: Any = None, **options: Any) -> Any:
        key = (text, rule_name)
        if key not in known:
            known[key] = parse(text, rule_name=rule_name, **options)
        return copy.deepcopy(known[key])  # the caller writes contexts into the symbols

    textgen._parse_and_convert = parse_once
    parse_query = Rule.parse_conjunctive_query.__func__
    Rule.parse_conjunctive_query = classmethod(functools.lru_cache(maxsize=None)(parse_query))


class CachedPddlState(pddl_logic.PddlState):
    """PddlState made from a ready translation."""

    def __init__(self, library: Any, translation: Translation, logic: pddl_logic.GameLogic) -> None:
        # Neither parent's constructor: one translates, the other refuses this logic.
        self._facts = defaultdict(set)
        self._vars_by_name = {}
        self._vars_by_type = defaultdict(set)
        self._var_counts = Counter()
        self._logic = logic
        self.downward_lib = library
        self.name2type = translation.objects
        self._parameters = {
            action: [Placeholder(name, kind) for name, kind in parameters]
            for action, parameters in translation.parameters.items()
        }
        for name, supertypes in translation.types:
            with contextlib.suppress(ValueError):  # known since the last reset
                logic.types.add(Type(name, supertypes))
        library.load_sas(translation.sas.encode())
        self.add_facts(
            Proposition(predicate, [Variable(name, self.name2type[name]) for name in arguments])
            for predicate, arguments in translation.facts
        )
        atoms = (pddl_logic.Atom * library.get_state_size())()
        library.get_state(atoms)
        facts = [atom.get_fact(self.name2type) for atom in atoms]
        self.add_facts(fact for fact in facts if not fact.is_negation)

    def all_applicable_actions(self) -> list[Action]:
        """As stock, without a new Placeholder for every parameter of every action."""
        operators = (fast_downward.Operator * self.downward_lib.get_applicable_operators_count())()
        self.downward_lib.get_applicable_operators(operators)
        self._operators = {operator.id: operator for operator in operators}
        actions: dict[str, Action] = {}
        for operator in operators:
            signature = operator.name
            if signature in actions:
                continue
            name, *arguments = signature.split()
            # The operator gives the action's own parameters; those of quantifiers come after them.
            action = Action(name=name, preconditions=[], postconditions=[])
            action.id = operator.id
            action.mapping = {
                placeholder: Variable(argument, placeholder.type)
                for placeholder, argument in zip(self._parameters[name], arguments, strict=False)
            }
            action.command_template = self._logic.actions[name].template
            action.feedback_rule = self._logic.actions[name].feedback_rule
            actions[signature] = action
        return list(actions.values())


class CachedPddlEnv(PddlEnv):
    """PddlEnv with remembered parses and command strings. `translations`: the folder of the cache, or None."""

    def __init__(self, infos: textworld.EnvInfos, translations: Path | None) -> None:
        _remember_parses()
        super().__init__(infos)
        self._folder = translations

    def load(self, filename: str) -> None:
        """Read a game file and translate it (or find its translation)."""
        data = json.loads(Path(filename).read_bytes())
        self._game_file = filename
        self._game_data = data
        self.walkthrough = data.get("walkthrough")
        self._logic = pddl_logic.GameLogic(domain=data["pddl_domain"], grammar=data["grammar"])
        self._translation = translation_of(data["pddl_domain"], data["pddl_problem"], self._folder)
        self._commands: dict[tuple[str, ...], str] = {}
        self._pddl_state = self._new_state()
        self._entity_infos = self._get_entity_infos()

    def _new_state(self) -> CachedPddlState:
        return CachedPddlState(self.downward_lib, self._translation, self._logic)

    def reset(self) -> textworld.GameState:
        """Start the loaded game again."""
        self._pddl_state = self._new_state()
        self.prev_state = None
        self.state = textworld.GameState()
        self._last_action = None
        self._moves = 0
        self.state.feedback = self._logic.grammar.derive("#intro#", self._context({}))
        self.state.raw = self.state.feedback
        self._gather_infos()
        return self.state

    def _gather_infos(self) -> None:
        self.state["won"] = self._pddl_state.check_goal()
        self.state["lost"] = False
        self.state["_entity_infos"] = self._entity_infos
        self.state["_facts"] = list(self._pddl_state.facts)
        self.state["last_action"] = None
        self.state["_last_action"] = self._last_action
        actions = self._pddl_state.all_applicable_actions()
        commands = [self._command(action) for action in actions]
        self.state["_valid_actions"] = actions
        self.state["_valid_commands"] = commands
        self.state["admissible_commands"] = sorted(set(commands))

    def _command(self, action: Action) -> str:
        """The command of an action; its templates read only facts that never change."""
        key = (action.name, *(variable.name for variable in action.mapping.values()))
        if key not in self._commands:
            template = self._logic.grammar.derive(action.command_template, self._context(action.mapping))
            names = {identifier: info.name for identifier, info in self._entity_infos.items()}
            self._commands[key] = template.format(**names)
        return self._commands[key]

    def _context(self, mapping: dict[Placeholder, Variable]) -> dict[str, Any]:
        return {
            "state": self._pddl_state,
            "facts": list(self._pddl_state.facts),
            "variables": {holder.name: self._entity_infos[variable.name] for holder, variable in mapping.items()},
            "mapping": mapping,
            "entity_infos": self._entity_infos,
        }
