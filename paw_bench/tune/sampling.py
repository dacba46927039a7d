"""Optuna's samplers and pruners as a study file asks for them."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from paw_bench.tune.space import Params, Space
from paw_bench.tune.spec import PrunerSpec, SamplerSpec


def make_sampler(spec: SamplerSpec, number: int, space: Space) -> BaseSampler:
    """The sampler of one trial.

    Each trial has its own seed, made from the study's and the trial's number: a study that is resumed would otherwise
    draw the same random values again. Trials of the same number in other arms draw alike: arms are compared in pairs.
    """
    if spec.kind == "grid":
        return _Point(_grid(spec.seed, space)[number])
    seed = int(np.random.SeedSequence([spec.seed, number]).generate_state(1)[0])
    if spec.kind == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # Trials at work count as bad ones: workers that ask at the same time are then not sent to the same place.
        return TPESampler(seed=seed, n_startup_trials=spec.startup_trials, constant_liar=True)


def make_pruner(spec: PrunerSpec) -> BasePruner:
    """The pruner of an arm; steps are updates."""
    if spec.kind == "asha":
        return SuccessiveHalvingPruner(min_resource=spec.min_updates, reduction_factor=spec.reduction)
    if spec.kind == "median":
        return MedianPruner(n_startup_trials=spec.startup_trials, n_warmup_steps=spec.min_updates)
    return NopPruner()


def _grid(seed: int, space: Space) -> list[Params]:
    """All points, shuffled: a budget below their number then covers the whole range of every key."""
    points = list(space.points())
    random.Random(seed).shuffle(points)
    return points


class _Point(BaseSampler):
    """Gives a trial the values of one point. Optuna's GridSampler knows no conditions."""

    def __init__(self, point: Params) -> None:
        self._point = point

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every key is sampled by itself."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Every key is sampled by itself."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The point's value."""
        return self._point[param_name]
