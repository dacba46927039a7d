"""What `sweep.json` plans, checked: a report takes names, families of tests and run folders from nowhere else."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple

import orjson

from analysis.files import one_line, printable
from analysis.frames import RUNS
from paw_bench.errors import StoreError
from paw_bench.store.jsonl import Record
from paw_bench.store.sweep_directory import SweepDirectory

_AGAIN = "plan it again: paw-bench sweep EXPERIMENT (finished runs are kept)"


class SweepPlan(NamedTuple):
    """The plan of a sweep."""

    name: str
    scale: str
    runs: list[Record]
    """{run_id, arm, axes, seed} of every run."""
    arms: tuple[str, ...]
    reference: str
    comparisons: tuple[tuple[str, str], ...]
    changes: dict[str, Record]
    """Arm -> dotted key -> {base, arm}."""
    seconds_total: float | None
    seconds_run: dict[str, float | None]
    """Arm -> predicted seconds of one run."""
    parallel: int


def read_plan(sweep: SweepDirectory) -> SweepPlan:
    """The plan in `sweep.json`. Raises StoreError where it lacks what every plan has or contradicts itself."""
    file = sweep.path / "sweep.json"
    try:
        found = _plan(sweep.info)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = one_line(f"its plan lacks what every plan has ({type(error).__name__}: {error})")
        raise StoreError(f"{file}: {problem}", _AGAIN) from None
    problem = next(iter(_contradictions(found)), "")
    if problem:
        raise StoreError(f"{file}: its plan {one_line(problem)}", _AGAIN)
    return found


def _plan(info: Record) -> SweepPlan:
    plan = info["plan"]
    arms = tuple(_text(arm) for arm in plan["arms"])
    return SweepPlan(
        name=_text(info["name"]),
        scale=_text(info["scale"] or "-").removeprefix("-"),
        runs=[
            {
                "run_id": _run_id(run["run_id"]),
                "arm": _text(run["arm"]),
                "axes": {_text(key): value for key, value in run["axes"].items()},
                "seed": _whole(run["seed"]),
            }
            for run in plan["runs"]
        ],
        arms=arms,
        reference=_text(plan["reference"]),
        comparisons=tuple((_text(arm), _text(against)) for arm, against in plan["comparisons"]),
        changes={
            arm: {key: {side: change[side] for side in ("base", "arm")} for key, change in plan["changes"][arm].items()}
            for arm in arms
        },
        seconds_total=_seconds(plan["cost"]["total_seconds"]),
        seconds_run={arm: _seconds(plan["cost"]["run_seconds"][arm]) for arm in arms},
        parallel=_whole(plan["cost"]["parallel"]),
    )


def _contradictions(plan: SweepPlan) -> Iterable[str]:
    if not plan.runs:
        yield "holds no run"
    strangers = {plan.reference, *(run["arm"] for run in plan.runs), *chain(*plan.comparisons)} - set(plan.arms)
    if strangers:
        yield f"names {', '.join(sorted(strangers))}, which is no arm of it"
    places = [(run["arm"], orjson.dumps(run["axes"]), run["seed"]) for run in plan.runs]
    for what, values in (
        ("run", [run["run_id"] for run in plan.runs]),
        ("seed of an arm", places),
        ("arm", plan.arms),
        ("comparison", plan.comparisons),
    ):
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            yield f"holds a {what} twice: {twice[0]}"
    taken = {key for run in plan.runs for key in run["axes"]} & set(RUNS)
    if taken:
        yield f"has an axis named {taken.pop()}, which is a column of every report"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or value != printable(value):
        raise ValueError(f"{value!r:.60} is no printable text")
    return value


def _run_id(value: Any) -> str:
    """A run id is a folder's name below `runs/`; anything else could lead out of the sweep."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{12}", value):
        raise ValueError(f"{value!r:.60} is no run id, which has twelve hexadecimal digits")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0 or value >= 1 << 63:
        raise ValueError(f"{value!r:.60} is no whole number from 0")
    return value


def _seconds(value: Any) -> float | None:
    if value is not None and (type(value) not in {int, float} or not math.isfinite(value) or value < 0):
        raise ValueError(f"{value!r:.60} is no time in seconds")
    return None if value is None else float(value)
