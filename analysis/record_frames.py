"""The records of one run as checked columns; refused is what would make a number wrong."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain, compress
from operator import itemgetter
from typing import Any

import numpy as np

from analysis.frames import (
    EPISODES,
    EVALUATION,
    FIXED_TRANSITIONS,
    METRICS,
    RUN_KEY,
    SPARSE,
    Columns,
    Table,
    checked_columns,
    table,
)
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
    """The update after which an evaluation phase took place. Raises ValueError where there is no such phase."""
    if phase in ends:
        return ends[phase]
    found = re.fullmatch(r"update-(\d{1,9})", phase)
    if found is None or int(found[1]) > ends["after"]:
        raise ValueError(f"phase is {phase!r:.60}, expected before, after or update-000010 within the planned updates")
    return int(found[1])


def metrics_table(records: Sequence[Record]) -> tuple[Table, list[str]]:
    """The columns of `metrics.jsonl`, and a line for each value that is missing in some updates only.

    Raises ValueError where the updates are not 1, 2, 3, ... or a value cannot be right.
    """
    columns = _without_key(METRICS)
    held = _held(records)
    values = _columns(held, records, columns, source="metrics.jsonl") | _others(held, records, columns)
    metrics = checked_columns(values, columns, source="metrics.jsonl")
    if not np.array_equal(metrics["update"], np.arange(1, len(records) + 1)):
        raise ValueError("metrics.jsonl does not hold updates 1, 2, 3, ... once each")
    lines = []
    for name, column in metrics.items():
        missing = np.isnan(column)
        if 0 < missing.sum() < len(missing) and name not in SPARSE:
            lines.append(
                f"metrics.jsonl: {name} has no value in {missing.sum()} of {len(missing)} updates "
                f"(first: update {missing.argmax() + 1}); means leave these updates out"
            )
    return metrics, lines


def episodes_table(records: Sequence[Record]) -> Table:
    """The columns of `episodes.jsonl`. Raises ValueError where an episode is there twice or a value cannot be right."""
    columns = _without_key(EPISODES)
    values = _columns(_held(records), records, {**columns, "seed": "int64"}, source="episodes.jsonl")
    values["episode_seed"] = values.pop("seed")
    values["task_type"] = [
        TASK_TYPES.get(kind, kind) if isinstance(kind, str) else kind for kind in values["task_type"]
    ]
    episodes = checked_columns({name: values[name] for name in columns}, columns, source="episodes.jsonl")
    if ALL in values["task_type"]:
        raise ValueError(f"episodes.jsonl: task_type is {ALL!r}, which stands for all of them")
    if len(set(zip(values["phase"], values["task_id"], values["episode_seed"], strict=True))) < len(records):
        raise ValueError("episodes.jsonl holds an episode twice")
    return episodes


def evaluation_rows(episodes: Table, ends: Ends) -> list[Row]:
    """Success by phase and task type, and over all, from the episodes. Raises ValueError where a phase mixes panels."""
    rows: list[Row] = []
    phases, types, success = (episodes[name].tolist() for name in ("phase", "task_type", "success"))
    games, wins = Counter(zip(phases, types, strict=True)), Counter(compress(zip(phases, types, strict=True), success))
    scores = _mean_scores(phases, types, episodes["score"])
    panels = set(zip(phases, episodes["panel"], episodes["panel_hash"], strict=True))
    for phase in dict.fromkeys(phases):
        (_, panel, panel_hash), *others = [own for own in panels if own[0] == phase]
        if others:
            raise ValueError(f"episodes.jsonl: phase {phase!r} mixes panels")
        counts = {kind: (wins[phase, kind], games[phase, kind]) for kind in sorted(set(types)) if games[phase, kind]}
        counts[ALL] = sum(won for won, _ in counts.values()), sum(played for _, played in counts.values())
        for task_type, (won, played) in counts.items():
            row: Row = {"phase": phase, "update": update_of(phase, ends), "task_type": task_type}
            row |= {"success": won / played, "score": scores.get((phase, task_type)), "games": played}
            row |= {"panel": panel, "panel_hash": panel_hash}
            rows.append(row)
    return rows


def _mean_scores(phases: Sequence[str], types: Sequence[str], scores: np.ndarray) -> dict[tuple[str, str], float]:
    """(phase, task type or `all`) -> mean score, of those whose every episode was graded."""
    if np.isnan(scores).all():
        return {}
    graded: dict[tuple[str, str], list[float]] = {}
    for phase, kind, score in zip(phases, types, scores.tolist(), strict=True):
        graded.setdefault((phase, kind), []).append(score)
        graded.setdefault((phase, ALL), []).append(score)
    return {place: float(np.mean(own)) for place, own in graded.items() if not np.isnan(own).any()}


def evaluation_table(rows: Sequence[Row], result_sha256: str) -> Table:
    """The columns of the evaluation frame."""
    rows = [{**row, "result_sha256": result_sha256} for row in rows]
    return table(rows, _without_key(EVALUATION), source="evaluation")


def fixed_table(records: Sequence[Record], ends: Ends) -> tuple[Table, list[str]]:
    """The columns of `fixed_transitions.jsonl`, and a line for each phase with a missing value.

    Raises ValueError where a phase is there twice or a value cannot be right.
    """
    columns = _without_key(FIXED_TRANSITIONS)
    phases = table(records, {"phase": "str"}, source="fixed_transitions.jsonl")["phase"].tolist()
    rows = [{**record, "update": update_of(phase, ends)} for record, phase in zip(records, phases, strict=True)]
    fixed = table(rows, columns, source="fixed_transitions.jsonl")
    if len(set(phases)) < len(phases):
        raise ValueError("fixed_transitions.jsonl holds a phase twice")
    holes = np.isnan([fixed[name] for name in ("nll", "perplexity", "accuracy")]).any(axis=0)
    return fixed, [
        f"fixed_transitions.jsonl: phase {phase!r} lacks a value; means leave it out" for phase in fixed["phase"][holes]
    ]


def check_result(result: Record, evaluation: Sequence[Row], run: Row) -> None:
    """Raise ValueError where the published numbers are not those of the episodes."""
    if run["updates"] != result["updates"] or run["updates"] != run["updates_planned"]:
        raise ValueError(
            f"result.json tells of {result['updates']!r:.40} updates, metrics.jsonl of {run['updates']}, "
            f"the plan of {run['updates_planned']}"
        )
    said: dict[tuple[str, str], tuple[Any, Any]] = {}
    for phase, summary in result["evaluation"].items():
        if summary is None:
            continue
        said[phase, ALL] = summary["success"], summary["games"]
        for name, group in summary["by_type"].items():
            said[phase, TASK_TYPES.get(name, name)] = group["success"], group["games"]
    if len({(row["panel"], row["panel_hash"], row["games"]) for row in evaluation if row["task_type"] == ALL}) > 1:
        raise ValueError("episodes.jsonl: the phases were not played on the same games")
    if ("after", ALL) not in said:
        raise ValueError("result.json has no evaluation after training")
    played = {(row["phase"], row["task_type"]): (row["success"], row["games"]) for row in evaluation}
    for cell, (success, games) in said.items():
        found, found_games = played.get(cell, (math.nan, 0))
        if type(success) not in {int, float} or not math.isclose(success, found, abs_tol=1e-9):
            raise ValueError(f"result.json says success {success!r:.40} for {' / '.join(cell)}, episodes.jsonl {found}")
        if games != found_games:
            raise ValueError(
                f"result.json says {games!r:.40} games for {' / '.join(cell)}, episodes.jsonl {found_games}"
            )


def _without_key(columns: Columns) -> Columns:
    return {name: dtype for name, dtype in columns.items() if name not in RUN_KEY}


def _columns(held: Held, records: Sequence[Record], columns: Columns, *, source: str) -> Held:
    """The values of `columns`, None where one is missing; `group.name` is the value `name` of the object `group`.

    `held`: what `_held` finds in `records`. Raises ValueError where a group is something else than an object.
    """
    values: Held = {}
    nothing = [None] * len(records)
    for group, names in _by_group(tuple(columns)).items():
        found = held
        if group:
            parts = _parts(held, records, group)
            if not {dict}.issuperset(map(type, parts)):
                raise ValueError(f"{source}: {group} is no group of values in every record")
            found = _held(parts)
        values |= {f"{group}.{name}" if group else name: found.get(name, nothing) for name in names}
    return {column: values[column] for column in columns}


@cache
def _by_group(columns: tuple[str, ...]) -> dict[str, list[str]]:
    """Group -> names in it; those outside of every group stand under an empty text."""
    groups: dict[str, list[str]] = {}
    for column in columns:
        group, dot, name = column.partition(".")
        groups.setdefault(group if dot else "", []).append(name if dot else column)
    return groups


Held = dict[str, Sequence[Any]]
"""Name -> the value of each record, None where it lacks the name."""


def _held(parts: Sequence[Record]) -> Held:
    """Everything that the parts hold. Nearly always all have the same names: then no value is looked up in Python."""
    names = list(parts[0]) if parts else []
    if len(names) > 1 and {len(names)}.issuperset(map(len, parts)):
        with suppress(KeyError):
            return dict(zip(names, zip(*map(itemgetter(*names), parts), strict=True), strict=True))
    every = dict.fromkeys(chain.from_iterable(parts))
    return {name: [part.get(name) for part in parts] for name in every}


def _parts(held: Held, records: Sequence[Record], group: str) -> Sequence[Any]:
    """The group of each record, empty where it has none."""
    parts = held.get(group, [None])
    return [record.get(group, {}) for record in records] if None in parts else parts


def _others(held: Held, records: Sequence[Record], columns: Columns) -> Held:
    """Numbers that the records hold beyond `columns`, by column."""
    groups = {name.partition(".")[0] for name in columns}
    plain = [name for name in sorted(held) if "." not in name and name not in {*columns, *RUN_KEY, *groups}]
    found: Held = {name: held[name] for name in plain}
    for group in sorted(held):
        if group in columns or dict not in set(map(type, held[group])):
            continue
        parts = _parts(held, records, group)
        if {dict}.issuperset(map(type, parts)):
            inner = _held(parts)
            found |= {f"{group}.{name}": inner[name] for name in sorted(inner) if f"{group}.{name}" not in columns}
    numbers = {int, float, type(None)}
    return {
        name: values for name, values in found.items() if name not in columns and numbers.issuperset(map(type, values))
    }
