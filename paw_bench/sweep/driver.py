"""The loop that brings every run of a sweep to its end on this machine: start, watch, retry, stop."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from paw_bench.errors import StoreError, WriteError
from paw_bench.store.atomic import writing
from paw_bench.store.jsonl import Record
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.environment import environment_changes
from paw_bench.sweep.execution_changes import make_folder
from paw_bench.sweep.local import LocalJob, LocalLauncher
from paw_bench.sweep.plan import PlannedRun
from paw_bench.sweep.progress import Screen, duration, seconds_left
from paw_bench.sweep.siblings import cell, refusal_in
from paw_bench.sweep.signals import Interrupted, deferred, interruptible
from paw_bench.sweep.slots import Slots
from paw_bench.sweep.status import RunStatus, refused_starts, run_status

_POLL_S = 0.25
_STOP_GRACE_S = 20.0
MIN_FREE_BYTES = 512 << 20
"""Less free space than this and no run is started: checkpoints and logs would not fit."""


@dataclass(slots=True)
class _Active:
    """A run that a process works on: started here (`job`), or by someone before."""

    job: LocalJob | None = None
    last_attempt: float | None = None
    """Time of the run's last attempt event before `job` was started."""


class Feed(Protocol):
    """What gives a driver runs while it is at work."""

    def poll(self, driver: Driver) -> bool:
        """Look at what became of the runs; `add` some, `stop` some. Returns whether more may come."""

    def to_come(self) -> Sequence[RunStatus]:
        """Runs that are expected, for the screen."""


@dataclass(slots=True)
class _Stop:
    """A run that was asked to end at its last checkpoint, and is killed at the `deadline` (monotonic seconds)."""

    deadline: float
    asked: set[int] = field(default_factory=set)
    """Processes that were asked: each is asked once, runs die of a second SIGTERM."""


class Driver:
    """Drives one sweep. Runs that other processes work on already are waited for, never started twice."""

    def __init__(
        self,
        sweep: SweepDirectory,
        runs: Sequence[PlannedRun],
        *,
        command: Sequence[str],
        slots: Slots,
        screen: Screen,
        predicted_s: float | None,
        feed: Feed | None = None,
    ) -> None:
        """`command` works on the run folder appended to it; `slots` runs at a time; `predicted_s` for each run."""
        self._sweep = sweep
        self._runs = {run.run_id: run for run in runs}
        self._command = list(command)
        self._slots = slots
        self._screen = screen
        self._predicted_s = predicted_s
        self._launcher = LocalLauncher(sweep.path / "submitit")
        self._refusals = refused_starts(sweep)
        self._active: dict[str, _Active] = {}
        self._stops: dict[str, _Stop] = {}
        self._feed = feed
        self._starts = dict.fromkeys(self._runs, 0)
        self._statuses = {run_id: self._status(run_id) for run_id in self._runs}
        self._waiting = deque(run_id for run_id, status in self._statuses.items() if self._is_open(status))

    def drive(self) -> list[RunStatus]:
        """Work until no run is left that may still be tried; returns the state of every run.

        Raises Interrupted, after the runs were stopped, when this process is asked to stop, and StoreError when
        the disk is full.
        """
        try:
            with interruptible():
                for run_id in self._statuses:
                    self._adopt(run_id)
                while self._more_may_come() or self._waiting or self._active:
                    self._start_waiting()
                    self._watch()
                    self._show()
                    time.sleep(_POLL_S)
        except Interrupted:
            self._stop_all()
            raise
        except StoreError:
            if self._active:
                self._screen.note(f"{len(self._active)} run(s) go on by themselves; the same command waits for them")
            raise
        return list(self._statuses.values())

    @property
    def room(self) -> int:
        """How many more runs could be at work now."""
        return max(0, self._slots.count - len(self._active) - len(self._waiting))

    def is_open(self, run_id: str) -> bool:
        """Whether the run waits, is being worked on, or will be tried again."""
        return run_id in self._waiting or run_id in self._active

    def add(self, run: PlannedRun) -> None:
        """Take a run in: it is started when its turn comes, or waited for where somebody works on it."""
        if run.run_id in self._runs:
            return
        self._runs[run.run_id] = run
        self._starts[run.run_id] = 0
        status = self._statuses[run.run_id] = self._status(run.run_id)
        self._adopt(run.run_id)
        if self._is_open(status):
            self._waiting.append(run.run_id)

    def stop(self, run_id: str) -> None:
        """Let a run end at its last checkpoint, without trying it again; it is gone when `is_open` says so."""
        if run_id in self._waiting:
            self._waiting.remove(run_id)
        elif run_id in self._active:
            self._stops.setdefault(run_id, _Stop(time.monotonic() + _STOP_GRACE_S))

    def _more_may_come(self) -> bool:
        return self._feed is not None and self._feed.poll(self)

    def _status(self, run_id: str) -> RunStatus:
        run = self._runs[run_id]
        planned: Record = {"run_id": run.run_id, "arm": run.arm, "axes": run.axes, "seed": run.seed}
        return run_status(self._sweep, planned, self._refusals.get(run_id))

    def _is_open(self, status: RunStatus) -> bool:
        """Whether this call should start the run: not done, not being worked on, attempts left."""
        if status.settled or status.active:
            return False
        cap = self._runs[status.run_id].config.execution.max_attempts
        if status.failures >= cap:
            tried = f"left {status.state} after {status.failures} of {cap} attempts"
            self._screen.note(f"{status.label}: {tried}; give it new ones with --retry")
            return False
        return True

    def _adopt(self, run_id: str) -> None:
        """Wait for the run where somebody works on it already."""
        status = self._statuses[run_id]
        if status.active:
            events = (event for event in self._sweep.events() if event["event"] == "submitted")
            gpus = [event["gpus"] for event in events if event["run_id"] == run_id]
            self._active[run_id] = _Active()
            self._slots.hold(run_id, gpus[-1] if gpus else {})
            self._screen.note(f"{status.label}: is being worked on already (process {status.pid}); waiting for it")

    def _start_waiting(self) -> None:
        while self._waiting and len(self._active) < self._slots.count:
            self._start(self._waiting.popleft())

    def _start(self, run_id: str) -> None:
        run = self._runs[run_id]
        check_space(self._sweep.path)
        info = RunInfo(run.run_id, self._sweep.info["name"], run.arm, run.axes, run.seed)
        directory = make_folder(self._sweep.run_path(run_id), info, run.config)
        active = _Active(last_attempt=_last_attempt(directory))
        self._sweep.journal("intent", run_id=run_id)
        gpus = self._slots.take(run_id)
        changes = {**environment_changes(run.config.execution), **gpus}
        # Who is stopped in between would leave a run at work that nobody stops.
        with deferred():
            active.job = job = self._launcher.submit([*self._command, str(directory.path)], changes)
            self._active[run_id] = active
        self._starts[run_id] += 1
        self._sweep.journal("submitted", run_id=run_id, job_id=job.job_id, gpus=gpus)
        self._statuses[run_id] = replace(self._status(run_id), state="running", reason="")

    def _watch(self) -> None:
        for run_id, active in list(self._active.items()):
            starting = active.job is not None and not active.job.ended()
            status = self._status(run_id)
            self._press(run_id, status)
            if status.active:
                self._statuses[run_id] = status
                if active.job is not None and not starting:
                    # Another process holds the run: ours saw that and left.
                    active.job.clean()
                    active.job = None
            elif not starting:
                del self._active[run_id]
                self._slots.free(run_id)
                self._conclude(run_id, active)

    def _press(self, run_id: str, status: RunStatus) -> None:
        """Go on with stopping a run, where `stop` was called."""
        stop = self._stops.get(run_id)
        if stop is not None:
            late = time.monotonic() > stop.deadline
            stop.asked |= _signal([status], signal.SIGKILL if late else signal.SIGTERM, set() if late else stop.asked)

    def _conclude(self, run_id: str, active: _Active) -> None:
        """Say how the attempt ended, and line the run up again when that may help."""
        job = active.job
        if job is not None:
            opened = _last_attempt(RunDirectory(self._sweep.run_path(run_id))) != active.last_attempt
            if not opened and not self._status(run_id).settled:
                self._note_not_started(run_id, f"its process did not start:\n{job.output_tail().strip()}")
            job.clean()
        status = self._statuses[run_id] = self._status(run_id)
        again = run_id not in self._stops and self._may_try_again(status)
        self._sweep.journal("ended", run_id=run_id, state=status.state, reason=status.reason, again=again)
        if again:
            self._waiting.append(run_id)
        self._screen.note(_end_line(status, again))
        refusal = None if again else refusal_in(RunDirectory(self._sweep.run_path(run_id)))
        if refusal:
            self._spare_siblings(run_id, refusal)

    def _spare_siblings(self, run_id: str, refusal: str) -> None:
        """Do not start the other seeds of a configuration that was refused."""
        refused = self._runs[run_id]
        for waiting in list(self._waiting):
            run = self._runs[waiting]
            if cell(run.arm, run.axes) == cell(refused.arm, refused.axes):
                self._waiting.remove(waiting)
                self._note_not_started(waiting, refusal)
                self._statuses[waiting] = replace(self._status(waiting), state="failed", reason=refusal)
                self._screen.note(_end_line(self._statuses[waiting], again=False))

    def _note_not_started(self, run_id: str, reason: str) -> None:
        self._sweep.journal("not_started", run_id=run_id, reason=reason)
        self._refusals[run_id] = {"event": "not_started", "time": time.time(), "reason": reason}

    def _may_try_again(self, status: RunStatus) -> bool:
        cap = self._runs[status.run_id].config.execution.max_attempts
        may_help = status.state == "planned" or (not status.settled and status.transient)
        return may_help and status.failures < cap and self._starts[status.run_id] < cap

    def _show(self) -> None:
        statuses = [*self._statuses.values(), *(self._feed.to_come() if self._feed else ())]
        self._screen.update(statuses, seconds_left(statuses, slots=self._slots.count, predicted_s=self._predicted_s))

    def _stop_all(self) -> None:
        """Ask every process on this machine that works on a run to stop; kill what is left after the grace time."""
        self._screen.note(f"stopping {len(self._active)} run(s) at their last checkpoint ...")
        deadline = time.monotonic() + _STOP_GRACE_S
        asked: set[int] = set()
        while self._alive() and time.monotonic() < deadline:
            # In a loop: a process that was still starting may have missed it. Each is asked once: runs die of a second.
            asked |= _signal(map(self._status, self._active), signal.SIGTERM, asked)
            time.sleep(0.05)
        _signal(map(self._status, self._active), signal.SIGKILL, set())

    def _alive(self) -> bool:
        return any(
            self._status(run_id).active or (active.job is not None and not active.job.ended())
            for run_id, active in self._active.items()
        )


def check_space(folder: Path) -> None:
    """Make `folder`; raise StoreError when its disk is nearly full or it cannot be made."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise WriteError(
            f"{folder}: no space left on the disk: {free >> 20} MiB free, a run needs {MIN_FREE_BYTES >> 20} MiB",
            "free some space and give the same command again (it goes on from there), or use --results on another disk",
        )


def _signal(statuses: Iterable[RunStatus], signum: signal.Signals, spared: set[int]) -> set[int]:
    """Signal every process that holds one of the runs on this machine, but `spared`; returns their ids."""
    pids = {status.pid for status in statuses if status.active and status.hostname == socket.gethostname()}
    signalled = {pid for pid in pids if pid is not None} - spared
    for pid in signalled:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
    return signalled


def _last_attempt(directory: RunDirectory) -> float | None:
    opened = {"attempt_started", "attempt_refused"}
    return next((event["time"] for event in reversed(directory.events()) if event["event"] in opened), None)


def _end_line(status: RunStatus, again: bool) -> str:
    if status.state == "done":
        success = f", {100 * status.success:.0f} % success" if status.success is not None else ""
        return f"{status.label}: done in {duration(status.seconds_taken or 0.0)}{success}"
    return f"{status.label}: {status.state}: {status.reason}" + ("\n  it is tried again" if again else "")
