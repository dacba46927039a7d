"""The published numbers, and where in them an arm of a sweep has its counterpart.

Nothing here makes a published number comparable: `warning` says in one line why a difference to it is not the method's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache

import pandas as pd

from paw_bench.config.resources import shipped

PAW = "arXiv:2606.02388v1"
"""The PaW paper; its rows are preferred to those of others for the same cell."""

MODELS = {"alfworld": "Qwen2.5-1.5B-Instruct", "webshop": "Qwen2.5-1.5B-Instruct", "search_qa": "Qwen2.5-3B-Instruct"}
"""Benchmark -> the smallest model of the paper's main results, for a model that no published table has."""


@dataclass(frozen=True, slots=True)
class Published:
    """A printed number, in its own unit (percent; GB for memory); NaN where there is none."""

    value: float
    sd: float
    """Standard deviation over seeds, NaN where none is printed."""
    source: str
    model: str


NOT_COMPARABLE = "NOT COMPARABLE"
"""How the warning begins where a difference to a published number cannot be the method's."""

NONE = Published(math.nan, math.nan, "", "")


@cache
def rows() -> pd.DataFrame:
    """The published numbers, as `results/published/README.md` documents them; the paper first, then with a spread."""
    file = shipped() / "results" / "published" / "published_results.csv"
    frame = pd.read_csv(file, dtype={"table": "str", "note": "str"}, keep_default_na=False, na_values={"std": [""]})
    order = frame.assign(other=frame["source"] != PAW, bare=frame["std"].isna())
    return order.sort_values(["other", "bare"], kind="stable").drop(columns=["other", "bare"])


@cache
def is_published(benchmark: str) -> bool:
    """Whether any number of that benchmark is."""
    return benchmark in set(rows()["benchmark"])


@cache
def model_of(name: str, benchmark: str) -> str:
    """The model in the published tables that stands beside the model `name` (a Hugging Face id or a folder)."""
    own = name.rsplit("/", 1)[-1]
    known = rows()
    return own if ((known["model"] == own) & (known["benchmark"] == benchmark)).any() else MODELS.get(benchmark, own)


@cache
def lookup(model: str, **cell: str) -> Published:
    """The number of one cell: `model` as `model_of` gives it; algorithm, world_model, benchmark, metric, task."""
    found = rows()
    for column, value in {"model": model, **cell}.items():
        found = found[found[column] == value]
    if found.empty:
        return NONE
    first = found.iloc[0]
    return Published(float(first["value"]), float(first["std"]), str(first["source"]), model)


def warning(places: Iterable[tuple[str, str]], sources: Collection[str]) -> str:
    """Why the differences to published numbers are not the method's.

    `places`: model and benchmark of each setting; those whose benchmark is not published stand beside nothing.
    `sources` of the games: procedural, data, generated (`EnvironmentConfig.source`).
    """
    reasons = []
    if "procedural" in sources:
        reasons.append("these runs play procedural ALFWorld-format games, not the published ones")
    if "generated" in sources:
        reasons.append("these runs play generated tasks, not the published ones")
    known = [place for place in places if is_published(place[1])]
    counterparts = {model_of(*place) for place in known}
    strangers = sorted({name.rsplit("/", 1)[-1] for name, _ in known} - counterparts)
    if strangers:
        reasons.append(f"{', '.join(strangers)} stands beside {', '.join(sorted(counterparts))}")
    told = "; ".join(reasons)
    return (
        f"{NOT_COMPARABLE} with published numbers: {told}."
        if told
        else (
            "Published numbers: from other code, other seeds and perhaps other settings; the difference is not tested."
        )
    )
