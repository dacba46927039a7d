"""How much of what an evaluation shows is luck of its episodes: of one arm, and of the difference between two."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from analysis.grouping import Part, grouped
from analysis.load import Results
from analysis.statistics_variance import Variance, crossed, nested


def evaluations(results: Results) -> dict[tuple[Any, ...], Part]:
    """(condition, arm) -> the episodes of the finished runs' evaluations after training."""
    episodes = results.episodes[results.episodes["phase"] == "after"]
    episodes = episodes[episodes["run_id"].isin(results.done()["run_id"])]
    return grouped(episodes, ("condition", "arm"), ("seed", "task_id", "task_type", "success"))


def components_of(episodes: Part) -> Variance:
    """The variance components of one arm's evaluation: crossed where every seed played each game once.

    `episodes`: the columns seed, task_id and success.
    """
    games, wins = _layout(episodes)
    return nested(wins_by_seed(episodes)) if games is None else crossed(wins)


def error_of_difference(arm: Part, reference: Part, *, paired: bool) -> float:
    """Standard error of the difference in success if the luck of the episodes were all that varies; NaN if unknown.

    `paired`: over the seeds that both have. Where both played the same games once each, the differences are taken game
    by game: what two arms share in a game, its difficulty and its noise, is in neither. `arm`, `reference`: the
    columns seed, task_id and success.
    """
    if paired:
        shared = np.intersect1d(arm["seed"], reference["seed"])
        arm, reference = (
            {name: values[np.isin(part["seed"], shared)] for name, values in part.items()} for part in (arm, reference)
        )
        (games, left), (same, right) = _layout(arm), _layout(reference)
        if games is not None and games == same:
            return crossed(left - right).episode / math.sqrt(len(shared))
    parts = [components_of(part).episode / math.sqrt(len(np.unique(part["seed"]))) for part in (arm, reference)]
    return math.hypot(*parts)


def wins_by_seed(episodes: Part, order: str = "") -> list[np.ndarray]:
    """Success (0 or 1) of each seed's episodes, seeds in ascending order; episodes as they come, or in that order."""
    places = _places(episodes["seed"])
    if order:
        places = [own[np.argsort(episodes[order][own], kind="stable")] for own in places]
    return [episodes["success"][own].astype("float64") for own in places]


def _layout(episodes: Part) -> tuple[frozenset[str] | None, np.ndarray]:
    """The games that every seed played once each and success, seeds x games; None where seeds played others."""
    tasks = [frozenset(episodes["task_id"][own]) for own in _places(episodes["seed"])]
    wins = wins_by_seed(episodes, order="task_id")
    if len(set(tasks)) == 1 and all(len(own) == len(tasks[0]) for own in wins):
        return tasks[0], np.array(wins)
    return None, np.empty((0, 0))


def _places(values: np.ndarray) -> list[np.ndarray]:
    """Where each distinct value stands, in the order of the values."""
    found, codes = np.unique(values, return_inverse=True)
    return [np.flatnonzero(codes == code) for code in range(len(found))]
