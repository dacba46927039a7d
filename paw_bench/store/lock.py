"""Locks that the kernel releases when their holder dies: a stale lock file never blocks anybody."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from paw_bench.errors import StoreError
from paw_bench.store.atomic import NO_SPACE, no_space

FLOCK_REMEDY = "have the filesystem mounted with flock (Lustre: -o flock), or use --results elsewhere"
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
_GRACE_S = 1.0
"""How long to try: someone who only looks whether the lock is held holds it for an instant."""


class LockHeld(StoreError):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, busy: str, remedy: str) -> Iterator[None]:
    """Hold the lock file `path`; raises LockHeld(`busy`, `remedy`) when another process holds it.

    Raises StoreError where the filesystem has no locks, or the file cannot be made.

    The lock is an flock: it is not passed on to forked children (environment workers), and ends with the process.
    """
    # A soft lock is a mere file: it would outlive its holder, and `is_locked` does not see it.
    lock = FileLock(path, timeout=_GRACE_S, poll_interval=0.02, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise LockHeld(busy, remedy) from None
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a live process holds the lock file `path`. Looking takes a shared lock, so that lookers never meet.

    Raises StoreError where the filesystem has no locks, or the file cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        os.close(descriptor)
    return False


def _refusal(path: Path, error: OSError) -> StoreError:
    if error.errno in NO_SPACE:
        return no_space(path)
    remedy = FLOCK_REMEDY if error.errno in _NO_LOCKS else "check the path and its permissions"
    return StoreError(f"{path}: cannot be locked: {error.strerror or error}", remedy)
