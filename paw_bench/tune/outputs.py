"""What a study leaves in `tuning/`: the table, all trials, the figures, `best.yaml`, a copy for optuna-dashboard."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import RDBStorage

from paw_bench.store.atomic import write_bytes, writing
from paw_bench.tune.best import write_best
from paw_bench.tune.study_plan import StudyPlan
from paw_bench.tune.summary import ArmSummary, summarise
from paw_bench.tune.table import markdown, table_csv, trials_csv
from paw_bench.tune.trials import ArmStudy

_EXPORT = "optuna.sqlite3"


@dataclass(frozen=True)
class Outputs:
    """The files of a study."""

    folder: Path
    summaries: list[ArmSummary]
    table: str
    """Markdown."""
    best: list[Path]
    figures: list[Path]
    export: Path


def write_outputs(plan: StudyPlan, arms: Sequence[ArmStudy]) -> Outputs:
    """Write everything anew from the study as it stands now. Raises StoreError where that is not possible."""
    from paw_bench.tune.figures import write_figures

    folder = plan.folder / "tuning"
    summaries = summarise(plan, arms)
    table = markdown(plan, summaries)
    texts = {"table.md": table, "table.csv": table_csv(plan, summaries), "trials.csv": trials_csv(plan, arms)}
    for name, text in texts.items():
        write_bytes(folder / name, text.encode())
    best = write_best(plan.study, summaries, folder)
    figures = write_figures(plan, arms, folder / "figures")
    return Outputs(folder, summaries, table, best, figures, _export(arms, folder / _EXPORT))


def _export(arms: Sequence[ArmStudy], path: Path) -> Path:
    """A copy of the study as an SQLite file: what reads or writes it cannot harm the study itself."""
    temporary = path.with_name(f".{path.name}.tmp")
    # In memory first: on disk SQLite would sync after every value.
    copy = RDBStorage("sqlite://")
    for arm in arms:
        optuna.copy_study(from_study_name=arm.optuna.study_name, from_storage=arm.optuna._storage, to_storage=copy)
    with writing(path):
        temporary.unlink(missing_ok=True)
        with closing(sqlite3.connect(temporary)) as file, closing(copy.engine.raw_connection()) as memory:
            source = memory.driver_connection
            assert isinstance(source, sqlite3.Connection)
            source.backup(file)
        os.replace(temporary, path)
    return path
