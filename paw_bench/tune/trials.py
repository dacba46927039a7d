"""The Optuna study of one arm: ask for trials, go on with those that a killed driver left, tell what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import optuna
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from paw_bench.errors import ConfigError, StoreError
from paw_bench.sweep.plan import PlannedRun
from paw_bench.tune.sampling import make_pruner, make_sampler
from paw_bench.tune.space import Params
from paw_bench.tune.study_file import StudyFile

RUNS = "runs"
"""Attribute of a trial: the ids of its runs."""
SAME_AS = "same_as"
"""Attribute of a trial whose runs are another's: 'ARM NUMBER'."""
REASON = "reason"
"""Attribute of a trial that failed or was pruned: why."""


@dataclass(frozen=True)
class OpenTrial:
    """A trial that was asked for and not told yet."""

    arm: str
    params: Params
    runs: tuple[PlannedRun, ...]
    handle: Trial

    @property
    def number(self) -> int:
        """Counts from 0 in each arm."""
        return self.handle.number

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.arm} trial {self.number}"

    def report(self, update: int, success: float) -> bool:
        """Note the mean success after an update; returns whether that is news."""
        if update in self.reported():
            return False
        self.handle.report(success, update)
        return True

    def reported(self) -> dict[int, float]:
        """Update -> mean success, as noted so far."""
        return self.handle.study.get_trials(deepcopy=False)[self.number].intermediate_values


class ArmStudy:
    """One arm's trials."""

    def __init__(self, study: StudyFile, arm: str, storage: BaseStorage) -> None:
        """Open or make the study `<folder>/<arm>` in the storage."""
        self.arm = arm
        self._file = study
        self._study = optuna.create_study(
            storage=storage,
            study_name=f"{study.name}/{arm}",
            direction="maximize",
            pruner=make_pruner(study.spec.pruner),
            load_if_exists=True,
        )

    @property
    def optuna(self) -> Study:
        """Optuna's own object, for reading."""
        return self._study

    def trials(self) -> list[FrozenTrial]:
        """Every trial so far, by number."""
        return self._study.get_trials(deepcopy=False)

    @property
    def left(self) -> int:
        """Trials of the budget that were not asked for yet."""
        return max(0, self._file.trials[self.arm] - len(self.trials()))

    def ask(self) -> OpenTrial | None:
        """A new trial; None where its values are impossible together, which is told as a failure."""
        return self._open(len(self.trials()), self._study.ask)

    def unfinished(self) -> Iterator[OpenTrial]:
        """The trials that were asked for and not told: with the values they have, completed where a driver died."""
        for frozen in self.trials():
            if frozen.state == TrialState.RUNNING:
                trial = self._open(frozen.number, partial(Trial, self._study, frozen._trial_id))
                if trial is not None:
                    yield trial

    def complete(self, trial: OpenTrial, success: float) -> None:
        """Tell a trial's score."""
        self._study.tell(trial.handle, success)

    def prune(self, trial: OpenTrial, reason: str) -> None:
        """Tell that a trial was stopped."""
        trial.handle.set_user_attr(REASON, reason)
        self._study.tell(trial.handle, state=TrialState.PRUNED)

    def fail(self, trial: Trial, reason: str) -> None:
        """Tell that a trial's settings cannot be trained with."""
        trial.set_user_attr(REASON, reason)
        self._study.tell(trial, state=TrialState.FAIL)

    def _open(self, number: int, get: Callable[[], Trial]) -> OpenTrial | None:
        self._study.sampler = make_sampler(self._file.spec.sampler, number, self._file.spaces[self.arm])
        handle = get()
        params = self._file.spaces[self.arm].suggest(handle)
        try:
            runs = self._file.runs(self.arm, number, params)
        except ConfigError as error:
            self.fail(handle, str(error))
            return None
        ids = [run.run_id for run in runs]
        known = handle.user_attrs.get(RUNS)
        if known is None:
            handle.set_user_attr(RUNS, ids)
        elif known != ids:
            raise StoreError(
                f"{self._file.name}: {self.arm} trial {number} was begun as run {known[0]}, now it would be {ids[0]}",
                "go back to the study file, experiment and version that it was begun with, or name the study otherwise",
            )
        return OpenTrial(self.arm, params, runs, handle)
