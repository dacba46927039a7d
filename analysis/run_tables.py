"""Tables about the runs: the world model, time and tokens, every run's state, what each arm changes."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.grid import Grid
from analysis.grouping import Part, empty, grouped
from analysis.honesty import Origins, notes, signed
from analysis.load import Results
from analysis.statistics import Interval, t_interval
from analysis.words import MARK_NOTE, NOTHING, estimate, mean_and_range, number

_TOKENS = ("prompt", "action", "observation")


def world_model(results: Results) -> Grid:
    """Next-observation prediction on the fixed transitions, and the term's dynamics, averaged over updates."""
    rows: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    sets: dict[str, set[str]] = {}
    origins, doubts = Origins(results), []
    used = ("phase", "set_hash", "perplexity", "accuracy")
    fixed_rows = results.fixed_transitions[results.fixed_transitions["run_id"].isin(results.done()["run_id"])]
    parts, nothing = grouped(fixed_rows, ("condition", "arm"), used), empty(fixed_rows, used)
    for condition in results.conditions:
        if condition:
            headings[len(rows)] = condition
        for arm in results.arms:
            done = results.done_of(condition, arm)
            fixed = parts.get((condition, arm), nothing)
            means = results.run_means(condition, arm)
            sets.setdefault(condition, set()).update(fixed["set_hash"])
            on = bool(done["world_model"].all())
            marks = origins.marks(done["run_id"], planned=results.planned(condition, arm), mixed_games=False)
            doubts.append(marks)
            cells = (
                *(_phase(fixed, "perplexity", phase, digits=2) for phase in ("before", "after")),
                *(_phase(fixed, "accuracy", phase, factor=100) for phase in ("before", "after")),
                _over_updates(means, "wm.lambda_mean", on, digits=2),
                _over_updates(means, "wm.clipped_share", on, factor=100),
                _over_updates(means, "wm.selected_share", on, factor=100),
            )
            rows.append((arm, *(cell if cell == NOTHING else signed(cell, marks) for cell in cells)))
    columns = ("Arm", "Perplexity before", "after", "Accuracy before", "after", "Mean λ", "Clipped", "Selected")
    said = [
        "Perplexity and top-1 accuracy (percent) of the next observation's tokens, on one fixed set of transitions; "
        "λ, clipped and selected share (percent): mean over all updates. "
        "Mean ± half-width of the 95 % t interval over seeds of finished runs.",
        "In brackets: the arm trains without the term; measured on the same forward pass, without gradient.",
        MARK_NOTE + ".",
    ]
    if notes(doubts):
        said.append(f"{notes(doubts)}.")
    for condition, found in sets.items():
        where = f" of {condition}" if condition else ""
        names = ", ".join(one[:12] for one in sorted(found))
        if len(found) == 1:
            said.append(f"Fixed set{where}: {names}.")
        elif found:
            said.append(f"NOT COMPARABLE: the runs{where} used different fixed sets {names}.")
    return Grid("world-model", f"{results.name}: world model", columns, tuple(rows), tuple(said), headings, wide=True)


def cost(results: Results) -> Grid:
    """Predicted beside measured time, and tokens, of finished runs."""
    rows: list[tuple[str, ...]] = []
    behind: list[tuple[str, ...]] = []
    origins, doubts = Origins(results), []
    headings: dict[int, str] = {}
    spent = results.metrics.groupby("run_id")[[f"tokens.{part}" for part in _TOKENS]].sum(min_count=1)
    for condition in results.conditions:
        if condition:
            headings[len(rows)] = condition
        for arm in results.arms:
            done = results.done_of(condition, arm)
            metrics = results.metrics_of(condition, arm)
            behind.append(results.run_ids(condition, arm))
            planned = results.planned(condition, arm)
            doubts.append(origins.marks(behind[-1], planned=planned, mixed_games=False))
            tokens = spent.reindex(sorted(behind[-1]))
            rows.append(
                (
                    arm,
                    signed(str(len(done)), doubts[-1]),
                    number(done["seconds_predicted"].mean() / 60, 1),
                    mean_and_range(done["seconds_wall"] / 60),
                    number(done["seconds_training"].mean() / 60, 1),
                    number(done["seconds_evaluation"].mean() / 60, 1),
                    number((done["seconds_wall"] - done["seconds_total"]).mean() / 60, 1),
                    number(metrics["seconds.total"].mean(), 1),
                    number(metrics["seconds.rollout"].mean(), 1),
                    number(metrics["seconds.train"].mean(), 1),
                    *(number(tokens[column].mean() / 1e3, 0) for column in tokens),
                )
            )
    columns = (
        *("Arm", "Runs", "Predicted", "Measured (range)", "Training", "Evaluation", "Rest"),
        *("s/update", "rollout", "train", "ktok prompt", *_TOKENS[1:]),
    )
    caption, said = f"{results.name}: time and tokens", [*_cost_notes(results)]
    said += [f"{notes(doubts)}."] if notes(doubts) else []
    return Grid("cost", caption, columns, tuple(rows), tuple(said), headings, wide=True, runs=tuple(behind))


def runs(results: Results) -> Grid:
    """Every run of the plan with its state and what identifies it; then folders that the plan does not hold."""
    rows = []
    for run in results.runs.to_dict("records"):
        updates = NOTHING if pd.isna(run["updates"]) else f"{run['updates']}/{run['updates_planned']}"
        attempts = NOTHING if pd.isna(run["attempts"]) else str(run["attempts"])
        where = run["condition"] or NOTHING
        rows.append(
            (
                *((run["arm"], where, str(run["seed"])) if run["planned"] else (NOTHING, NOTHING, NOTHING)),
                f"{run['status']}: {run['reason']}" if run["reason"] else run["status"],
                updates,
                *(number(100 * run[f"success_{phase}"], 1) for phase in ("before", "after")),
                attempts,
                run["run_id"],
                run["result_sha256"][:12] or NOTHING,
                " ".join(commit[:10] + commit[40:] for commit in run["commits"].split()) or NOTHING,
            )
        )
    columns = ("Arm", "Axes", "Seed", "Status", "Updates", "Before", "After", "Attempts", "Run", "Result", "Commit")
    notes = (
        "Before, after: success in percent over all evaluation episodes. Run: folder below runs/. Result: SHA-256 of "
        "its result.json, which holds those of its files. Commit: + where the tree held uncommitted changes.",
    )
    return Grid("runs", f"{results.name}: runs", columns, tuple(rows), notes, wide=True)


def changes(results: Results) -> Grid:
    """What each arm changes against the base, as the plan proved it."""
    rows = [
        (arm, key, str(change["base"]), str(change["arm"]))
        for arm in results.arms
        for key, change in (results.changes[arm] or {"nothing": {"base": "", "arm": ""}}).items()
    ]
    return Grid("changes", f"{results.name}: arms", ("Arm", "Key", "Base", "Arm's value"), tuple(rows))


def _cost_notes(results: Results) -> Iterable[str]:
    yield (
        "Minutes a run, mean over finished runs (rest: start-up and lost work), then seconds an update, and training "
        "tokens a run in thousands (prompts are counted in every row that repeats them; evaluation apart)."
    )
    done = results.done()
    if math.isnan(results.seconds_predicted):
        yield "The time of the whole sweep could not be predicted when it began."
    else:
        yield f"Predicted: {results.seconds_predicted / 60:.1f} min with {results.parallel} runs at a time."
    if len(done) and done["started"].notna().any():
        wall = done["published"].max() - done["started"].min()
        yield (
            f"Measured: {wall / 60:.1f} min from the first start to the last of {len(done)} results (pauses between "
            f"calls included); {done['seconds_wall'].sum() / 60:.1f} min of runs added up."
        )


def _phase(fixed: Part, column: str, phase: str, *, digits: int = 1, factor: float = 1) -> str:
    values = fixed[column][fixed["phase"] == phase]
    return _interval(t_interval(values[np.isfinite(values)]), digits=digits, factor=factor)


def _over_updates(means: pd.DataFrame, column: str, on: bool, *, digits: int = 1, factor: float = 1) -> str:
    words = _interval(t_interval(means[column].dropna().to_numpy()), digits=digits, factor=factor)
    return words if on or words == NOTHING else f"({words})"


def _interval(interval: Interval, *, digits: int, factor: float) -> str:
    return estimate(factor * interval.mean, factor * interval.half_width, interval.gap, digits=digits)
