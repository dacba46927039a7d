"""Locks that the kernel releases when their holder dies: a stale lock file never blocks anybody."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from paw_bench.errors import StoreError

_GRACE_S = 1.0
"""How long to try: someone who only looks whether the lock is held holds it for an instant."""


@contextmanager
def locked(path: Path, busy: str, remedy: str) -> Iterator[None]:
    """Hold the lock file `path`; raises StoreError(`busy`, `remedy`) when another process holds it.

    The lock is an flock: it is not passed on to forked children (environment workers), and ends with the process.
    """
    lock = FileLock(path, timeout=_GRACE_S, poll_interval=0.02)
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(busy, remedy) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a live process holds the lock file `path`. Looking takes a shared lock, so that lookers never meet."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
