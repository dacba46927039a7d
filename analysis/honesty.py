"""What a reader must be told about the runs behind a number: a mark beside it, and a line that says what is wrong.

A mark never changes a number. It stands at every cell whose runs it concerns, in the tables and in `cells.csv`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from analysis.load import Results
from analysis.origins import UNKNOWN
from analysis.words import arm_at

Run = Mapping[Any, Any]
"""A row of `Results.runs`."""


class Mark(NamedTuple):
    """A reason for doubt."""

    sign: str
    name: str
    note: str
    """What the sign means, for the notes below a table."""


MISSING = Mark("◦", "missing seeds", "fewer seeds than planned")
GAMES = Mark("§", "mixed panels", "seeds evaluated on different games")
CODE = Mark("‖", "mixed code", "seeds run with different code or packages, or with code that was not recorded")
DIRTY = Mark("◊", "uncommitted changes", "code with changes that no commit holds")
EXECUTION = Mark("⊗", "mixed execution", "seeds run on other devices, or in other micro-batches, engine or processes")
RESUMED = Mark("⋆", "resumed with differences", "a run that was resumed with other code, packages, device or execution")
MARKS = (MISSING, GAMES, CODE, DIRTY, EXECUTION, RESUMED)


class Origin(NamedTuple):
    """What a run was made with, as in `Results.runs`."""

    code: str
    packages: str
    devices: str
    execution: str
    resumed: str


class Origins:
    """What the runs of a sweep were made with, by run id."""

    def __init__(self, results: Results) -> None:
        rows = zip(*(results.runs[name].tolist() for name in Origin._fields), strict=True)
        self._runs = dict(zip(results.runs["run_id"].tolist(), map(Origin._make, rows), strict=True))

    def marks(self, run_ids: Iterable[str], *, planned: int, mixed_games: bool) -> str:
        """The names of the marks that a number from these runs carries, separated by `; `.

        A number that is not there, because no run is, carries none. `planned`: how many runs there should be;
        `mixed_games`: whether they were evaluated on different games.
        """
        runs = [self._runs[run_id] for run_id in run_ids]
        if not runs:
            return ""
        made = {(run.code, run.packages) for run in runs}
        stands = {
            MISSING: len(runs) < planned,
            GAMES: mixed_games,
            CODE: len(made) > 1 or any(UNKNOWN in run.code.split() for run in runs),
            DIRTY: any("+" in run.code for run in runs),
            EXECUTION: len({(run.devices, run.execution) for run in runs}) > 1,
            RESUMED: any(run.resumed for run in runs),
        }
        return "; ".join(mark.name for mark in MARKS if stands[mark])


def signed(words: str, names: str) -> str:
    """A number in words with the signs of its marks."""
    signs = "".join(mark.sign for mark in MARKS if mark.name in names.split("; "))
    return f"{words} {signs}" if signs else words


def notes(names: Iterable[str]) -> str:
    """What the signs mean that stand somewhere in a table; empty where none does."""
    found = {name for several in names for name in several.split("; ")}
    return "; ".join(f"{mark.sign} {mark.note}" for mark in MARKS if mark.name in found)


def objections(results: Results) -> list[str]:
    """One line for each reason for doubt: an arm's (with its runs), or a file's that could not be used as it is."""
    lines: list[str] = []
    runs = results.runs[results.runs["planned"]]
    phases = results.evaluation[results.evaluation["task_type"] == "all"]
    games = phases[["run_id", "panel", "panel_hash", "games"]].drop_duplicates().groupby("run_id")
    panels = {
        str(run_id): f"{rows['panel'].iloc[0]} {rows['panel_hash'].iloc[0][:12]} ({rows['games'].iloc[0]} games)"
        for run_id, rows in games
    }
    for condition in results.conditions:
        for arm in results.arms:
            own = runs[(runs["condition"] == condition) & (runs["arm"] == arm)]
            done = own[own["status"] == "done"]
            found = [*_missing(own), *_different(GAMES, done, lambda run: panels.get(run["run_id"], "none"))]
            found += _different(CODE, done, lambda run: f"{_short(run['code'])} with {run['packages']}")
            unknown = [run for run in done.to_dict("records") if UNKNOWN in run["code"].split()]
            found += [f"{CODE.name}: not recorded for {_seeds(unknown)}"] if unknown else []
            dirty = [run for run in done.to_dict("records") if "+" in run["code"]]
            found += [f"{DIRTY.name}: {_seeds(dirty)}"] if dirty else []
            found += _different(EXECUTION, done, lambda run: f"{run['execution']} on {run['devices']}")
            found += [
                f"{RESUMED.name}: seed {run['seed']} ({run['run_id']}): {run['resumed']}"
                for run in done.to_dict("records")
                if run["resumed"]
            ]
            lines += [f"{arm_at(arm, condition)}: {text}" for text in found]
    return lines + list(results.problems)


def _missing(runs: pd.DataFrame) -> list[str]:
    gone = runs[runs["status"] != "done"].to_dict("records")
    states = ", ".join(f"{run['seed']} is {run['status']}" for run in gone)
    return [f"{MISSING.name}: {len(runs) - len(gone)} of {len(runs)} are finished; {states}"] if gone else []


def _different(mark: Mark, runs: pd.DataFrame, identity: Callable[[Run], str]) -> list[str]:
    groups: dict[str, list[Run]] = {}
    for run in runs.to_dict("records"):
        groups.setdefault(identity(run), []).append(run)
    words = "; ".join(f"{_seeds(group)}: {what}" for what, group in groups.items())
    return [f"{mark.name}: {words}"] if len(groups) > 1 else []


def _seeds(runs: Sequence[Run]) -> str:
    return ("seed " if len(runs) == 1 else "seeds ") + ", ".join(str(run["seed"]) for run in runs)


def _short(code: str) -> str:
    return " ".join(word[:10] + "+" * ("+" in word) for word in code.split())
