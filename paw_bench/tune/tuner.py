"""What drives a study: resume open trials, watch their runs, prune, tell, ask for more.

The run folders are the truth. A trial is told once its folders say how it ended; a trial that Optuna calls running is,
after any crash, matched to its folders and gone on with.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Protocol

from optuna.trial import TrialState

from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.sweep.plan import PlannedRun
from paw_bench.sweep.status import RunStatus
from paw_bench.tune.study_plan import StudyPlan
from paw_bench.tune.trials import RUNS, SAME_AS, ArmStudy, OpenTrial

_HOPELESS = 3
"""So many failures of an arm without one success, and no trial more is asked for."""


class Runner(Protocol):
    """Who brings runs to their end: the driver on this machine, or the cluster."""

    @property
    def room(self) -> int:
        """How many more runs could be at work now."""

    def is_open(self, run_id: str) -> bool:
        """Whether the run waits, is being worked on, or will be tried again."""

    def add(self, run: PlannedRun) -> None:
        """Take a run in."""

    def stop(self, run_id: str) -> None:
        """Let a run end at its last checkpoint, without trying it again."""


class Tuner:
    """Feeds a runner with the runs of trials. One process at a time does this for a study."""

    def __init__(
        self, plan: StudyPlan, arms: Sequence[ArmStudy], note: Callable[[str], None], *, insist: bool = False
    ) -> None:
        """`insist`: go on asking where an arm has only failed so far."""
        self._plan = plan
        self._arms = {arm.arm: arm for arm in arms}
        self._note = note
        self._insist = insist
        self._runs: dict[str, PlannedRun] = {}
        self._owners: dict[str, str] = {}
        self._open: list[OpenTrial] | None = None
        self.stuck: list[OpenTrial] = []
        """Open trials whose runs ended without a result for a reason that is not theirs."""
        self.hopeless: list[str] = []
        """Arms of which every trial failed."""

    @property
    def open(self) -> bool:
        """Whether a trial is at work, or there is budget to ask for more."""
        return bool(self._open) or self._next_arm() is not None

    def poll(self, runner: Runner) -> bool:
        """Do what is to be done now; returns whether there is more to come."""
        if self._open is None:
            self._resume(runner)
        assert self._open is not None
        for trial in list(self._open):
            self._advance(trial, runner)
        while runner.room > 0:
            arm = self._next_arm()
            if arm is None:
                break
            asked = arm.ask()
            if asked is not None:
                self._take(asked, runner)
        return self.open

    def to_come(self) -> list[RunStatus]:
        """The runs of trials that were not asked for yet."""
        return [
            RunStatus("", arm.arm, {"trial": number}, seed, self._plan.folder)
            for arm in self._arms.values()
            for number in range(len(arm.trials()), self._plan.study.trials[arm.arm])
            for seed in self._plan.study.spec.seeds
        ]

    def _next_arm(self) -> ArmStudy | None:
        """The arm that has asked for the fewest trials; None where no budget is left, or something must be mended."""
        self.hopeless = [] if self._insist else [arm.arm for arm in self._arms.values() if _is_hopeless(arm)]
        if self.stuck or self.hopeless:
            return None
        waiting = [arm for arm in self._arms.values() if arm.left]
        return min(waiting, key=lambda arm: len(arm.trials()), default=None)

    def _resume(self, runner: Runner) -> None:
        self._open = []
        for arm in self._arms.values():
            for frozen in arm.trials():
                if RUNS in frozen.user_attrs and SAME_AS not in frozen.user_attrs:
                    for run in self._plan.study.runs(arm.arm, frozen.number, frozen.params):
                        self._runs[run.run_id] = run
                        self._owners[run.run_id] = f"{arm.arm} {frozen.number}"
        self._plan.save(self._runs.values())
        for trial in [trial for arm in self._arms.values() for trial in arm.unfinished()]:
            self._take(trial, runner)

    def _take(self, trial: OpenTrial, runner: Runner) -> None:
        """Write the specs of a trial's runs and hand them to the runner."""
        assert self._open is not None
        name = f"{trial.arm} {trial.number}"
        owners = {self._owners.setdefault(run.run_id, name) for run in trial.runs}
        if name not in owners and SAME_AS not in trial.handle.user_attrs:
            trial.handle.set_user_attr(SAME_AS, owners.pop())
            same = trial.handle.user_attrs[SAME_AS]
            self._note(f"{trial.label}: the same settings as {same}, whose run is used: nothing runs twice")
        known = len(self._runs)
        for run in trial.runs:
            first = self._runs.setdefault(run.run_id, run)
            directory = self._directory(first)
            # What is there may have been adapted to the cluster.
            if not (directory.path / "config.json").exists():
                info = RunInfo(first.run_id, self._plan.study.trial.name, first.arm, first.axes, first.seed)
                RunDirectory.create(directory.path, info, first.config)
        if len(self._runs) > known:
            self._plan.save(self._runs.values())
        self._open.append(trial)
        for run in trial.runs:
            runner.add(self._runs[run.run_id])

    def _directory(self, run: PlannedRun) -> RunDirectory:
        return RunDirectory(self._plan.sweep.run_path(run.run_id))

    def _advance(self, trial: OpenTrial, runner: Runner) -> None:
        assert self._open is not None
        arm = self._arms[trial.arm]
        waiting = [run for run in trial.runs if runner.is_open(run.run_id)]
        directories = [self._directory(run) for run in trial.runs]
        news = report_progress(trial, directories)
        results = [directory.result(verify=False) for directory in directories]
        scores = [result["evaluation"]["after"]["success"] for result in results if result is not None]
        if len(scores) == len(trial.runs):
            arm.complete(trial, statistics.fmean(scores))
            self._note(f"{trial.label}: {100 * statistics.fmean(scores):.1f} % success")
            self._open.remove(trial)
            return
        open_runs = [directory for directory, result in zip(directories, results, strict=True) if result is None]
        pruned = self._pruned(trial, open_runs, news=news)
        for directory in open_runs if pruned else ():
            runner.stop(directory.path.name)
        if waiting:
            return
        self._open.remove(trial)
        failure = own_failure(open_runs)
        if pruned is not None:
            arm.prune(trial, pruned)
            self._note(f"{trial.label}: pruned ({pruned})")
        elif failure is not None:
            arm.fail(trial.handle, failure)
            self._note(f"{trial.label}: failed: {failure}")
        else:
            self.stuck.append(trial)

    def _pruned(self, trial: OpenTrial, open_runs: Sequence[RunDirectory], *, news: bool) -> str | None:
        """Why the trial is stopped, now or by an earlier driver; all its runs then say so."""
        notes = (note for directory in open_runs if (note := directory.pruned()) is not None)
        found = next(notes, None)
        if found is None and news and trial.handle.should_prune():
            update = max(trial.reported())
            kind = self._plan.study.spec.pruner.kind
            found = {
                "reason": f"{kind}: not among the better trials of {trial.arm} at update {update}",
                "update": update,
            }
        if found is None:
            return None
        for directory in open_runs:
            directory.prune(reason=found["reason"], update=found["update"])
        return str(found["reason"])


def report_progress(trial: OpenTrial, directories: Sequence[RunDirectory]) -> bool:
    """Report the trial's mean success at every evaluation that all its runs have; returns whether one was new."""
    curves = [_curve(directory) for directory in directories]
    common = sorted(set(curves[0]).intersection(*curves[1:]))
    news = [trial.report(update, statistics.fmean(curve[update] for curve in curves)) for update in common]
    return any(news)


def own_failure(directories: Sequence[RunDirectory]) -> str | None:
    """Why a trial's own settings failed in training; None where it was the machine, or a bad installation."""
    for directory in directories:
        ends = [event for event in directory.events() if event["event"].startswith("attempt_")]
        last = ends[-1] if ends else {}
        own = last.get("outcome") == "failed" and not last.get("transient") and not last.get("refused")
        if own:
            return str(last["reason"])
    return None


def _curve(directory: RunDirectory) -> dict[int, float]:
    """Update -> mean success of its evaluation."""
    wins: dict[int, list[bool]] = {}
    for record in directory.episodes():
        _, _, update = record["phase"].partition("update-")
        if update:
            wins.setdefault(int(update), []).append(bool(record["success"]))
    return {update: statistics.fmean(values) for update, values in wins.items()}


def _is_hopeless(arm: ArmStudy) -> bool:
    finished = [trial.state for trial in arm.trials() if trial.state.is_finished()]
    return len(finished) >= _HOPELESS and set(finished) == {TrialState.FAIL}
