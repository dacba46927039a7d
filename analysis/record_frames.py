"""The records of one run as frames, each checked for what would make its numbers wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.frames import EPISODES, EVALUATION, FIXED_TRANSITIONS, METRICS, RUN_KEY, frame
from paw_bench.store.jsonl import Record

Row = dict[str, Any]

TASK_TYPES = {
    "pick_and_place_simple": "pick",
    "look_at_obj_in_light": "look",
    "pick_clean_then_place_in_recep": "clean",
    "pick_heat_then_place_in_recep": "heat",
    "pick_cool_then_place_in_recep": "cool",
    "pick_two_obj_and_place": "pick2",
}
"""ALFWorld's task types -> the column names of the published tables, in their order."""

ALL = "all"
"""The task type of a row over every episode."""


Ends = Mapping[str, int]
"""Phase -> update, for `before` and `after`."""


def update_of(phase: str, ends: Ends) -> int:
    """The update after which an evaluation phase took place."""
    return ends[phase] if phase in ends else int(phase.removeprefix("update-"))


def _flat(record: Record) -> Row:
    flat: Row = {}
    for name, value in record.items():
        flat |= {f"{name}.{inner}": item for inner, item in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def metrics_frame(records: list[Record], key: Row) -> tuple[pd.DataFrame, list[str]]:
    """The frame of `metrics.jsonl`, and a line for each value that is missing in some updates only.

    Raises ValueError where the updates are not 1, 2, 3, ... or a value is of the wrong type.
    """
    rows = [{**_flat(record), **key} for record in records]
    others = {
        name: "float64"
        for name in sorted({name for row in rows for name in row} - set(METRICS))
        if all(row.get(name) is None or type(row[name]) in {int, float} for row in rows)
    }
    metrics = frame(rows, {**METRICS, **others}, source="metrics.jsonl")
    if metrics["update"].tolist() != list(range(1, len(metrics) + 1)):
        raise ValueError("metrics.jsonl does not hold updates 1, 2, 3, ... once each")
    missing = metrics.isna()
    holes = [name for name in metrics if 0 < missing[name].sum() < len(metrics)]
    lines = [
        f"metrics.jsonl: {name} has no value in {missing[name].sum()} of {len(metrics)} updates "
        f"(first: update {metrics['update'][missing[name]].iloc[0]}); means leave these updates out"
        for name in holes
    ]
    return metrics, lines


def episodes_frame(records: list[Record], key: Row) -> pd.DataFrame:
    """The frame of `episodes.jsonl`. Raises ValueError where an episode is there twice or a value is missing."""
    rows = [
        {
            **_flat(record),
            **key,
            "task_type": TASK_TYPES.get(record.get("task_type", ""), record.get("task_type")),
            "episode_seed": record.get("seed"),
        }
        for record in records
    ]
    episodes = frame(rows, EPISODES, source="episodes.jsonl")
    if episodes.duplicated(["phase", "task_id", "episode_seed"]).any():
        raise ValueError("episodes.jsonl holds an episode twice")
    return episodes


def evaluation_frame(episodes: pd.DataFrame, run: Row, ends: Ends) -> pd.DataFrame:
    """Success by phase and task type, from the episodes. Raises ValueError where a phase mixes panels."""
    rows: list[Row] = []
    for phase, played in episodes.groupby("phase", sort=False):
        if played["panel_hash"].nunique() != 1:
            raise ValueError(f"episodes.jsonl: phase {phase!r} mixes panels")
        types = sorted(set(played["task_type"]))
        for task_type in (*types, ALL):
            wins = played["success"] if task_type == ALL else played["success"][played["task_type"] == task_type]
            rows.append(
                {
                    **{name: run[name] for name in RUN_KEY},
                    "phase": phase,
                    "update": update_of(str(phase), ends),
                    "task_type": task_type,
                    "success": float(wins.mean()),
                    "games": len(wins),
                    "panel": played["panel"].iloc[0],
                    "panel_hash": played["panel_hash"].iloc[0],
                    "result_sha256": run["result_sha256"],
                }
            )
    return frame(rows, EVALUATION)


def fixed_frame(records: list[Record], key: Row, ends: Ends) -> tuple[pd.DataFrame, list[str]]:
    """The frame of `fixed_transitions.jsonl`, and a line for each phase with a missing value."""
    fixed = frame(
        [{**record, **key, "update": update_of(record["phase"], ends)} for record in records], FIXED_TRANSITIONS
    )
    holes = fixed["phase"][fixed[["nll", "perplexity", "accuracy"]].isna().any(axis="columns")]
    return fixed, [f"fixed_transitions.jsonl: phase {phase!r} lacks a value; means leave it out" for phase in holes]


def check_result(result: Record, evaluation: pd.DataFrame, run: Row) -> None:
    """Raise ValueError where the published numbers are not those of the episodes."""
    if run["updates"] != result["updates"] or run["updates"] != run["updates_planned"]:
        raise ValueError(f"result.json tells of {result['updates']} updates, metrics.jsonl of {run['updates']}")
    said: dict[tuple[str, str], float] = {}
    for phase, summary in result["evaluation"].items():
        if summary is None:
            continue
        said[phase, ALL] = summary["success"]
        for name, group in summary["by_type"].items():
            said[phase, TASK_TYPES.get(name, name)] = group["success"]
    games = evaluation[evaluation["task_type"] == ALL][["panel", "panel_hash", "games"]].drop_duplicates()
    if len(games) > 1:
        raise ValueError("episodes.jsonl: the phases were not played on the same games")
    if ("after", ALL) not in said:
        raise ValueError("result.json has no evaluation after training")
    played = {(row["phase"], row["task_type"]): row["success"] for row in evaluation.to_dict("records")}
    for cell, success in said.items():
        found = played.get(cell, math.nan)
        if not isinstance(success, int | float) or not math.isclose(success, found, abs_tol=1e-9):
            raise ValueError(f"result.json says success {success} for {' / '.join(cell)}, episodes.jsonl {found}")
