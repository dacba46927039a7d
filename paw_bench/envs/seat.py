"""One worker process and the requests that it has not answered yet."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.messages import Act, Begin, Forget, Request

START_SECONDS = 120.0
"""How long a new worker may take to import what it needs."""

# A hash seed, so that sets are walked in one order everywhere; one thread, because the workers are the parallelism.
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class Seat:
    """A place in the pool with the worker that sits there now.

    The worker is a fresh interpreter. It is not forked, so it holds nothing of the caller's, and not made by
    multiprocessing's `spawn`, which would import the caller's main module, and torch with it. Its process group is its
    own: Ctrl-C does not reach it. It ends when this side of its socket closes.
    """

    def __init__(self, config: EnvironmentConfig) -> None:
        self.unanswered: deque[Begin | Act] = deque()
        self.ready = False
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "paw_bench.envs.worker", str(theirs.fileno())],
                env={**os.environ, **_ENVIRONMENT},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,
            )
        self.connection = Connection(ours.detach())
        self.heard = time.monotonic()
        """When the worker last answered, or was given work after having none."""
        self.connection.send(config)

    def ask(self, requests: Sequence[Request]) -> None:
        """Send requests. A dead worker is noticed by whoever waits for the answer."""
        if not self.unanswered:
            self.heard = time.monotonic()
        self.unanswered.extend(request for request in requests if not isinstance(request, Forget))
        with contextlib.suppress(OSError):
            self.connection.send(list(requests))

    def silent_for(self) -> float:
        """Seconds since the worker was last heard of."""
        return time.monotonic() - self.heard

    def stop(self) -> None:
        """End the worker, whatever it is doing."""
        self.connection.close()
        self.process.kill()
        self.process.wait()
