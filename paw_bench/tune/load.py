"""Load a study file: read, check, apply scale and overrides; refuse what makes no sense before a trial starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from paw_bench.config.experiment_file import ExperimentFile
from paw_bench.config.layers import Origin, make_layer
from paw_bench.config.load import load_experiment_file, name_of
from paw_bench.config.messages import closest
from paw_bench.config.schema import ExperimentConfig
from paw_bench.config.spec import check_spec
from paw_bench.config.yaml_reader import Document, read_yaml
from paw_bench.errors import ConfigError
from paw_bench.tune.check import check_fair, check_grid, make_spaces
from paw_bench.tune.parameters import refusal
from paw_bench.tune.spec import StudySpec
from paw_bench.tune.study_file import StudyFile

PANEL = "tune"
_NO_FILE = "check the path; `paw-bench init FOLDER` copies the shipped study file"


def load_study_file(
    path: Path, *, scale: str | None = None, overrides: Iterable[str] = (), trials: int | None = None
) -> StudyFile:
    """The checked study file at `path`; `trials` replaces the number of trials of every arm.

    Layers of a trial, lowest first: those of the experiment file, `while_tuning`, the `overrides`, the tune panel, the
    trial's values. Raises ConfigError naming file, line, key, value and remedy.
    """
    document = read_yaml(path, what="study file", remedy=_NO_FILE)
    spec = check_spec(document, StudySpec)
    overrides = tuple(overrides)
    _refuse_lists(overrides)
    _check_seeds(spec, document)
    experiment = load_experiment_file(path.parent / spec.experiment, scale=scale or spec.scale, overrides=overrides)
    trial = _as_trials_run_it(spec, document, experiment, path)
    own = {arm: entry.trials for arm, entry in spec.arms.items() if entry is not None and entry.trials is not None}
    budget = {arm: trials or own.get(arm, spec.trials) for arm in spec.arms}
    study = StudyFile(spec, document, experiment, trial, make_spaces(spec, document, trial), budget)
    _check_pruner(study)
    check_grid(study)
    if spec.fair:
        check_fair(study)
    return study


def _as_trials_run_it(spec: StudySpec, document: Document, experiment: ExperimentFile, path: Path) -> ExperimentFile:
    if experiment.axes:
        keys = ", ".join(axis.key for axis in experiment.axes)
        problem = f"the experiment has axes: {keys}"
        raise refusal(document, ("experiment",), spec.experiment, problem, "tune an experiment without axes")
    if not spec.arms:
        raise refusal(document, ("arms",), spec.arms, "there is no arm", "name at least one")
    for arm in spec.arms:
        if arm not in experiment.arms:
            near = closest(arm, experiment.arms)
            problem = f"{spec.experiment} has no such arm" + (f": did you mean {near!r}?" if near else "")
            raise refusal(document, ("arms", arm), arm, problem, f"arms: {', '.join(experiment.arms)}")
        if experiment.resolve(arm, {}).evaluation.panel == PANEL:
            where, key = experiment.locate(("evaluation", "panel"), arm, {})
            remedy = "let the experiment report on valid_seen or valid_unseen"
            problem = "trials are judged on this panel, so the experiment must not report on it"
            raise ConfigError(file=where, key=key, value=PANEL, problem=problem, remedy=remedy)
    for part in spec.while_tuning.keys() & {"seed", "execution"}:
        place = ("while_tuning", part)
        raise refusal(document, place, spec.while_tuning[part], "is no setting of trials", "use `seeds`, or --set")
    panel = Origin(Document("paw-bench tune", None))
    return replace(
        experiment,
        path=path,
        text=document.text,
        name=spec.name or name_of(path),
        description=spec.description,
        arms={arm: experiment.arms[arm] for arm in spec.arms},
        reference=experiment.reference if experiment.reference in spec.arms else next(iter(spec.arms)),
        comparisons=(),
        seeds=tuple(spec.seeds),
        above=(
            make_layer(spec.while_tuning, Origin(document, ("while_tuning",)), ExperimentConfig),
            *experiment.above,
            make_layer({"evaluation": {"panel": PANEL}}, panel, ExperimentConfig),
        ),
        tuned=None,
    )


def _refuse_lists(overrides: Iterable[str]) -> None:
    for text in overrides:
        key, _, value = text.partition("=")
        if key.strip() in ("arms", "seeds"):
            problem = "the study file says this"
            raise ConfigError(file="--set", key=key, value=value, problem=problem, remedy="change it there")


def _check_seeds(spec: StudySpec, document: Document) -> None:
    twice = [seed for number, seed in enumerate(spec.seeds) if seed in spec.seeds[:number]]
    if twice:
        raise refusal(document, ("seeds",), spec.seeds, f"the seed {twice[0]} is there twice", "give each seed once")


def _check_pruner(study: StudyFile) -> None:
    if study.spec.pruner.kind == "none":
        return
    for arm in study.trial.arms:
        if study.trial.resolve(arm, {}).evaluation.every is None:
            problem = f"trials of the arm {arm!r} are not evaluated on the way: there is nothing to judge them by"
            remedy = "set evaluation.every under while_tuning"
            raise refusal(study.document, ("pruner", "kind"), study.spec.pruner.kind, problem, remedy)
