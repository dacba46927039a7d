"""The numbers of the ablation table: what each cell holds, from which runs, and how arms compare.

Long frames with full precision; `analysis.tables` puts them into words. Every row names its run ids and the SHA-256 of
their `result.json`, so that a number in a paper can be traced to files.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.grouping import Part, empty, grouped
from analysis.honesty import Origins
from analysis.inference import success_interval
from analysis.load import Results
from analysis.luck import error_of_difference, evaluations
from analysis.record_frames import ALL, TASK_TYPES
from analysis.statistics import difference, holm, resolved, t_interval
from analysis.statistics_power import break_even_correlation, detectable_difference
from analysis.statistics_robust import improvement

DIFFERENT_GAMES = "different games"
"""Why arms that were evaluated on different games are not compared."""

COMPARISON_COLUMNS = (
    *("condition", "arm", "reference", "mean", "half_width", "p", "p_holm", "resolved", "method", "df", "n"),
    *("correlation", "pays_from", "detectable", "welch_half_width", "welch_p", "improvement", "improvement_low"),
    *("improvement_high", "gap", "marks", "seeds", "run_ids", "reference_run_ids"),
)

Games = tuple[str, str, int]
"""Panel, its hash, number of games."""


def task_types(results: Results) -> list[str]:
    """The six types of ALFWorld in the order of the published tables, then those of other environments, then `all`.

    ALFWorld's are left out where only another environment was played.
    """
    known = list(TASK_TYPES.values())
    found = set(results.evaluation["task_type"].unique()) - {ALL}
    return [*(known if found.intersection(known) or not found else []), *sorted(found - set(known)), ALL]


def cells(results: Results) -> pd.DataFrame:
    """One row a condition, arm, phase and task type; finished runs only.

    Phases: before, after, and gain (after minus before, run by run, for the runs that were evaluated before training).
    Columns: condition, arm, phase, task_type, mean, half_width (95 % t interval over seeds), sd (over seeds), n and
    planned (seeds), gap (why there is no interval), seeds, games (episodes a run and type), mixed_games (whether the
    seeds were not all evaluated on the same games), marks (`analysis.honesty`), run_ids, result_sha256. Success is a
    fraction.
    """
    rows = []
    finished, origins, types = _finished(results), Origins(results), task_types(results)
    for condition in results.conditions:
        for arm in results.arms:
            planned = results.planned(condition, arm)
            for phase in ("before", "after", "gain"):
                for task_type in types:
                    found = finished[condition, arm, phase, task_type]
                    values, games = found["success"], found["games"]
                    interval = t_interval(values) if phase == "gain" else success_interval(values, games)
                    mixed = len(_games(found)) > 1
                    rows.append(
                        {
                            "condition": condition,
                            "arm": arm,
                            "phase": phase,
                            "task_type": task_type,
                            "mean": interval.mean,
                            "half_width": interval.half_width,
                            "sd": interval.sd,
                            "n": interval.n,
                            "planned": planned,
                            "gap": interval.gap,
                            "seeds": _words(found["seed"]),
                            "games": _words(dict.fromkeys(games.tolist())),
                            "mixed_games": mixed,
                            "marks": origins.marks(found["run_id"], planned=planned, mixed_games=mixed),
                            "run_ids": _words(found["run_id"]),
                            "result_sha256": _words(found["result_sha256"]),
                        }
                    )
    return pd.DataFrame(rows)


def comparisons(results: Results) -> pd.DataFrame:
    """One row a condition and planned pair of arms: success over all episodes after training, arm minus reference.

    Columns: condition, arm, reference, mean, half_width (not adjusted), p, p_holm (over all rows), resolved, method,
    df, n (shared seeds), correlation (between the arms over them), pays_from (the correlation from which on pairing
    gives the shorter interval), detectable (the smallest true difference that the test finds in 80 % of sweeps, after
    Holm, given the spread found, or the luck of the episodes where that alone is more), welch_half_width, welch_p,
    improvement (probability that a seed of the arm beats one of the reference, from two seeds on, with improvement_low
    and _high from enough seeds on), gap (why there is no test), marks (`analysis.honesty`), seeds, run_ids,
    reference_run_ids.
    """
    rows: list[dict[str, Any]] = []
    finished, origins, episodes = _finished(results), Origins(results), evaluations(results)
    tests = len(results.conditions) * len(results.comparisons)
    for condition in results.conditions:
        for arm, reference in results.comparisons:
            left = finished[condition, arm, "after", ALL]
            right = finished[condition, reference, "after", ALL]
            comparable = len(_games(left) | _games(right)) <= 1
            result = difference(_by_seed(left), _by_seed(right)) if comparable else difference({}, {})
            planned = results.planned(condition, arm) + results.planned(condition, reference)
            seeds = len(left["seed"]), len(right["seed"])
            both = [*left["run_id"], *right["run_id"]] if min(seeds) and comparable else []
            several = comparable and min(seeds) > 1
            played = [episodes[condition, one] for one in (arm, reference) if (condition, one) in episodes]
            luck = error_of_difference(*played, paired=result.method == "paired t") if len(played) > 1 else math.nan
            beats = improvement(*(part["success"][: len(part["success"]) * several] for part in (left, right)))
            rows.append(
                {
                    "condition": condition,
                    "arm": arm,
                    "reference": reference,
                    "mean": result.mean,
                    "half_width": result.half_width,
                    "p": result.p,
                    "method": result.method,
                    "df": result.df,
                    "n": result.n,
                    "correlation": result.correlation,
                    "pays_from": break_even_correlation(result.n),
                    "detectable": detectable_difference(result, tests=tests, luck=luck),
                    "improvement": beats.value,
                    "improvement_low": beats.low,
                    "improvement_high": beats.high,
                    "welch_half_width": result.welch_half_width,
                    "welch_p": result.welch_p,
                    "gap": result.gap if comparable else DIFFERENT_GAMES,
                    "marks": origins.marks(both, planned=planned, mixed_games=False),
                    "seeds": _words(left["seed"][np.isin(left["seed"], right["seed"])]),
                    "run_ids": _words(left["run_id"]),
                    "reference_run_ids": _words(right["run_id"]),
                }
            )
    for row, p_holm in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row |= {"p_holm": p_holm, "resolved": resolved(p_holm)}
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))


def wide(results: Results, long: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """The ablation table at full precision, one row a condition and arm: `<type>_mean`, `<type>_half_width`, ...

    Fractions, not percent. `all_before_*` is the success before training, `gain_*` after minus before, `difference_*`
    the comparison with the reference arm.
    """
    found = {(row["condition"], row["arm"], row["phase"], row["task_type"]): row for row in long.to_dict("records")}
    against = compared[compared["reference"] == results.reference].to_dict("records")
    pairs = {(pair["condition"], pair["arm"]): pair for pair in against}
    shown = [(name, "after", name) for name in task_types(results)]
    rows = []
    for place in dict.fromkeys((condition, arm) for condition, arm, *_ in found):
        row: dict[str, Any] = dict(zip(("condition", "arm"), place, strict=True))
        for name, phase, task_type in (*shown, ("all_before", "before", ALL), ("gain", "gain", ALL)):
            row |= {f"{name}_{part}": found[*place, phase, task_type][part] for part in ("mean", "half_width")}
        row |= {f"difference_{part}": pairs[place][part] if place in pairs else None for part in _DIFFERENCE}
        overall = found[*place, "after", ALL]
        row |= {part: overall[part] for part in ("n", "planned", "seeds", "run_ids", "result_sha256")}
        rows.append(row)
    return pd.DataFrame(rows)


_DIFFERENCE = ("mean", "half_width", "p", "p_holm", "resolved", "detectable", "method")


Finished = Mapping[tuple[str, str, str, str], Part]
"""(condition, arm, phase, task type) -> columns of the evaluation frame, one row a finished run, by seed."""
_USED = ("seed", "run_id", "success", "games", "panel", "panel_hash", "result_sha256")


def _finished(results: Results) -> Finished:
    rows = results.evaluation[results.evaluation["run_id"].isin(results.done()["run_id"])]
    evaluation = rows.sort_values("seed", kind="stable")
    key = ["run_id", "task_type"]
    before, after = (evaluation[evaluation["phase"] == phase] for phase in ("before", "after"))
    started = before.set_index(key)["success"].reindex(pd.MultiIndex.from_frame(after[key])).to_numpy()
    gains = after.assign(phase="gain", success=after["success"] - started)
    every = pd.concat([evaluation, gains[gains["success"].notna()]])
    found: dict[Any, Part] = defaultdict(lambda: empty(evaluation, _USED))
    found.update(grouped(every, ("condition", "arm", "phase", "task_type"), _USED))
    return found


def _games(part: Part) -> set[Games]:
    """What identifies the games that the runs were evaluated on."""
    return set(zip(part["panel"], part["panel_hash"], part["games"].tolist(), strict=True))


def _by_seed(part: Part) -> Mapping[int, float]:
    return dict(zip(part["seed"].tolist(), part["success"].tolist(), strict=True))


def _words(values: Iterable[Any]) -> str:
    return " ".join(map(str, values))
