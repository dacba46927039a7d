from __future__ import annotations

import errno
from pathlib import Path

import pytest

from paw_bench.config.profile import Retries
from paw_bench.envs.pool import EnvironmentHung
from paw_bench.errors import ConfigError, UserError
from paw_bench.store.atomic import no_space
from paw_bench.store.jsonl import Record
from paw_bench.sweep.causes import cause_of, end_of, retries_left
from paw_bench.sweep.queue import Task

OPENED: Record = {"event": "attempt_started"}


def task(state: str) -> Task:
    return Task("7_1", "tiny", state, "n1", "")


def ended(outcome: str = "failed", reason: str = "ValueError: bad", **fields: object) -> Record:
    return {"event": "attempt_ended", "outcome": outcome, "reason": reason, **fields}


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


class TrainingDiverged(RuntimeError):
    """As the training loop names its own."""


class EngineParted(RuntimeError):
    """As the comparison of engine and trainer names its own."""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (MemoryError(), "out_of_memory"),
        (OutOfMemoryError(), "out_of_memory"),
        (TrainingDiverged(), "diverged"),
        (EngineParted(), "engine_parted"),
        (EnvironmentHung("3 games in a row"), "hung_environment"),
        (ConfigError(file="a.yaml", key="a", value=1, problem="no"), "config"),
        (UserError("no model"), "config"),
        (no_space(Path("metrics.jsonl")), "storage"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "storage"),
        (FileNotFoundError(errno.ENOENT, "gone"), "error"),
        (ValueError("bad"), "error"),
    ],
)
def test_what_an_exception_says_about_the_end_of_its_attempt(error: BaseException, cause: str) -> None:
    assert cause_of(error) == cause


@pytest.mark.parametrize(
    ("state", "opened", "end", "cause"),
    [
        ("PREEMPTED", OPENED, ended("interrupted", "stopped by SIGTERM"), "preempted"),
        ("TIMEOUT", OPENED, None, "time_limit"),
        ("FAILED", OPENED, ended("interrupted", "stopped by SIGUSR2"), "time_limit"),
        ("FAILED", OPENED, ended("interrupted", "stopped by SIGTERM"), "preempted"),
        ("NODE_FAIL", OPENED, None, "node_failure"),
        ("OUT_OF_MEMORY", OPENED, None, "out_of_memory"),
        ("FAILED", OPENED, ended(cause="out_of_memory"), "out_of_memory"),
        ("FAILED", OPENED, ended(cause="diverged"), "diverged"),
        ("FAILED", OPENED, ended(cause="collapsed"), "collapsed"),
        ("FAILED", OPENED, ended(cause="config"), "config"),
        ("FAILED", {"event": "attempt_refused", "reason": "packages.trl differs"}, None, "config"),
        ("FAILED", {"event": "attempt_refused", "reason": "no space left", "cause": "storage"}, None, "storage"),
        ("CANCELLED", OPENED, ended("interrupted", "stopped by SIGTERM"), "cancelled"),
        ("CANCELLED", None, None, "cancelled"),
        ("FAILED", OPENED, None, "lost"),
        ("FAILED", None, None, "not_started"),
        ("FAILED", OPENED, ended(cause="error"), "error"),
    ],
)
def test_the_cause_of_an_end(state: str, opened: Record | None, end: Record | None, cause: str) -> None:
    found = end_of(task(state), opened, end)
    assert found.cause == cause
    assert found.reason


def test_what_slurm_has_forgotten_is_told_by_the_run_itself() -> None:
    assert end_of(None, OPENED, None).cause == "lost"
    assert end_of(None, OPENED, ended(error="ValueError")).reason == "ValueError: bad"
    # Which is why docs/cluster.md says: `paw-bench cancel`, not `scancel`.
    assert end_of(None, OPENED, ended("interrupted", "stopped by SIGTERM")).cause == "preempted"


def test_a_node_failure_names_the_node() -> None:
    found = end_of(task("NODE_FAIL"), OPENED, None)
    assert (found.node, found.reason) == ("n1", "its node n1 failed")


def test_retries_are_counted_by_cause_and_some_ends_have_none() -> None:
    retries = Retries(lost=2)
    assert [retries_left(retries, "lost", spent) for spent in (0, 1, 2, 3)] == [2, 1, 0, 0]
    assert [retries_left(retries, cause, 0) for cause in ("diverged", "collapsed", "config", "cancelled", "error")] == [
        0
    ] * 5
