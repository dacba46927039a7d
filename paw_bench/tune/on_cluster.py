"""A study on a cluster: runs of trials are submitted like those of a sweep, and told when their folders say so.

One pass looks at the queue and the folders, tells what ended, asks for as many trials as may be at work, and submits
their runs. Passes are made by `paw-bench tune --cluster`: one, or with `wait` until every trial has ended. Between two
passes the jobs go on by themselves, and keepers submit lost runs again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from paw_bench.store.lock import locked
from paw_bench.sweep.cluster import make_pass, patient_lock
from paw_bench.sweep.cluster_launch import ClusterLaunch
from paw_bench.sweep.cluster_status import snapshot
from paw_bench.sweep.driver import check_space
from paw_bench.sweep.plan import Plan, PlannedRun
from paw_bench.sweep.progress import Screen
from paw_bench.sweep.queue import QueueError, slurm
from paw_bench.sweep.signals import interruptible
from paw_bench.sweep.status import RunStatus
from paw_bench.tune.here import open_arms, open_runs
from paw_bench.tune.storage import open_storage
from paw_bench.tune.study_plan import StudyPlan
from paw_bench.tune.trials import ArmStudy
from paw_bench.tune.tuner import Tuner

_POLL_S = 5.0


@dataclass(frozen=True)
class ClusterStudy:
    """One `paw-bench tune --cluster`."""

    plan: StudyPlan
    launch: ClusterLaunch
    """Of the study's base; a pass gives it the runs that it submits."""
    parallel: int

    def tune(self, screen: Screen, *, retry: bool, wait: bool) -> tuple[list[ArmStudy], Tuner, list[RunStatus]]:
        """Make a pass, with `wait` until every trial has ended; the arms, what is left open, the state of every run.

        Raises StoreError when another `paw-bench tune` is at work on the study or the folder holds something else,
        QueueError (without `wait`) when Slurm does not answer, ConfigError when the cluster would not take the jobs.
        """
        check_space(self.plan.folder)
        with interruptible(), self._alone():
            self.plan.check_same()
            if not self.plan.sweep.exists():
                self.plan.save([])
            arms = open_arms(self.plan, open_storage(self.plan.study.spec.storage, self.plan.folder))
            tuner = Tuner(self.plan, arms, screen.note, insist=retry)
            runner = _Runner(self.plan, self.launch, self.parallel, screen, open_runs(arms) if retry else ())
            while True:
                try:
                    runner.look()
                    more = tuner.poll(runner)
                    runner.submit()
                except QueueError as error:
                    if not wait:
                        raise
                    screen.note(f"{error.problem}; trying again")
                    more = True
                screen.update([*runner.statuses.values(), *tuner.to_come()], None)
                if not (wait and more):
                    return arms, tuner, list(runner.statuses.values())
                time.sleep(_POLL_S)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process asks and tells. Keepers need the sweep's own lock meanwhile, so this is another."""
        busy = f"{self.plan.folder}: another paw-bench tune is at work on this study"
        with locked(self.plan.folder / "tune.lock", busy, "watch it with: paw-bench status; or stop it first"):
            yield


class _Runner:
    """What the tuner gives its runs to."""

    def __init__(
        self, plan: StudyPlan, launch: ClusterLaunch, parallel: int, screen: Screen, retry: Collection[str]
    ) -> None:
        self._plan = plan
        self._launch = launch
        self._parallel = parallel
        self._screen = screen
        self._retry = retry
        self._runs: dict[str, PlannedRun] = {}
        self._new = False
        self._stops: set[str] = set()
        self.statuses: dict[str, RunStatus] = {}

    @property
    def room(self) -> int:
        return max(0, self._parallel - sum(self.is_open(run_id) for run_id in self._runs))

    def is_open(self, run_id: str) -> bool:
        status = self.statuses.get(run_id)
        return status is None or status.active or status.state in {"planned", "queued"}

    def add(self, run: PlannedRun) -> None:
        if run.run_id not in self._runs:
            self._runs[run.run_id] = run
            self._new = True

    def stop(self, run_id: str) -> None:
        self._stops.add(run_id)

    def look(self) -> None:
        """Let a pass over the runs so far submit again what may be tried again, and see how all of them stand."""
        sweep = self._plan.sweep
        if sweep.info["plan"]["runs"]:
            with patient_lock(sweep):
                self._note(make_pass(sweep, self._launch.cluster, self._screen.note, retry=self._retry))
            self._retry = ()

    def submit(self) -> None:
        """Cancel the jobs of stopped runs, and submit new runs."""
        if self._stops:
            self._cancel()
        if self._new:
            launch = replace(self._launch, plan=Plan(self._plan.study.trial, tuple(self._runs.values()), {}, 1))
            document = self._plan.sweep.info["plan"]
            self._note(launch.submit(document, retry=False, screen=self._screen))
            self._new = False

    def _note(self, statuses: Sequence[RunStatus]) -> None:
        self.statuses = {status.run_id: status for status in statuses}

    def _cancel(self) -> None:
        sweep = self._plan.sweep
        with patient_lock(sweep):
            found = snapshot(sweep)
            jobs = {start.job for run in found.runs if run.status.run_id in self._stops for start in run.history}
            live = sorted(task.job_id for task in found.queue.values() if task.live and task.job_id in jobs)
            if live:
                sweep.journal("cancelled", jobs=live)
                slurm(["scancel", *live])
            else:
                self._stops.clear()
