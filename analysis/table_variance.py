"""Where the spread over seeds comes from, as a table."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.grid import Grid
from analysis.grouping import Part
from analysis.inference import IQM_SEEDS, success_interval
from analysis.load import Results
from analysis.luck import components_of, evaluations, wins_by_seed
from analysis.record_frames import ALL
from analysis.statistics_robust import iqm
from analysis.table_cells import Cell, marks_note, of_interval
from analysis.words import NOTHING, TO, number

_MARKED = ("condition", "arm", "marks")


def variance(results: Results, cells: pd.DataFrame) -> Grid:
    """How much of the spread over seeds is the seeds', and how much is luck of the evaluation's episodes."""
    after = cells[(cells["phase"] == "after") & (cells["task_type"] == ALL)]
    marks = {(condition, arm): own for condition, arm, own in zip(*(after[k] for k in _MARKED), strict=True)}
    rows: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    runs: list[tuple[str, ...]] = []
    groups = evaluations(results)
    for condition in results.conditions:
        for arm in results.arms:
            own = groups.get((condition, arm))
            if own is None:
                continue
            if condition and condition not in headings.values():
                headings[len(rows)] = condition
            runs.append(results.run_ids(condition, arm))
            found = components_of(own)
            wins = wins_by_seed(own)
            interval = success_interval([seed.mean() for seed in wins], [len(seed) for seed in wins])
            robust = iqm([_by_type(own)])
            words = number(100 * robust.value, 1)
            if not math.isnan(robust.low):
                words += f" ({number(100 * robust.low, 1)}{TO}{number(100 * robust.high, 1)})"
            rows.append(
                (
                    arm,
                    of_interval(interval, marks=marks[condition, arm], factor=100),
                    *(_points(part) for part in (found.total, found.seed, found.episode)),
                    Cell(number(100 * found.share, 0), 100 * found.share),
                    found.layout or NOTHING,
                    Cell(words, 100 * robust.value, 100 * robust.low, 100 * robust.high),
                    str(len(wins)),
                )
            )
    notes = (
        "Success over all episodes after training, in percent. SD over seeds: of the seeds' means; it is made of "
        "what the seeds differ in (seed) and of luck of the episodes (episode), which more episodes a seed would "
        "shrink. Crossed: all seeds played the same games, whose difficulty is in neither; nested: they did not, and "
        "it counts as luck. With few seeds the parts are rough: a seed part of 0.0 says that the episodes alone "
        "explain the spread.",
        "IQM: interquartile mean over seeds and task types; its bootstrap interval is printed from "
        f"{IQM_SEEDS} seeds on, because it covers too little below (docs/statistics.md).",
        marks_note(marks.values()),
    )
    columns = ("Arm", "All", "SD over seeds", "Seed", "Episode", "Seed's share %", "Layout", "IQM", "Seeds")
    caption = f"{results.name}: seeds and episodes"
    return Grid("variance", caption, columns, tuple(rows), notes, headings, wide=True, runs=tuple(runs))


def _by_type(episodes: Part) -> np.ndarray:
    """Success of each seed (rows) on each task type (columns); seeds that did not play all types are left out."""
    seeds, row = np.unique(episodes["seed"], return_inverse=True)
    types, column = np.unique(episodes["task_type"], return_inverse=True)
    played, won = np.zeros((2, len(seeds), len(types)))
    np.add.at(played, (row, column), 1)
    np.add.at(won, (row, column), episodes["success"])
    return np.asarray((won / np.maximum(played, 1))[(played > 0).all(axis=1)])


def _points(sd: float) -> Cell:
    return Cell(number(100 * sd, 1), 100 * sd)
