"""Where a run's numbers come from: code, packages, machine and data of each attempt."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import paw_bench
from paw_bench.errors import StoreError

MAIN_PACKAGES = ("torch", "trl", "transformers", "textworld", "alfworld")
"""A run is not resumed with other versions of these: they change its numbers."""
_OTHER_PACKAGES = ("paw-bench", "accelerate", "numpy", "tokenizers", "submitit", "pydantic")
_DIFF_BYTES = 200_000
"""Longest diff that is kept as text; its hash always covers the whole."""


def collect(*, device: str, execution: dict[str, Any]) -> dict[str, Any]:
    """What an attempt runs with: git commit and diff, packages, python, machine, device and `execution` settings."""
    return {
        "git": _git(),
        "packages": {name: _version(name) for name in (*MAIN_PACKAGES, *_OTHER_PACKAGES)},
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "hostname": socket.gethostname(),
        "cpus": os.cpu_count(),
        "device": device,
        "python_hash_seed": os.environ.get("PYTHONHASHSEED"),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
        "execution": execution,
        "panels": {},
    }


def check_same(previous: dict[str, Any], current: dict[str, Any], *, where: str) -> None:
    """Raise StoreError, naming the key that differs, unless `current` may continue what `previous` began.

    Compared are the main packages and the panels that both have used; `where` names the run in the message.
    """
    for section, keys in (("packages", MAIN_PACKAGES), ("panels", tuple(previous["panels"]))):
        for key in keys:
            before, now = previous[section].get(key), current[section].get(key)
            if before != now and not (section == "panels" and now is None):
                raise StoreError(
                    f"{where}: {section}.{key} differs from the run's first attempt: {before} then, {now} now",
                    "go back to what the run began with, or remove the run's folder to start it afresh",
                )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Commit and uncommitted changes of the source tree this package runs from; None for an installed wheel."""
    root = Path(paw_bench.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    commit = _git_output(root, "rev-parse", "HEAD")
    diff = _git_output(root, "diff", "HEAD")
    if commit is None or diff is None:
        return None
    return {
        "commit": commit.decode().strip(),
        "dirty": bool(diff),
        "diff_sha256": hashlib.sha256(diff).hexdigest() if diff else None,
        "diff": diff[:_DIFF_BYTES].decode(errors="replace"),
        "diff_truncated": len(diff) > _DIFF_BYTES,
    }


def _git_output(root: Path, *arguments: str) -> bytes | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return None
