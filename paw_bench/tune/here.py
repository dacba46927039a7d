"""A study on this machine: the sweep's driver, fed with trials."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from paw_bench.store.run_directory import RunDirectory
from paw_bench.sweep.driver import Driver, check_space
from paw_bench.sweep.launch import require_no_jobs
from paw_bench.sweep.progress import Screen
from paw_bench.sweep.slots import Slots
from paw_bench.tune.storage import open_storage
from paw_bench.tune.study_plan import StudyPlan
from paw_bench.tune.trials import RUNS, ArmStudy
from paw_bench.tune.tuner import Tuner


def tune_here(
    plan: StudyPlan, *, slots: Slots, retry: bool, screen: Screen, command: Sequence[str]
) -> tuple[list[ArmStudy], Tuner]:
    """Bring every trial of the study to its end; returns the arms' studies and what was left open.

    Raises StoreError when another driver is at work or the folder holds something else, UserError when jobs of the
    study are in Slurm's queue, and Interrupted, after the runs were stopped, when this process is asked to stop.
    """
    check_space(plan.folder)
    with plan.sweep.lock():
        require_no_jobs(plan.sweep)
        plan.check_same()
        sweep = plan.save([]) if not plan.sweep.exists() else plan.sweep
        arms = open_arms(plan, open_storage(plan.study.spec.storage, plan.folder))
        if retry:
            grant_attempts(plan, arms)
        tuner = Tuner(plan, arms, screen.note, insist=retry)
        sweep.journal("driver_started", pid=os.getpid(), hostname=socket.gethostname(), slots=slots.count)
        known = [cost.run_seconds for cost in plan.cost.arms.values() if cost.run_seconds is not None]
        predicted = sum(known) / len(known) if known else None
        driver = Driver(sweep, (), command=command, slots=slots, screen=screen, predicted_s=predicted, feed=tuner)
        statuses = driver.drive()
        sweep.journal("driver_ended", done=sum(status.state == "done" for status in statuses))
        return arms, tuner


def open_arms(plan: StudyPlan, storage: BaseStorage) -> list[ArmStudy]:
    """The Optuna study of every arm."""
    return [ArmStudy(plan.study, arm, storage) for arm in plan.study.trial.arms]


def grant_attempts(plan: StudyPlan, arms: Sequence[ArmStudy]) -> None:
    """Give the runs of open trials as many attempts again as the config allows."""
    for run_id in open_runs(arms):
        directory = RunDirectory(plan.sweep.run_path(run_id))
        idle = (directory.path / "config.json").exists() and not directory.is_locked()
        if idle and directory.result(verify=False) is None:
            with directory.lock():
                directory.journal("retry")


def open_runs(arms: Sequence[ArmStudy]) -> list[str]:
    """Ids of the runs of all trials that were asked for and not told."""
    trials = (trial for arm in arms for trial in arm.trials() if trial.state == TrialState.RUNNING)
    return [run_id for trial in trials for run_id in trial.user_attrs.get(RUNS, ())]
