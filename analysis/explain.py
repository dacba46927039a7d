"""Where the number in a cell comes from: its value as the table prints it, and every run behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from analysis import cells
from analysis.files import printable
from analysis.honesty import Origins, signed
from analysis.load import Results
from analysis.record_frames import ALL
from analysis.statistics import t_interval
from analysis.words import estimate
from paw_bench.errors import UserError


class Part(NamedTuple):
    """One run behind a cell."""

    arm: str

    seed: int
    run_id: str
    value: float
    """In the unit of the cell; NaN where the cell is no mean over runs."""
    result_sha256: str
    code: str
    packages: str
    path: str
    """Of its result, below the sweep's folder."""

    @classmethod
    def of(cls, run: Mapping[Any, Any], value: float) -> Part:
        """The part of a finished run, a row of `Results.runs`."""
        own = {name: run[name] for name in ("arm", "seed", "run_id", "result_sha256", "code", "packages")}
        return cls(value=value, path=f"runs/{run['run_id']}/result.json", **own)


@dataclass(frozen=True, slots=True)
class Explained:
    """One cell."""

    cell: str
    """Its address: arm, column, and condition where there are several."""
    words: str
    """As the table prints it."""
    meaning: str
    unit: str
    mean: float
    half_width: float
    gap: str
    """Why there is no interval; empty where there is one."""
    marks: str
    parts: tuple[Part, ...]
    against: tuple[Part, ...]
    """The other arm's runs, where the cell is a difference."""
    absent: tuple[str, ...]
    """One line for each planned run that is not in the number, and why."""


class _Cell(NamedTuple):
    name: str
    condition: str
    arm: str


class _Quantity(NamedTuple):
    """What a column holds: one value a run."""

    meaning: str
    unit: str
    factor: float
    digits: int
    sign: str
    values: pd.Series
    """Run id -> value."""


def explain(results: Results, address: str) -> list[Explained]:
    """The cells with the address `ARM, COLUMN` or `ARM, COLUMN, CONDITION`; case and spacing do not matter.

    Or `TABLE: ROW, COLUMN` for the cost table and those below `tables/` (`analysis.explain_tables`). Without a
    condition, those of all conditions. Columns are those of the ablation and the world-model table,
    `... before RL` and `... gain` for each task type, and `All against ARM` for each planned comparison. Raises
    UserError, with what there is, where no cell has this address.
    """
    wanted = plain(address)
    quantities = dict(_quantities(results))
    compared = cells.comparisons(results)
    long = cells.cells(results)
    found: list[Explained] = []
    for condition in results.conditions:
        for arm in results.arms:
            against = [reference for one, reference in results.comparisons if one == arm]
            for column in (*quantities, *(f"All against {reference}" for reference in against)):
                names = {f"{arm}, {column}", f"{arm}, {column}, {condition}"}
                if wanted not in map(plain, names):
                    continue
                cell = f"{arm}, {column}" + (f", {condition}" if condition else "")
                if column in quantities:
                    row = _row(long, condition, arm, column)
                    found.append(_explained(_Cell(cell, condition, arm), results, quantities[column], row))
                else:
                    pair = _where(compared, condition=condition, arm=arm, reference=column.removeprefix("All against "))
                    found.append(_difference(results, cell, quantities["All"], pair))
    if not found:
        from analysis.explain_tables import explain_table, tables_of

        found = explain_table(results, address)
    if not found:
        columns = [*quantities, *dict.fromkeys(f"All against {reference}" for _, reference in results.comparisons)]
        raise UserError(
            f"{printable(address)!r}: there is no such cell",
            f'give "ARM, COLUMN"; arms: {", ".join(results.arms)}; columns: {", ".join(columns)}'
            + (f"; conditions may follow: {'; '.join(results.conditions)}" if results.conditions[0] else "")
            + f'; or "TABLE: ROW, COLUMN", of the tables {", ".join(tables_of(results))}',
        )
    return found


def plain(text: str) -> str:
    """An address without case and spare blanks."""
    return ", ".join(" ".join(part.split()) for part in text.casefold().split(","))


def _quantities(results: Results) -> Iterator[tuple[str, _Quantity]]:
    """Column -> its value of every finished run."""
    done = set(results.done()["run_id"])
    evaluation = results.evaluation[results.evaluation["run_id"].isin(done)]
    for task_type in cells.task_types(results):
        name = task_type.capitalize()
        own = evaluation[evaluation["task_type"] == task_type]
        after, before = (own[own["phase"] == phase].set_index("run_id")["success"] for phase in ("after", "before"))
        of = "all evaluation games" if task_type == ALL else f"the evaluation games of type {task_type}"
        yield name, _Quantity(f"success on {of} after training", "percent", 100, 1, "", after)
        yield f"{name} before RL", _Quantity(f"success on {of} before training", "percent", 100, 1, "", before)
        gain = (after - before).dropna()
        meaning = f"success on {of}, after minus before training, run by run"
        yield ("Gain" if task_type == ALL else f"{name} gain"), _Quantity(meaning, "points", 100, 1, "+", gain)
    fixed = results.fixed_transitions[results.fixed_transitions["run_id"].isin(done)]
    for column, unit, factor, digits in (("perplexity", "exp(nats per token)", 1, 2), ("accuracy", "percent", 100, 1)):
        for phase in ("before", "after"):
            values = fixed[fixed["phase"] == phase].set_index("run_id")[column].dropna()
            meaning = f"{column} of the next observation on the fixed transitions, {phase} training"
            yield f"{column.capitalize()} {phase}", _Quantity(meaning, unit, factor, digits, "", values)
    means = results.metrics[results.metrics["run_id"].isin(done)].groupby("run_id")
    for name, column, unit, factor, digits in (
        ("Mean λ", "wm.lambda_mean", "", 1, 2),
        ("Clipped", "wm.clipped_share", "percent", 100, 1),
        ("Selected", "wm.selected_share", "percent", 100, 1),
    ):
        values = means[column].mean().dropna()
        yield name, _Quantity(f"{column}, mean over all updates", unit, factor, digits, "", values)


def _row(long: pd.DataFrame, condition: str, arm: str, column: str) -> Mapping[str, Any] | None:
    """The row of `cells.cells` that the column shows, where it is one of success."""
    name = column.casefold()
    if name == "gain":
        name = f"{ALL} gain"
    phase = "before" if name.endswith(" before rl") else "gain" if name.endswith(" gain") else "after"
    task_type = name.removesuffix(" before rl").removesuffix(" gain")
    rows = long[(long["condition"] == condition) & (long["arm"] == arm) & (long["phase"] == phase)]
    rows = rows[rows["task_type"].str.casefold() == task_type]
    return None if rows.empty else {str(key): value for key, value in rows.iloc[0].items()}


def _explained(cell: _Cell, results: Results, quantity: _Quantity, row: Mapping[str, Any] | None) -> Explained:
    name, condition, arm = cell
    parts = _parts(results, condition, arm, quantity)
    if row is None:
        interval = t_interval([part.value / quantity.factor for part in parts])
        mean, half_width, gap = interval.mean, interval.half_width, str(interval.gap)
        planned = results.planned(condition, arm)
        marks = Origins(results).marks([part.run_id for part in parts], planned=planned, mixed_games=False)
    else:
        mean, half_width, gap, marks = row["mean"], row["half_width"], row["gap"], row["marks"]
    mean, half_width = quantity.factor * float(mean), quantity.factor * float(half_width)
    words = estimate(mean, half_width, gap, digits=quantity.digits, sign=quantity.sign)
    absent = _absent(results, condition, arm, parts)
    return Explained(
        name, signed(words, marks), quantity.meaning, quantity.unit, mean, half_width, gap, marks, parts, (), absent
    )


def _difference(results: Results, cell: str, quantity: _Quantity, pair: Mapping[str, Any]) -> Explained:
    condition, arm, reference = pair["condition"], pair["arm"], pair["reference"]
    left, right = (_parts(results, condition, one, quantity) for one in (arm, reference))
    mean, half_width = 100 * float(pair["mean"]), 100 * float(pair["half_width"])
    verdict = "resolved" if pair["resolved"] else "not resolved"
    meaning = f"success on all evaluation games after training, {arm} minus {reference}"
    if pair["method"]:
        meaning += f"; {pair['method']}, p = {pair['p']:.4g}, after Holm {pair['p_holm']:.4g}: {verdict}"
    words = signed(estimate(mean, half_width, pair["gap"], sign="+"), pair["marks"])
    absent = (*_absent(results, condition, arm, left), *_absent(results, condition, reference, right))
    return Explained(cell, words, meaning, "points", mean, half_width, pair["gap"], pair["marks"], left, right, absent)


def _where(table: pd.DataFrame, **values: str) -> Mapping[str, Any]:
    for name, value in values.items():
        table = table[table[name] == value]
    return {str(key): value for key, value in table.iloc[0].items()}


def _parts(results: Results, condition: str, arm: str, quantity: _Quantity) -> tuple[Part, ...]:
    done = results.done(condition)
    runs = done[(done["arm"] == arm) & done["run_id"].isin(quantity.values.index)].sort_values("seed")
    return tuple(
        Part.of(run, quantity.factor * float(quantity.values[run["run_id"]])) for run in runs.to_dict("records")
    )


def _absent(results: Results, condition: str, arm: str, parts: Iterable[Part]) -> tuple[str, ...]:
    runs = results.runs[results.runs["planned"] & (results.runs["condition"] == condition)]
    runs = runs[(runs["arm"] == arm) & ~runs["run_id"].isin([part.run_id for part in parts])]
    return tuple(
        f"{arm} seed {run['seed']} ({run['run_id']}): {run['status']}" + (f": {run['reason']}" if run["reason"] else "")
        for run in runs.to_dict("records")
    )
