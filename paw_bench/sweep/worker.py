"""One of the processes that train a run together: `python -m paw_bench.sweep.worker RUN_DIR PARENT`, by `group.py`."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

from paw_bench.store.run_directory import RunDirectory
from paw_bench.sweep.group import OUTCOME
from paw_bench.sweep.outcome import outcome_of

_PR_SET_PDEATHSIG = 1
_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"


def main(path: Path, parent: int) -> NoReturn:
    """Do this rank's part of the attempt that `parent` holds; the exit code is 0, or 1 after an exception."""
    _die_with(parent)
    for each in (signal.SIGTERM, signal.SIGUSR2):
        # The parent answers for all; submitit's process may have left SIGUSR2 ignored.
        signal.signal(each, signal.SIG_DFL)
    directory = RunDirectory(path)
    directory.attempt = directory.attempts()[-1]
    try:
        from paw_bench.training.run import run_attempt

        run_attempt(directory)
    except BaseException as error:
        traceback.print_exc()
        told = {"message": str(error), "timestamp": int(time.time()), OUTCOME: outcome_of(error)}
        Path(os.environ[_ERROR_FILE]).write_text(json.dumps(told))
        sys.stderr.flush()
        # Without waiting for the other ranks, as leaving their group would.
        os._exit(1)
    from paw_bench.training.ranks import end_rank

    end_rank()


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when `parent` dies: nobody may write to a run that is not held."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
