"""The report's tables in words: the ablation, the comparisons, the world model, time and tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from analysis.cells import DIFFERENT_GAMES, task_types
from analysis.grid import Grid
from analysis.load import Results
from analysis.records import ALL
from analysis.statistics import Interval, t_interval

NOTHING = "—"
MINUS = "\N{MINUS SIGN}"
TO = "\N{EN DASH}"
_MARKS = {"": "", "one seed": " †", "no variance": " ‡"}
_MARK_NOTE = "† one seed, no interval; ‡ all seeds gave the same value, no interval; — not measured"


def ablation(results: Results, cells: pd.DataFrame, comparisons: pd.DataFrame) -> Grid:
    """Success by task type, before training, and against the reference arm; in percent and percentage points."""
    types = task_types(results)
    rows: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    for condition in results.conditions:
        if condition:
            headings[len(rows)] = condition
        for arm in results.arms:
            own = cells[(cells["condition"] == condition) & (cells["arm"] == arm)]
            cell = {(row["phase"], row["task_type"]): row for _, row in own.iterrows()}
            overall = cell["after", ALL]
            rows.append(
                (
                    arm,
                    *(_cell(cell["after", task_type]) for task_type in types),
                    _cell(cell["before", ALL]),
                    _cell(cell["gain", ALL], sign="+"),
                    *_against_reference(results, comparisons, condition, arm),
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
    for condition, group in comparisons.groupby("condition", sort=False):
        if condition:
            headings[len(rows)] = str(condition)
        for _, row in group.iterrows():
            rows.append(
                (
                    row["arm"],
                    row["reference"],
                    _difference(row),
                    row["method"] or row["gap"],
                    str(row["n"]),
                    _number(row["correlation"], 2),
                    _p(row["p"]),
                    _p(row["p_holm"]),
                    _verdict(row),
                    _number(100 * row["welch_half_width"], 1, prefix="± "),
                    _p(row["welch_p"]),
                )
            )
    columns = (
        *("Arm", "Against", "Difference", "Test", "Pairs", "Correlation", "p", "p (Holm)", "Verdict"),
        *("Welch interval", "Welch p"),
    )
    notes = (
        "Success over all episodes after training, in percentage points, with the 95 % t interval (not adjusted). "
        "Replicates are seeds; Pairs: seeds that both arms have; Correlation: between the arms over them.",
        "The test follows from the seeds, not from its outcome: paired t where the arms share at least two, "
        "else Welch's t. Welch's interval and p value are printed for comparison only.",
    )
    return Grid("comparisons", f"{results.name}: comparisons", columns, tuple(rows), notes, headings, wide=True)


def world_model(results: Results) -> Grid:
    """Next-observation prediction on the fixed transitions, and the term's dynamics, averaged over updates."""
    rows: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    sets: set[str] = set()
    for condition in results.conditions:
        if condition:
            headings[len(rows)] = condition
        for arm in results.arms:
            done = results.done(condition)
            done = done[done["arm"] == arm]
            fixed = results.fixed_transitions[results.fixed_transitions["run_id"].isin(done["run_id"])]
            metrics = results.metrics[results.metrics["run_id"].isin(done["run_id"])]
            sets |= set(fixed["set_hash"])
            on = bool(done["world_model"].all())
            rows.append(
                (
                    arm,
                    *(_phase(fixed, "perplexity", phase, digits=2) for phase in ("before", "after")),
                    *(_phase(fixed, "accuracy", phase, factor=100) for phase in ("before", "after")),
                    _over_updates(metrics, "wm.lambda_mean", on, digits=2),
                    _over_updates(metrics, "wm.clipped_share", on, factor=100),
                    _over_updates(metrics, "wm.selected_share", on, factor=100),
                )
            )
    columns = ("Arm", "Perplexity before", "after", "Accuracy before", "after", "Mean λ", "Clipped", "Selected")
    notes = [
        "Perplexity and top-1 accuracy (percent) of the next observation's tokens, on one fixed set of transitions; "
        "λ, clipped and selected share (percent): mean over all updates. "
        "Mean ± half-width of the 95 % t interval over seeds of finished runs.",
        "In brackets: the arm trains without the term; measured on the same forward pass, without gradient.",
        _MARK_NOTE + ".",
    ]
    if len(sets) == 1:
        notes.append(f"Fixed set {next(iter(sets))[:12]}.")
    elif sets:
        notes.append(
            "NOT COMPARABLE: the runs used different fixed sets " + ", ".join(s[:12] for s in sorted(sets)) + "."
        )
    return Grid("world-model", f"{results.name}: world model", columns, tuple(rows), tuple(notes), headings, wide=True)


def cost(results: Results) -> Grid:
    """Predicted beside measured time, and tokens, of finished runs."""
    rows: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    for condition in results.conditions:
        if condition:
            headings[len(rows)] = condition
        for arm in results.arms:
            done = results.done(condition)
            done = done[done["arm"] == arm]
            metrics = results.metrics[results.metrics["run_id"].isin(done["run_id"])]
            tokens = metrics.groupby("run_id")[["tokens.prompt", "tokens.action", "tokens.observation"]].sum(
                min_count=1
            )
            rows.append(
                (
                    arm,
                    str(len(done)),
                    _number(done["seconds_predicted"].mean() / 60, 1),
                    _range(done["seconds_total"] / 60),
                    _number(done["seconds_training"].mean() / 60, 1),
                    _number(done["seconds_evaluation"].mean() / 60, 1),
                    _number(metrics["seconds.total"].mean(), 1),
                    _number(metrics["seconds.rollout"].mean(), 1),
                    _number(metrics["seconds.train"].mean(), 1),
                    *(_number(tokens[column].mean() / 1e6, 2) for column in tokens),
                )
            )
    columns = (
        *("Arm", "Runs", "Predicted", "Measured (range)", "Training", "Evaluation"),
        *("s/update", "rollout", "train", "Mtok prompt", "action", "observation"),
    )
    return Grid(
        "cost", f"{results.name}: time and tokens", columns, tuple(rows), tuple(_cost_notes(results)), headings, True
    )


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
                *(_number(100 * run[f"success_{phase}"], 1) for phase in ("before", "after")),
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
        "Minutes a run, mean over finished runs, then seconds an update, and training tokens a run in millions "
        "(prompts are counted in every row that repeats them; evaluation apart)."
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
            f"calls included); {done['seconds_total'].sum() / 60:.1f} min of runs added up."
        )


def _ablation_notes(results: Results, cells: pd.DataFrame, comparisons: pd.DataFrame) -> Iterable[str]:
    done, planned = results.done(), int(results.runs["planned"].sum())
    if len(done) < planned:
        yield f"PARTIAL: {len(done)} of {planned} planned runs are finished."
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
    if cells["mixed_games"].any() or (comparisons["gap"] == DIFFERENT_GAMES).any():
        yield "§ seeds evaluated on different games. Arms that were evaluated on different games are not compared."
    if len(comparisons):
        yield (
            f"Against {results.reference}: points with the 95 % t interval over seeds, {_methods(comparisons)}. "
            f"resolved: p < .05 after Holm's correction for the {len(comparisons)} planned comparisons "
            "(the intervals are not adjusted)."
        )
    yield _MARK_NOTE + "."
    if (done["games_source"] == "procedural").any():
        yield "Procedural ALFWorld-format games: not comparable with published numbers."
    commits = sorted({commit for commits in done["commits"] for commit in commits.split()})
    if commits:
        yield (
            "Commits: "
            + ", ".join(commit[:10] + ("+" if commit.endswith("+") else "") for commit in commits)
            + (" (+: with uncommitted changes)." if any(commit.endswith("+") for commit in commits) else ".")
        )


def _methods(comparisons: pd.DataFrame) -> str:
    """Which test stands where."""
    welch = comparisons["arm"][comparisons["method"] == "Welch t"].drop_duplicates()
    paired = "paired over the seeds that both arms have"
    return paired if welch.empty else f"{paired}, but by Welch's t for {', '.join(welch)}"


def _against_reference(results: Results, comparisons: pd.DataFrame, condition: str, arm: str) -> tuple[str, str]:
    if arm == results.reference:
        return "reference", ""
    pair = comparisons[
        (comparisons["condition"] == condition)
        & (comparisons["arm"] == arm)
        & (comparisons["reference"] == results.reference)
    ]
    return (_difference(pair.iloc[0]), _verdict(pair.iloc[0])) if len(pair) else (NOTHING, "not planned")


def _cell(row: pd.Series, sign: str = "") -> str:
    value = _estimate(100 * row["mean"], 100 * row["half_width"], row["gap"], sign=sign)
    return f"{value} §" if row["mixed_games"] else value


def _difference(row: pd.Series) -> str:
    return _estimate(100 * row["mean"], 100 * row["half_width"], row["gap"], sign="+")


def _verdict(row: pd.Series) -> str:
    if row["resolved"]:
        return "resolved"
    return {"no seed": NOTHING, DIFFERENT_GAMES: DIFFERENT_GAMES}.get(row["gap"], "not resolved")


def _phase(fixed: pd.DataFrame, column: str, phase: str, *, digits: int = 1, factor: float = 1) -> str:
    values = fixed[column][fixed["phase"] == phase].dropna()
    return _interval(t_interval(values.to_numpy()), digits=digits, factor=factor)


def _over_updates(metrics: pd.DataFrame, column: str, on: bool, *, digits: int = 1, factor: float = 1) -> str:
    values = metrics.groupby("run_id")[column].mean().dropna()
    words = _interval(t_interval(values.to_numpy()), digits=digits, factor=factor)
    return words if on or words == NOTHING else f"({words})"


def _interval(interval: Interval, *, digits: int, factor: float) -> str:
    return _estimate(factor * interval.mean, factor * interval.half_width, interval.gap, digits=digits)


def _estimate(mean: float, half_width: float, gap: str, *, digits: int = 1, sign: str = "") -> str:
    if math.isnan(mean):
        return NOTHING
    words = _number(mean, digits, sign=sign)
    if gap:
        return words + _MARKS[gap]
    return f"{words} ± {half_width:.{digits}f}" if half_width <= 100 else f"{words} ± >100"


def _number(value: float, digits: int, *, sign: str = "", prefix: str = "") -> str:
    """Fixed digits with a real minus sign; a rounded zero has none."""
    if math.isnan(value):
        return NOTHING
    rounded = round(float(value), digits) + 0.0
    return prefix + f"{rounded:{sign}.{digits}f}".replace("-", MINUS)


def _p(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def _range(values: pd.Series) -> str:
    if values.empty:
        return NOTHING
    mean = _number(values.mean(), 1)
    return mean if len(values) == 1 else f"{mean} ({_number(values.min(), 1)}{TO}{_number(values.max(), 1)})"
