"""Changes of a run's execution that a failure asked for: recorded in its journal, and kept when it is planned again."""

from __future__ import annotations

from pathlib import Path

from paw_bench.config.schema import RunConfig
from paw_bench.store.jsonl import Record
from paw_bench.store.run_directory import RunDirectory, RunInfo

_KEY = "micro_batch_rows"


def can_be_halved(directory: RunDirectory, *, submission: str) -> bool:
    """Whether the run had more than one row in a micro-batch when `submission` of it ran out of memory.

    A pass may have recorded the half and died before it submitted the run with it.
    """
    change = _change_after(directory, submission)
    return (change["before"] if change else directory.config.execution.micro_batch_rows) > 1


def halve_micro_batch(directory: RunDirectory, *, submission: str) -> RunDirectory:
    """Let the run go on with half the rows in a micro-batch: the same effective batch, summed in another order.

    `submission` is the one that ran out of memory: for each of them the rows are halved once, however often a pass is
    cut off and made again. Call it for a run that nobody works on.
    """
    if _change_after(directory, submission) is None:
        rows = directory.config.execution.micro_batch_rows
        numerics = "order of summation"
        directory.journal(
            "execution_changed",
            key=_KEY,
            before=rows,
            after=rows // 2,
            cause="out of memory",
            numerics=numerics,
            submission=submission,
        )
    return make_folder(directory.path, directory.info, directory.config)


def make_folder(path: Path, info: RunInfo, config: RunConfig) -> RunDirectory:
    """The run's folder with its config as planned now, and in it what the run's journal says was changed."""
    return RunDirectory.create(path, info, _with_recorded_changes(config, RunDirectory(path).events()))


def _with_recorded_changes(config: RunConfig, events: list[Record]) -> RunConfig:
    rows = [event["after"] for event in events if event["event"] == "execution_changed"]
    return _with_rows(config, min(rows[-1], config.execution.micro_batch_rows)) if rows else config


def _change_after(directory: RunDirectory, submission: str) -> Record | None:
    """The change that `submission` led to, where it is the last one."""
    changes = [event for event in directory.events() if event["event"] == "execution_changed"]
    return changes[-1] if changes and changes[-1]["submission"] == submission else None


def _with_rows(config: RunConfig, rows: int) -> RunConfig:
    return config.model_copy(update={"execution": config.execution.model_copy(update={_KEY: rows})})
