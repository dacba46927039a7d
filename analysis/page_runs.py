"""One run on the page: what it is, how it went, its curves, and a sample of its evaluation episodes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.grid import Grid
from analysis.load import Results
from analysis.page_charts import Chart, charts
from analysis.page_samples import Samples
from analysis.page_sources import Sources
from analysis.page_tables import TableView, table_view
from analysis.words import NOTHING, arm_at, number

_SAMPLE_COLUMNS = ("Task type", "Game", "Before", "After", "Turns", "Accepted actions", "Action tokens")
_SAMPLE_NOTE = (
    "The first game of each task type, after training; before: the same game before training. Accepted actions in "
    "percent."
)


@dataclass(frozen=True, slots=True)
class RunView:
    """What the template writes of one run."""

    anchor: str
    run_id: str
    title: str
    status: str
    reason: str
    facts: list[tuple[str, str]]
    charts: list[Chart]
    updates: int
    episodes: TableView | None
    samples: Samples | None
    """None for a run that has not begun, or whose files cannot be used."""
    config: str
    """Anchor of its config; empty where it has none."""


def run_views(results: Results, sources: Sources, samples: Mapping[str, Samples]) -> list[RunView]:
    """Every planned run, in the order of the plan. `samples`: run id -> its sample episodes."""
    metrics = _by_run(results.metrics)
    played = _by_run(_samples(results.episodes))
    planned = results.runs[results.runs["planned"]]
    views = []
    for place, run in enumerate(planned.to_dict("records"), start=1):
        run_id = run["run_id"]
        own = metrics.get(run_id)
        views.append(
            RunView(
                anchor=f"run-{place}",
                run_id=run_id,
                title=f"{arm_at(run['arm'], run['condition'])}, seed {run['seed']}",
                status=run["status"],
                reason=run["reason"],
                facts=_facts(run),
                charts=[] if own is None else charts(own),
                updates=0 if own is None else len(own),
                episodes=_sample_table(played[run_id]) if run_id in played else None,
                samples=samples.get(run_id),
                config=sources.config_of.get(run_id, ""),
            )
        )
    return views


def _facts(run: Mapping[Hashable, Any]) -> list[tuple[str, str]]:
    updates = NOTHING if pd.isna(run["updates"]) else f"{run['updates']} of {run['updates_planned']}"
    return [
        ("Run", run["run_id"]),
        ("Updates", updates),
        (
            "Success before, after (%)",
            " → ".join(number(100 * run[f"success_{end}"], 1) for end in ("before", "after")),
        ),
        ("Attempts", NOTHING if pd.isna(run["attempts"]) else str(run["attempts"])),
        *(
            (f"Minutes: {words}", number(run[f"seconds_{part}"] / 60, 1))
            for part, words in (("training", "training"), ("evaluation", "evaluation"), ("wall", "all attempts"))
        ),
        ("Commits", run["commits"] or NOTHING),
        ("SHA-256 of result.json", run["result_sha256"] or NOTHING),
    ]


def _by_run(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(run_id): own for run_id, own in rows.groupby("run_id", sort=False)}


def _samples(episodes: pd.DataFrame) -> pd.DataFrame:
    """The first episode of each run and task type after training, with its success before training."""
    after = episodes[episodes["phase"] == "after"].drop_duplicates(["run_id", "task_type"])
    game = ["run_id", "task_id", "episode_seed"]
    before = episodes.loc[episodes["phase"] == "before", [*game, "success"]]
    return after.merge(before.rename(columns={"success": "before"}), on=game, how="left")


def _sample_table(rows: pd.DataFrame) -> TableView:
    cells = tuple(
        (
            row["task_type"],
            row["task_id"],
            NOTHING if pd.isna(row["before"]) else _won(row["before"]),
            _won(row["success"]),
            str(row["turns"]),
            number(100 * row["accepted_share"], 0),
            number(row["tokens.action"], 0),
        )
        for row in rows.to_dict("records")
    )
    return table_view(Grid("episodes", "Sample of evaluation episodes", _SAMPLE_COLUMNS, cells, (_SAMPLE_NOTE,)))


def _won(success: bool) -> str:
    return "won" if success else "lost"
