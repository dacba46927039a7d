"""The environment variables of a run's process: thread counts, malloc and hub settings that act at its start."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from paw_bench.config.schema import ExecutionConfig

_GIB = 1 << 30


def run_environment(execution: ExecutionConfig, current: Mapping[str, str]) -> dict[str, str]:
    """`current` with what a run needs. Threads and hash seed are fixed; the rest is set where the user set nothing.

    The OpenMP and malloc settings are worth a factor of 2 to 8 for small models on a busy machine: waiting threads
    must not spin, and large tensors must not go back to the system after every step.
    """
    threads = str(execution.threads)
    defaults = {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_WAIT_POLICY": "PASSIVE",
        "MALLOC_MMAP_THRESHOLD_": str(4 * _GIB),
        "MALLOC_TRIM_THRESHOLD_": str(8 * _GIB),
    }
    fixed = {
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
    }
    return {**defaults, **current, **fixed}


def environment_changes(execution: ExecutionConfig) -> dict[str, str]:
    """What a run's process needs on top of this process's environment."""
    wanted = run_environment(execution, os.environ)
    return {key: value for key, value in wanted.items() if os.environ.get(key) != value}


def ensure_environment(execution: ExecutionConfig) -> None:
    """Start this process again, in place, when it was not started with `run_environment`.

    malloc and Python's hash seed read their variables once, at the start of a process.
    """
    changes = environment_changes(execution)
    if changes:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **changes})
