"""Fault injection for the store's tests: a child process that is killed at its n-th system call."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pytest takes a while to import, and trivial runs are many
    import pytest

_CALLS = ("open", "write", "fsync", "replace", "link", "rename", "ftruncate", "unlink", "close")


def killed_everywhere(action: Callable[[], object]) -> Iterator[int]:
    """Run `action` in forked children that die by SIGKILL at their 1st, 2nd, ... system call, until one survives.

    Yields the number of the call after each death (and 0 at the end) for the test to look at what was left; a write
    that is killed has written half of its bytes.
    """
    for point in range(1, 1000):
        if not _dies(action, point):
            yield 0
            return
        yield point
    raise AssertionError("the action never ends")


def _dies(action: Callable[[], object], point: int) -> bool:
    child = os.fork()
    if child == 0:
        try:
            kill_at(point)
            action()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "the action failed in the child"
    return False


def kill_at(point: int) -> None:
    """Let this process die by SIGKILL at its `point`-th system call that touches a file; a write writes half."""
    calls = 0

    def wrap(name: str) -> Callable[..., object]:
        original = getattr(os, name)

        def counted(*arguments: object, **keywords: object) -> object:
            nonlocal calls
            calls += 1
            if calls == point:
                if name == "write":
                    descriptor, data = arguments
                    original(descriptor, bytes(data)[: len(data) // 2])  # type: ignore[arg-type,call-overload]
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **keywords)

        return counted

    for name in _CALLS:
        setattr(os, name, wrap(name))


def full_disk(monkeypatch: pytest.MonkeyPatch, *, after: int = 0) -> None:
    """From now on a write stores at most `after` more bytes in all, then fails with ENOSPC."""
    original, left = os.write, after

    def write(descriptor: int, data: bytes) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = original(descriptor, bytes(data)[:left])
        left -= written
        return written

    monkeypatch.setattr(os, "write", write)
