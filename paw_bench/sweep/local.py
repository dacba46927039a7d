"""Starting attempts on this machine through submitit's local executor.

What submitit carries is the command of the attempt, as plain strings; what became of it is read from the run's folder,
never from submitit's pickles. The attempt replaces submitit's worker process and gets a session of its own, so that
neither Ctrl-C in the driver's terminal nor the driver's death reaches it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import submitit

from paw_bench.errors import UserError

_MASKED = {signal.SIGINT, signal.SIGHUP}
_NO_LIMIT_MIN = 60 * 24 * 365
_TAIL_BYTES = 4000
_DEVICES = "CUDA_VISIBLE_DEVICES"
"""submitit sets it to nothing; the attempt gets the driver's own value, or the one in `changes`."""


class LocalJob:
    """One started attempt: a small process of submitit that waits for the attempt's own."""

    def __init__(self, job: submitit.Job[None]) -> None:
        self._job = job
        self.job_id = job.job_id

    def ended(self) -> bool:
        """Whether the process has ended (its outcome is in the run's folder)."""
        return self._job.done()

    def output_tail(self) -> str:
        """What was printed before the attempt's own log took over: why it did not start."""
        paths = _existing(self._job.paths.stdout, self._job.paths.stderr)
        return "\n".join(path.read_text(errors="replace")[-_TAIL_BYTES:] for path in paths)

    def clean(self) -> None:
        """Remove submitit's files of this job."""
        paths = self._job.paths
        for path in _existing(paths.stdout, paths.stderr, paths.submitted_pickle, paths.result_pickle):
            path.unlink()


class LocalLauncher:
    """Starts commands as jobs of submitit's LocalExecutor, whose files go to `folder`."""

    def __init__(self, folder: Path) -> None:
        self._executor = submitit.LocalExecutor(folder)
        self._executor.update_parameters(timeout_min=_NO_LIMIT_MIN)

    def submit(self, command: list[str], changes: dict[str, str]) -> LocalJob:
        """Start `command` with this process's environment and the `changes` to it.

        Raises UserError when no process can be started.
        """
        # Blocked signals stay blocked across exec: submitit's own process would answer Ctrl-C by killing the attempt.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _MASKED)
        try:
            return LocalJob(self._executor.submit(become, command, {_DEVICES: os.environ.get(_DEVICES), **changes}))
        except OSError as error:
            raise UserError(f"cannot start {command[0]}: {error}", "free memory, then try again") from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def become(command: list[str], changes: dict[str, str | None]) -> None:
    """Replace this process by `command`, in a session of its own, no signal blocked, without submitit's variables.

    `changes` (None: unset) are what differs from the driver's environment; the rest was inherited, so that no secret
    of it is ever written into submitit's pickle.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SUBMITIT_")}
    environment = {key: value for key, value in {**kept, **changes}.items() if value is not None}
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _MASKED)
    os.execvpe(command[0], command, environment)


def _existing(*paths: Path) -> list[Path]:
    return [path for path in paths if path.exists()]
