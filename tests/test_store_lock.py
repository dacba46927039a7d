"""Locks where the filesystem refuses them. What they do where it does not: test_store_run_directory.py."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from paw_bench.errors import StoreError
from paw_bench.store.lock import FLOCK_REMEDY, LockHeld, is_locked, locked
from paw_bench.sweep.doctor import _lock_seen


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_filesystem_without_locks_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "lock"
    path.touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    said = f"lock: cannot be locked: {os.strerror(number)}\n.*mounted with flock"
    with pytest.raises(StoreError, match=said):
        is_locked(path)
    with pytest.raises(StoreError, match=said) as refusal, locked(path, "busy", "wait"):
        pass
    assert not isinstance(refusal.value, LockHeld)
    check = _lock_seen(tmp_path)
    assert (check.state, check.remedy) == ("failed", FLOCK_REMEDY)


def test_a_full_disk_is_refused_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refuse(path: object, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, flags, mode)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match="no space left on the disk"), locked(tmp_path / "lock", "busy", "wait"):
        pass
