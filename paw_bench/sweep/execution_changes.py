"""Changes of a run's execution that a failure asked for: recorded in its journal, and kept when it is planned again."""

from __future__ import annotations

from paw_bench.config.schema import RunConfig
from paw_bench.store.jsonl import Record
from paw_bench.store.run_directory import RunDirectory

_KEY = "micro_batch_rows"


def halve_micro_batch(directory: RunDirectory) -> RunDirectory:
    """Let the run go on with half the rows in a micro-batch: the same effective batch, summed in another order.

    Call it for a run that nobody works on.
    """
    before = directory.config.execution.micro_batch_rows
    after = max(1, before // 2)
    config = _with_rows(directory.config, after)
    changed = RunDirectory.create(directory.path, directory.info, config)
    changed.journal(
        "execution_changed", key=_KEY, before=before, after=after, cause="out_of_memory", numerics="order of summation"
    )
    return changed


def with_recorded_changes(config: RunConfig, events: list[Record]) -> RunConfig:
    """The planned config with what the run's journal says was changed."""
    rows = [event["after"] for event in events if event["event"] == "execution_changed"]
    return _with_rows(config, min(rows[-1], config.execution.micro_batch_rows)) if rows else config


def _with_rows(config: RunConfig, rows: int) -> RunConfig:
    return config.model_copy(update={"execution": config.execution.model_copy(update={_KEY: rows})})
