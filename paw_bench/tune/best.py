"""`best.yaml`: the experiment with the best settings of each arm, for `paw-bench sweep` as it is.

What was set for the trials only is left out, so the runs report on the experiment's own panel, never on the tune panel.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from paw_bench.config.layers import Origin, make_layer
from paw_bench.config.load import load_experiment_file
from paw_bench.config.merge import Delta, Key, leaves
from paw_bench.config.overrides import parse_overrides
from paw_bench.config.resources import shipped
from paw_bench.config.scales import available_scales
from paw_bench.config.schema import ExperimentConfig
from paw_bench.config.yaml_reader import Document, parse_yaml
from paw_bench.store.atomic import write_bytes
from paw_bench.sweep.plan import plan
from paw_bench.tune.load import PANEL
from paw_bench.tune.space import with_params
from paw_bench.tune.study_file import StudyFile, resolve_at
from paw_bench.tune.summary import ArmSummary

_HEAD = """\
# The experiment {experiment} with the best settings that the study {study} found, written by paw-bench tune.
# Run it with: paw-bench sweep {path}
# The study's scores are the best of many on the tune panel, and too high: these runs report on another panel.
"""


def write_best(study: StudyFile, summaries: Sequence[ArmSummary], folder: Path) -> list[Path]:
    """Write `best.yaml` with all arms, where each has a best trial, and `best/<arm>.yaml`; returns the files."""
    found = [summary for summary in summaries if summary.best is not None]
    files = [_write(study, [each], folder / "best" / f"{_slug(each.arm)}.yaml", _slug(each.arm)) for each in found]
    if len(found) == len(summaries):
        files.insert(0, _write(study, found, folder / "best.yaml", ""))
    return files


def _write(study: StudyFile, found: Sequence[ArmSummary], path: Path, suffix: str) -> Path:
    document = _document(study, found, suffix)
    head = _HEAD.format(experiment=study.spec.experiment, study=study.name, path=path)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    _bring_scale(study, path.parent)
    write_bytes(path, (head + text).encode())
    _prove(study, found, path)
    return path


def _document(study: StudyFile, found: Sequence[ArmSummary], suffix: str) -> dict[str, Any]:
    experiment = study.experiment
    written = parse_yaml(experiment.text, str(experiment.path)).data
    changes = parse_overrides(experiment.overrides)
    asked = {".".join(key): value for layer in changes.experiment for key, value in leaves(layer.delta)}
    arms = {}
    for each in found:
        delta = written["arms"][each.arm] or {}
        covered = {".".join(key) for key in _keys(delta)}
        above = {key: value for key, value in asked.items() if key in covered}
        arms[each.arm] = with_params(delta, {**above, **(each.best.params if each.best else {})})
    reference = experiment.reference if experiment.reference in arms else next(iter(arms))
    pairs = [list(pair) for pair in experiment.comparisons if set(pair) <= set(arms)]
    execution = written.get("execution") or {}
    for layer in changes.execution:
        execution = with_params(execution, {".".join(key): value for key, value in leaves(layer.delta)})
    return {
        "schema_version": 1,
        "name": "_".join(filter(None, [study.trial.name, "best", suffix.replace("-", "_")])),
        "description": f"{experiment.description} Settings of each arm chosen by the study {study.name}.".strip(),
        "scale": experiment.scale,
        # The base must not name what every arm sets: it would have no effect.
        "base": _without(with_params(written.get("base") or {}, asked), set.intersection(*map(_keys, arms.values()))),
        "reference": reference,
        "arms": arms,
        "seeds": list(experiment.seeds),
        **({"comparisons": pairs} if pairs else {}),
        **({"execution": execution} if execution else {}),
        "tuned": {
            "study": study.name,
            "panel": PANEL,
            "trials": {each.arm: each.budget for each in found},
            "seeds": list(study.spec.seeds),
            "scores": {each.arm: each.best.value for each in found if each.best},
        },
    }


def _keys(delta: Delta) -> set[Key]:
    """Every key that a delta sets, presets written out."""
    return set(make_layer(delta, Origin(Document("best.yaml", None)), ExperimentConfig).keys)


def _without(delta: Delta, keys: set[Key], above: Key = ()) -> Delta:
    kept: Delta = {}
    for key, value in delta.items():
        inner = _without(value, keys, (*above, key)) if isinstance(value, dict) else value
        if (*above, key) not in keys and inner != {}:
            kept[key] = inner
    return kept


def _bring_scale(study: StudyFile, folder: Path) -> None:
    """Copy a scale of the user's own beside the file, where it is looked for."""
    name = study.experiment.scale
    source = available_scales(study.experiment.path.parent)[name]
    if source.parent != shipped() / "experiments" / "scales":
        (folder / "scales").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / "scales" / source.name)


def _prove(study: StudyFile, found: Sequence[ArmSummary], path: Path) -> None:
    """Raise RuntimeError unless the file gives the arms of the experiment with the best trials' values."""
    file = load_experiment_file(path)
    plan(file)
    for each in found:
        assert each.best is not None
        parameters = {parameter.key: parameter for parameter in study.spaces[each.arm].parameters}
        values = {parameters[key]: value for key, value in each.best.params.items()}
        wanted = resolve_at(replace(study.experiment, tuned=None), each.arm, values, study.document)
        if file.resolve(each.arm, {}) != wanted:
            raise RuntimeError(f"{path}: the arm {each.arm!r} is not trial {each.best.number}: a bug in paw_bench")


def _slug(arm: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", arm).strip("-") or "arm"
