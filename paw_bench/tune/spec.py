"""The keys of a study file: what is tuned, over which settings, with which budget."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from paw_bench.config.experiment_file import Name
from paw_bench.config.section import NonNegativeInt, PositiveInt, Section

Scalar = bool | int | float | str | None


class ParameterSpec(Section):
    """One searched key: `low` and `high` (with `step` or `log`), or `choices`. The schema says whether it is whole."""

    low: int | float | None = None
    high: int | float | None = None
    step: int | float | None = None
    """Only low, low + step, low + 2 step, ... are tried."""
    log: bool = False
    """Search the logarithm."""
    choices: Annotated[list[Scalar], Field(min_length=1)] | None = None
    when: dict[str, Any] = Field(default_factory=dict)
    """Other searched key -> the value, or list of values, at which this key is searched."""


class SamplerSpec(Section):
    """Who proposes settings."""

    kind: Literal["tpe", "random", "grid"] = "tpe"
    """`grid` tries every combination of `choices`, whole numbers and stepped ranges in turn."""
    seed: NonNegativeInt = 0
    startup_trials: PositiveInt = 10
    """Random trials of an arm before `tpe` models it."""


class PrunerSpec(Section):
    """Who stops trials on the way, by their success at the evaluations of `evaluation.every`."""

    kind: Literal["none", "asha", "median"] = "none"
    """`asha`: successive halving (arXiv 1810.05934); `median`: worse than the median of the finished trials."""
    min_updates: PositiveInt = 1
    """No trial is stopped before so many updates."""
    reduction: Annotated[int, Field(ge=2)] = 3
    """`asha`: the best 1/reduction of the trials go on at min_updates, min_updates x reduction, ..."""
    startup_trials: PositiveInt = 5
    """`median`: trials of an arm that finish before any is stopped."""


class ArmSpec(Section):
    """What differs for one arm; a fair study has nothing here but keys that no other arm reads."""

    trials: PositiveInt | None = None
    space: dict[str, ParameterSpec] = Field(default_factory=dict)


class StudySpec(Section):
    """The keys of a study file."""

    schema_version: Literal[1]
    name: Name | None = None
    """Names the study's folder, together with the scale (None: the file's own name)."""
    description: str = ""
    experiment: str
    """The experiment file whose arms are tuned, relative to this file."""
    scale: Name | None = None
    """Scale of the trials (None: the experiment's own)."""
    arms: dict[str, ArmSpec | None]
    """The arms to tune."""
    fair: bool = True
    """Refuse what gives one arm more than another: trials, a wider space for a key that both have, another panel."""
    space: dict[str, ParameterSpec]
    """Dotted key -> what is tried; an arm that does not read a key does not search it."""
    trials: PositiveInt
    """Trials of each arm."""
    seeds: Annotated[list[NonNegativeInt], Field(min_length=1)]
    """A trial is one run for each of these; its score is their mean success."""
    while_tuning: dict[str, Any] = Field(default_factory=dict)
    """What differs from the experiment in trials only, such as fewer updates."""
    sampler: SamplerSpec = SamplerSpec()
    pruner: PrunerSpec = PrunerSpec()
    parallel: PositiveInt | None = None
    """Runs at a time (None: as many as the cores carry; on a cluster, as the profile allows)."""
    storage: str | None = None
    """URL of a database for Optuna (None: a journal file in the study's folder)."""
