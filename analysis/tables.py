"""The ablation table and the table of comparisons, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from analysis import honesty
from analysis.cells import DIFFERENT_GAMES, task_types
from analysis.grid import Grid
from analysis.inference import IMPROVEMENT_SEEDS
from analysis.load import Results
from analysis.record_frames import ALL
from analysis.words import MARK_NOTE, NOTHING, TO, arm_at, estimate, number, p_value

Row = Mapping[Any, Any]
"""A row of the frames of `analysis.cells`."""


def ablation(results: Results, cells: pd.DataFrame, comparisons: pd.DataFrame) -> Grid:
    """Success by task type, before training, and against the reference arm; in percent and percentage points."""
    types = task_types(results)
    rows: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    found: dict[tuple[str, str], dict[tuple[str, str], Row]] = {}
    for row in cells.to_dict("records"):
        found.setdefault((row["condition"], row["arm"]), {})[row["phase"], row["task_type"]] = row
    against = comparisons[comparisons["reference"] == results.reference].to_dict("records")
    pairs: dict[tuple[str, str], Row] = {(row["condition"], row["arm"]): row for row in against}
    for condition in results.conditions:
        if condition:
            headings[len(rows)] = condition
        for arm in results.arms:
            cell = found[condition, arm]
            overall = cell["after", ALL]
            rows.append(
                (
                    arm,
                    *(_cell(cell["after", task_type]) for task_type in types),
                    _cell(cell["before", ALL]),
                    _cell(cell["gain", ALL], sign="+"),
                    *_against_reference(pairs.get((condition, arm)), is_reference=arm == results.reference),
                    f"{overall['n']}/{overall['planned']}",
                )
            )
    return Grid(
        name=results.name,
        caption=f"{results.name} ({results.scale}): success after training",
        columns=(
            "Arm",
            *(name.capitalize() for name in types),
            "All before RL",
            "Gain",
            f"All against {results.reference}",
            "Verdict",
            "Seeds",
        ),
        rows=tuple(rows),
        notes=tuple(_ablation_notes(results, cells, comparisons)),
        headings=headings,
        wide=True,
    )


def comparison_table(results: Results, comparisons: pd.DataFrame) -> Grid:
    """Every planned comparison with its test, and Welch's beside it."""
    rows: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    block = ""
    for row in comparisons.to_dict("records"):
        if row["condition"] != block:
            block = headings[len(rows)] = row["condition"]
        rows.append(
            (
                row["arm"],
                row["reference"],
                _difference(row),
                row["method"] or row["gap"],
                str(row["n"]),
                number(row["correlation"], 2),
                number(row["pays_from"], 2),
                p_value(row["p"]),
                p_value(row["p_holm"]),
                _verdict(row),
                _detectable(row),
                _probability(row),
                number(100 * row["welch_half_width"], 1, prefix="± "),
                p_value(row["welch_p"]),
            )
        )
    columns = (
        *("Arm", "Against", "Difference", "Test", "Pairs", "Correlation", "Pays from", "p", "p (Holm)", "Verdict"),
        *("Detectable", "P(better)", "Welch interval", "Welch p"),
    )
    doubts = honesty.notes(comparisons["marks"])
    notes = (
        "Success over all episodes after training, in percentage points, with the 95 % t interval (not adjusted). "
        "Replicates are seeds; Pairs: seeds that both arms have; Correlation: between the arms over them.",
        "The test follows from the seeds, not from its outcome: paired t where the arms share at least two, "
        "else Welch's t. Welch's interval and p value are printed for comparison only. Pays from: the correlation from "
        "which on pairing gives the shorter interval at that number of pairs.",
        "Detectable: the smallest true difference, in points, that this test would resolve in 80 % of such sweeps "
        "after Holm's correction, if the spread over seeds were the one found, or the luck of the episodes where that "
        "alone is more: a rough figure with few seeds. "
        "P(better): probability that a new seed of the arm beats one of the other arm; with its 95 % interval from "
        f"{IMPROVEMENT_SEEDS} seeds on.",
        *([f"{doubts}."] if doubts else []),
    )
    return Grid("comparisons", f"{results.name}: comparisons", columns, tuple(rows), notes, headings, wide=True)


def between_arms(comparisons: Grid, reference: str) -> Grid | None:
    """The rows of the table of comparisons that the ablation table cannot show, in short; None where there are none."""
    shown = [comparisons.columns.index(column) for column in ("Arm", "Against", "Difference", "Verdict")]
    rows: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    heading = block = ""
    for place, row in enumerate(comparisons.rows):
        heading = comparisons.headings.get(place, heading)
        if row[shown[1]] == reference:
            continue
        if heading != block:
            block = headings[len(rows)] = heading
        rows.append(tuple(row[column] for column in shown))
    if not rows:
        return None
    columns = tuple(comparisons.columns[column] for column in shown)
    return Grid("between_arms", "Planned comparisons with other arms:", columns, tuple(rows), headings=headings)


def _ablation_notes(results: Results, cells: pd.DataFrame, comparisons: pd.DataFrame) -> Iterable[str]:
    done, planned = results.done(), int(results.runs["planned"].sum())
    if len(done) < planned:
        yield f"PARTIAL: {len(done)} of {planned} planned runs are finished; what is resolved now may not stay so."
    failed = results.runs[results.runs["planned"] & (results.runs["status"] == "failed")].to_dict("records")
    if failed:
        yield f"Failed runs are in no mean, which can flatter their arms: {'; '.join(map(_failure, failed))}."
    evaluated = results.evaluation[results.evaluation["run_id"].isin(done["run_id"])]
    evaluated = evaluated[(evaluated["phase"] == "after") & (evaluated["task_type"] == ALL)]
    panels = evaluated[["panel", "panel_hash", "games"]].drop_duplicates()
    where = ", ".join(
        f"{row.panel} ({row.games} games, panel {str(row.panel_hash)[:12]})" for row in panels.itertuples()
    )
    yield (
        f"Success in percent{' on ' + where if where else ''}: mean ± half-width of the 95 % t interval over seeds. "
        "All is over episodes, not the mean of the columns. Gain: All after minus before, run by run."
    )
    doubts = honesty.notes([*cells["marks"], *comparisons["marks"]])
    if doubts:
        yield f"{doubts}."
    if (comparisons["gap"] == DIFFERENT_GAMES).any():
        yield "Arms that were evaluated on different games are not compared."
    if len(comparisons):
        yield (
            f"Against {results.reference}: points with the 95 % t interval over seeds, {_methods(comparisons)}. "
            f"resolved: p < .05 after Holm's correction for the {len(comparisons)} planned comparisons "
            "(the intervals are not adjusted). In brackets: the smallest true difference, in points, that the test "
            "would resolve in 80 % of such sweeps if the spread over seeds were the one found, or the luck of the "
            "episodes where that alone is more: a rough figure with few seeds."
        )
    yield MARK_NOTE + "."
    if (done["games_source"] == "procedural").any():
        yield "Procedural ALFWorld-format games: not comparable with published numbers."
    if (done["games_source"] == "generated").any():
        yield "Generated tasks: not comparable with published numbers."
    commits = sorted({commit for commits in done["commits"] for commit in commits.split()})
    if commits:
        yield (
            "Commits: "
            + ", ".join(commit[:10] + ("+" if commit.endswith("+") else "") for commit in commits)
            + (" (+: with uncommitted changes)." if any(commit.endswith("+") for commit in commits) else ".")
        )


def _failure(run: Row) -> str:
    why = f" ({run['reason'].partition(':')[0]})" if run["reason"] else ""
    return f"{arm_at(run['arm'], run['condition'])} seed {run['seed']}{why}"


def _methods(comparisons: pd.DataFrame) -> str:
    """Which test stands where."""
    welch = comparisons["arm"][comparisons["method"] == "Welch t"].drop_duplicates()
    paired = "paired over the seeds that both arms have"
    return paired if welch.empty else f"{paired}, but by Welch's t for {', '.join(welch)}"


def _against_reference(pair: Row | None, *, is_reference: bool) -> tuple[str, str]:
    if is_reference:
        return "reference", ""
    return (NOTHING, "not planned") if pair is None else (_difference(pair), _verdict(pair))


def _cell(row: Row, sign: str = "") -> str:
    value = estimate(100 * row["mean"], 100 * row["half_width"], row["gap"], sign=sign)
    return honesty.signed(value, row["marks"])


def _difference(row: Row) -> str:
    value = estimate(100 * row["mean"], 100 * row["half_width"], row["gap"], sign="+")
    return honesty.signed(value, row["marks"])


def _verdict(row: Row) -> str:
    if row["resolved"]:
        return "resolved"
    if row["gap"] in {"no seed", DIFFERENT_GAMES}:
        return {"no seed": NOTHING}.get(row["gap"], DIFFERENT_GAMES)
    return "not resolved" + (f" ({_detectable(row)})" if row["detectable"] > 0 else "")


def _detectable(row: Row) -> str:
    """In points; more than there can be is not worth its digits."""
    return number(100 * row["detectable"], 1) if not row["detectable"] > 1 else "over 100"


def _probability(row: Row) -> str:
    value = number(row["improvement"], 2)
    if math.isnan(row["improvement_low"]):
        return value
    return f"{value} ({number(row['improvement_low'], 2)}{TO}{number(row['improvement_high'], 2)})"
