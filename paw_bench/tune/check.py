"""Checks over a whole study: which arm searches which key, that grids are large enough, that arms are treated alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from paw_bench.config.effects import without_effect
from paw_bench.config.experiment_file import ExperimentFile
from paw_bench.config.merge import differences, split
from paw_bench.config.yaml_reader import Document
from paw_bench.errors import ConfigError
from paw_bench.tune.parameters import check_conditions, make_parameters, refusal
from paw_bench.tune.space import Parameter, Space
from paw_bench.tune.spec import StudySpec
from paw_bench.tune.study_file import StudyFile, resolve_at

_MEASURED = ("environment", "evaluation")
"""Sections that must be the same in arms that are compared: the games and how they are played."""


def make_spaces(spec: StudySpec, document: Document, file: ExperimentFile) -> dict[str, Space]:
    """Arm -> its space: the shared keys that it reads, then its own.

    Raises ConfigError where a key is set elsewhere too, no arm reads it, or it is idle at some value of another key.
    """
    shared = make_parameters(spec.space, document, ("space",))
    spaces: dict[str, Space] = {}
    for arm, entry in spec.arms.items():
        own = make_parameters(entry.space, document, ("arms", arm, "space")) if entry else []
        known = [parameter for parameter in shared if parameter.key not in {mine.key for mine in own}] + own
        check_conditions(known, document)
        for parameter in known:
            _refuse_second_place(parameter, file, document)
        read = _read(known, arm, file, document)
        idle = next((parameter for parameter in own if parameter not in read), None)
        if idle is not None:
            problem = f"has no effect in the arm {arm!r}"
            raise refusal(document, idle.place, idle.words(), problem, "remove it")
        _refuse_idle_values(read, arm, file, document)
        spaces[arm] = Space(read)
    used = {parameter.key for space in spaces.values() for parameter in space.parameters}
    for parameter in shared:
        if parameter.key not in used:
            problem = "no arm reads this key"
            raise refusal(document, parameter.place, parameter.words(), problem, "remove it, or tune an arm that does")
    for arm, space in spaces.items():
        if not space.parameters:
            remedy = "search a key that it reads, or leave the arm out"
            raise refusal(document, ("arms", arm), arm, "the arm reads none of the searched keys", remedy)
    return spaces


def check_grid(study: StudyFile) -> None:
    """With the grid sampler, raise ConfigError where a range is endless or an arm has fewer points than trials."""
    if study.spec.sampler.kind != "grid":
        return
    for arm, space in study.spaces.items():
        for parameter in space.parameters:
            if parameter.values is None:
                problem = "a grid needs values that can be counted"
                remedy = "give a step or choices, or use another sampler"
                raise refusal(study.document, parameter.place, parameter.words(), problem, remedy)
        points = sum(1 for _ in islice(space.points(), study.trials[arm]))
        if points < study.trials[arm]:
            problem = f"the grid of the arm {arm!r} has only {points} points"
            remedy = f"give trials: {points}" + (", or fair: false and trials for each arm" * study.spec.fair)
            raise refusal(study.document, ("trials",), study.trials[arm], problem, remedy)


def check_fair(study: StudyFile) -> None:
    """Raise ConfigError, naming the key, where one arm gets more trials, another space or other games than another."""
    document, spec = study.document, study.spec
    for arm, entry in spec.arms.items():
        if entry is not None and entry.trials not in (None, spec.trials):
            problem = f"a fair study gives every arm the same number of trials, here {spec.trials}"
            raise refusal(document, ("arms", arm, "trials"), entry.trials, problem, "remove it, or set fair to false")
        for parameter in make_parameters(entry.space, document, ("arms", arm, "space")) if entry else []:
            others = [other for other in spec.arms if other != arm and _reads(study, other, parameter)]
            if others:
                problem = f"the arm {others[0]!r} reads this key too, and a fair study searches it alike in both"
                raise refusal(document, parameter.place, parameter.words(), problem, "write it under space")
    first, *rest = study.trial.arms
    base = study.trial.resolve(first, {}).model_dump()
    for arm in rest:
        config = study.trial.resolve(arm, {}).model_dump()
        found = differences({key: base[key] for key in _MEASURED}, {key: config[key] for key in _MEASURED})
        for key, (one, other) in found.items():
            where, written = study.trial.locate(key, arm, {})
            problem = f"a fair study plays the same games in every arm, and {first!r} has {one!r}"
            raise ConfigError(file=where, key=written, value=other, problem=problem, remedy="let both have the same")


def _reads(study: StudyFile, arm: str, parameter: Parameter) -> bool:
    """Whether the arm would read the key, by itself or where a key that it searches makes it."""
    searched = list(study.spaces[arm].parameters)
    return bool(_read([*(other for other in searched if other.key != parameter.key), parameter], arm, study.trial,
                      study.document, only=parameter))  # fmt: skip


def _read(
    parameters: Sequence[Parameter],
    arm: str,
    file: ExperimentFile,
    document: Document,
    *,
    only: Parameter | None = None,
) -> list[Parameter]:
    """The parameters (or `only` one of them) that the arm reads where their conditions hold."""
    read: dict[str, Parameter] = {}
    for parameter in parameters:
        if all(key in read for key in parameter.when):
            values = {**_context(parameter, read), parameter: _first(parameter)}
            if without_effect(resolve_at(file, arm, values, document), split(parameter.key)) is None:
                read[parameter.key] = parameter
    return [parameter for parameter in read.values() if only is None or parameter is only]


def _refuse_idle_values(read: Sequence[Parameter], arm: str, file: ExperimentFile, document: Document) -> None:
    """Two trials that differ in a key that neither reads would be the same run under two names."""
    known = {parameter.key: parameter for parameter in read}
    for parameter in read:
        for other in read:
            if other is parameter or other.key in parameter.when or parameter.key in other.when:
                continue
            for value in other.choices:
                values = {**_context(other, known), **_context(parameter, known), other: value}
                config = resolve_at(file, arm, {**values, parameter: _first(parameter)}, document)
                reason = without_effect(config, split(parameter.key))
                if reason is not None:
                    problem = f"is not read where {other.key} is {value}: {reason}"
                    remedy = f"search it under a condition: when: {{{other.key}: ...}}"
                    raise refusal(document, parameter.place, parameter.words(), problem, remedy)


def _context(parameter: Parameter, known: Mapping[str, Parameter]) -> dict[Parameter, Any]:
    """Values of other keys at which the parameter is searched."""
    context: dict[Parameter, Any] = {}
    for key, values in parameter.when.items():
        context |= {**_context(known[key], known), known[key]: values[0]}
    return context


def _first(parameter: Parameter) -> Any:
    values = parameter.values
    return values[0] if values else parameter.distribution.low  # type: ignore[attr-defined]


def _refuse_second_place(parameter: Parameter, file: ExperimentFile, document: Document) -> None:
    key = split(parameter.key)
    for layer in file.above:
        if any(own[: len(key)] == key for own in layer.named):
            where = layer.origin.document.file
            problem = f"the key is searched, and set by {'--set' if where == '--set' else 'while_tuning'} as well"
            raise refusal(document, parameter.place, parameter.words(), problem, "set it in one place only")
