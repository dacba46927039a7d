"""Where the gradient of the world-model losses falls: by the probability of the token, and on noisy tokens.

A run measures one and the same probabilities of the fixed transitions, binned, with each bin's gradients; which tokens
are noisy, and what a bin holds, say `paw_bench.evaluation.noisy_tokens` and `probabilities`. A clipped loss keeps the
bins up to the run's rho, which is always an edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames import GRADIENTS, RUN_KEY, Table, checked
from analysis.record_frames import Ends, update_of
from paw_bench.store.jsonl import Record

LOSSES: Mapping[str, str] = {"ce": "CE", "mae": "MAE", "cmae": "CMAE"}
"""Column of the frame -> the loss's name."""

_SOURCE = "fixed_transitions.jsonl: probabilities"
_COLUMNS = {name: dtype for name, dtype in GRADIENTS.items() if name not in RUN_KEY}


def gradients_table(records: Sequence[Record], ends: Ends) -> Table:
    """The columns of the gradients frame; none for records of a version that measured no probabilities.

    Raises ValueError where a histogram is not what it should be or does not hold the record's tokens.
    """
    parts = [part for record in records if record.get("probabilities") is not None for part in _of_phase(record, ends)]
    if not parts:
        return {}
    return {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}


def _of_phase(record: Record, ends: Ends) -> list[Table]:
    found: Any = record["probabilities"]
    edges = checked(found["edges"], "edges", "float64", source=_SOURCE)
    (rho,) = checked([found["rho"]], "rho", "float64", source=_SOURCE).tolist()
    bins = len(edges) - 1
    if bins < 1 or not (np.diff(edges) > 0).all() or (edges[0], edges[-1]) != (0.0, 1.0) or rho not in edges:
        raise ValueError(f"{_SOURCE}: edges do not lead from 0 to 1 over rho = {rho!r}")
    parts = []
    for label in ("noisy", "other"):
        sums = {
            name: checked(found[label][name], name, _COLUMNS[name], source=_SOURCE)
            for name in ("tokens", "weight", "ce", "mae")
        }
        if any(len(values) != bins or np.isnan(values).any() for values in sums.values()):
            raise ValueError(f"{_SOURCE}: {label} does not have a value for each of {bins} bins")
        phase = np.full(bins, record["phase"], dtype="object")
        part: Table = {"phase": phase, "update": np.full(bins, update_of(record["phase"], ends))}
        part |= {"noisy": np.full(bins, label == "noisy"), "above": edges[:-1], "upto": edges[1:]}
        part |= {"rho": np.full(bins, rho), **sums, "cmae": np.where(edges[1:] <= rho, sums["mae"], 0.0)}
        parts.append(part)
    if sum(int(part["tokens"].sum()) for part in parts) != record["tokens"]:
        raise ValueError(f"{_SOURCE}: do not hold the {record['tokens']!r:.40} tokens of the set")
    return parts


def noisy_shares(gradients: pd.DataFrame) -> pd.DataFrame:
    """One row a run and phase: the part of `weight` (all tokens) and of each loss's gradient on noisy tokens, 0 to 1.

    NaN where a loss has no gradient at all.
    """
    columns = ["weight", *LOSSES]
    keys = [*RUN_KEY, "phase", "update"]
    total = gradients.groupby(keys, sort=False)[columns].sum()
    noisy = gradients[gradients["noisy"]].groupby(keys, sort=False)[columns].sum()
    return (noisy / total.where(total > 0)).reset_index()


def by_probability(gradients: pd.DataFrame) -> pd.DataFrame:
    """The part of `weight` and of each loss's gradient on tokens of a probability of at most `upto` (the index).

    A mean over the runs of `gradients`, which hold one phase each; an edge that only some runs have is left out.
    """
    columns = ["weight", *LOSSES]
    bins = gradients.groupby(["run_id", "upto"])[columns].sum()
    grown = bins.groupby("run_id").cumsum()
    share = grown / grown.groupby("run_id").transform("last")
    counts = share.groupby("upto").size()
    mean: pd.DataFrame = share.groupby("upto").mean()[counts == counts.max()]
    return mean
