"""One attempt at a run, from the lock to the reason why it ended: what `paw-bench run RUN_DIR` does."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from paw_bench.errors import StoreError, UserError
from paw_bench.store.run_directory import RunDirectory
from paw_bench.sweep.causes import cause_of
from paw_bench.sweep.outcome import outcome_of
from paw_bench.sweep.siblings import refused_sibling
from paw_bench.sweep.signals import Interrupted, interruptible

Body = Callable[[RunDirectory], object]
"""Computes a run and publishes its result."""


def supervise(path: Path, body: Body) -> int:
    """Work on the run at `path` until it is done; returns the exit code (0 done, 1 failed, 128 + n signal n).

    A run with a valid result, or that a study stopped for good, is left alone. The reason of every other end is
    journalled. Raises StoreError when the folder cannot be worked on: another attempt holds it, or it may not be
    resumed here.
    """
    directory = RunDirectory(path)
    if _is_over(directory):
        return 0
    try:
        with interruptible(), directory.lock():
            if _is_over(directory):
                return 0
            _open_attempt(directory)
            return _attempt(directory, body)
    except Interrupted as interruption:
        return interruption.exit_code


def _is_over(directory: RunDirectory) -> bool:
    if directory.result() is None:
        pruned = directory.pruned()
        if pruned is not None:
            print(f"run {directory.info.run_id} was stopped for good: {pruned['reason']}")
        return pruned is not None
    directory.remove_checkpoints()
    print(f"run {directory.info.run_id} is done already: {directory.path / 'result.json'}")
    return True


def _open_attempt(directory: RunDirectory) -> None:
    from paw_bench.sweep.identity import run_id

    try:
        expected = run_id(directory.config.experiment)
        if expected != directory.info.run_id:
            raise StoreError(
                f"{directory.path / 'config.json'}: run_id is {directory.info.run_id}, its experiment gives {expected}",
                "the config was changed by hand: plan the change as an arm or with --set instead",
            )
        job = _job()
        sibling = refused_sibling(directory) if job else None
        if sibling:
            raise UserError(sibling, "mend it, then: paw-bench retry")
        attempt = directory.new_attempt()
    except UserError as error:
        directory.journal("attempt_refused", reason=str(error), cause=cause_of(error), job=_job())
        raise
    log = attempt.log.relative_to(directory.path).as_posix()
    directory.journal("attempt_started", pid=os.getpid(), hostname=socket.gethostname(), log=log, job=job)
    _send_output_to(attempt.log)


def _job() -> str | None:
    """The Slurm job that this process belongs to, as squeue names it, or None."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ.get("SLURM_JOB_ID")


def _send_output_to(log: Path) -> None:
    """Let the log take what this process and its children print, crashes in C included.

    On a terminal the output stays there; tracebacks go to the log in either case.
    """
    if sys.stdout.isatty():
        return
    print(f"log: {log}", flush=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())
    os.close(descriptor)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _attempt(directory: RunDirectory, body: Body) -> int:
    assert directory.attempt is not None
    try:
        body(directory)
        if directory.result() is None:
            raise RuntimeError("the run ended without publishing a result")
    except Interrupted as interruption:
        directory.journal("attempt_ended", outcome="interrupted", reason=str(interruption))
        raise
    except BaseException as error:
        text = traceback.format_exc()
        print(text, file=sys.stderr, flush=True)
        if sys.stdout.isatty():
            directory.attempt.log.write_text(text)
        told = outcome_of(error)
        directory.journal("attempt_ended", outcome="failed", **told)
        return 2 if told["refused"] else 1
    directory.journal("attempt_ended", outcome="done", reason="")
    print(f"run {directory.info.run_id} is done: {directory.path / 'result.json'}")
    return 0
