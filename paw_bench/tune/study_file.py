"""A study file as it is checked: the experiment that it tunes, the space of each arm, the budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from paw_bench.config.experiment_file import ExperimentFile
from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.config.yaml_reader import Document
from paw_bench.sweep.identity import run_id
from paw_bench.sweep.plan import PlannedRun
from paw_bench.tune.parameters import value_layer
from paw_bench.tune.space import Parameter, Params, Space
from paw_bench.tune.spec import StudySpec


@dataclass(frozen=True)
class StudyFile:
    """A checked study file at one scale."""

    spec: StudySpec
    document: Document
    experiment: ExperimentFile
    """The experiment as `paw-bench sweep` would run it: what `best.yaml` goes back to."""
    trial: ExperimentFile
    """The same as trials run it: the study's arms, seeds and `while_tuning`, on the tune panel."""
    spaces: Mapping[str, Space]
    """Arm -> what is searched."""
    trials: Mapping[str, int]
    """Arm -> how many trials it gets."""

    @property
    def name(self) -> str:
        """Name of the study's folder."""
        return self.trial.sweep_name

    def resolve(self, arm: str, params: Params) -> ExperimentConfig:
        """The config of a trial, at no seed yet. Raises ConfigError for values that are impossible together."""
        parameters = {parameter.key: parameter for parameter in self.spaces[arm].parameters}
        return resolve_at(self.trial, arm, {parameters[key]: value for key, value in params.items()}, self.document)

    def runs(self, arm: str, number: int, params: Params) -> tuple[PlannedRun, ...]:
        """The runs of a trial, one for each seed. Raises ConfigError for values that are impossible together."""
        config = self.resolve(arm, params)
        seeded = [config.model_copy(update={"seed": seed}) for seed in self.spec.seeds]
        return tuple(
            PlannedRun(arm, {"trial": number}, each.seed, run_id(each), RunConfig(experiment=each, execution=execution))
            for each, execution in ((each, self.trial.execution) for each in seeded)
        )


def resolve_at(file: ExperimentFile, arm: str, values: Mapping[Parameter, Any], document: Document) -> ExperimentConfig:
    """The config of the arm with the values (parameter -> value) on top. Raises ConfigError where it is impossible."""
    layers = [value_layer(parameter, value, document) for parameter, value in values.items()]
    return replace(file, above=(*file.above, *layers)).resolve(arm, {})
