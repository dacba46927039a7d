"""The columns of every frame: their meaning, and their types, so that an empty frame is like a full one.

Shares and success rates are fractions (0 to 1), times are seconds, perplexities are exp(nats per token). A value that
was not measured is NaN (floats) or NA (integers); nothing is ever filled in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

Columns = Mapping[str, str]
"""Column name -> pandas dtype."""

RUN_KEY: Columns = {"run_id": "str", "arm": "str", "condition": "str", "seed": "int64"}
"""First columns of every frame. `condition`: the values of the axes, as `key=value, ...`; empty without axes."""

RUNS: Columns = {
    **RUN_KEY,
    "planned": "bool",
    "status": "str",
    "reason": "str",
    "world_model": "boolean",
    "updates": "Int64",
    "updates_planned": "Int64",
    "success_before": "float64",
    "success_after": "float64",
    "seconds_training": "float64",
    "seconds_evaluation": "float64",
    "seconds_total": "float64",
    "seconds_wall": "float64",
    "seconds_predicted": "float64",
    "started": "float64",
    "published": "float64",
    "attempts": "Int64",
    "games_source": "str",
    "commits": "str",
    "code": "str",
    "packages": "str",
    "devices": "str",
    "execution": "str",
    "resumed": "str",
    "result_sha256": "str",
}
"""One row a run, in the order of the plan; then runs on disk that the plan does not hold (`planned` False).

`status`: `done`; `damaged` (it has a result, but its files contradict each other); `unreadable`; `running`; `failed`;
`interrupted`; `lost`; `unfinished`; `not started`; `not planned`. `reason`: why, for those that are not done.
`world_model`: whether the arm trains with the world-model term. `updates`: updates with a metrics record, of
`updates_planned`. `seconds_total`: training and evaluation, as in the result; `seconds_wall`: all attempts, each from
its start to its last sign of life, start-up and lost work included; `seconds_predicted` stands for the latter.
`started`, `published`: unix seconds of the first attempt's start and of the result. `games_source`: `procedural`,
`data` or `generated`. `commits`: git commits of the attempts, space-separated, with `+` appended where the tree held
uncommitted changes. `code`, `packages`, `devices`, `execution`: what the attempts ran whose work stands (those that
left a checkpoint or an evaluation, and the last), each form once: git commits, with `+` and the start of the diff's
hash where there were uncommitted changes (space-separated); versions of python and the packages, device names, and what
of the execution touches the numerics (separated by ` | `). An attempt that recorded none counts as `unknown`.
`resumed`: what differs between these attempts, as keys of their provenance. Each axis adds a column with its dotted key
and its value as text.
"""

EVALUATION: Columns = {
    **RUN_KEY,
    "phase": "str",
    "update": "int64",
    "task_type": "str",
    "success": "float64",
    "score": "float64",
    "games": "int64",
    "panel": "str",
    "panel_hash": "str",
    "result_sha256": "str",
}
"""One row a run, phase and task type, plus the row `all` over every episode. `success`: mean over `games` episodes.
`score`: mean score (0 to 1); NaN where an episode has none."""

METRICS: Columns = {
    **RUN_KEY,
    "update": "int64",
    **dict.fromkeys(
        (
            *("episodes", "success", "reward", "penalty", "turns", "accepted_share", "valid_share"),
            *("loss", "rl_loss", "kl", "entropy", "clip_ratio", "grad_norm", "learning_rate", "logprob_gap", "rows"),
            *("tokens.prompt", "tokens.action", "tokens.observation", "tokens.template"),
            *("seconds.rollout", "seconds.generate", "seconds.environment", "seconds.train"),
            *("seconds.total", "peak_memory_mb", "device_seconds", "redone_episodes"),
            *("wm.weight", "wm.loss", "wm.lambda_mean", "wm.selected_share", "wm.clipped_share"),
            *("wm.perplexity", "time"),
        ),
        "float64",
    ),
}
"""One row a run and update (1-based): the record of docs/architecture.md with its groups flattened to dotted names.
Numbers beyond these, which later versions may log, follow in alphabetical order."""

SPARSE = frozenset({"gradients.rl", "gradients.wm", "gradients.cosine"})
"""Metrics that only some updates measure, by design (`execution.gradient_parts_every`)."""

EPISODES: Columns = {
    **RUN_KEY,
    "phase": "str",
    "panel": "str",
    "panel_hash": "str",
    "task_id": "str",
    "task_type": "str",
    "episode_seed": "int64",
    "temperature": "float64",
    "reward": "float64",
    "success": "bool",
    "score": "float64",
    "turns": "int64",
    "accepted_share": "float64",
    **dict.fromkeys(("tokens.prompt", "tokens.action", "tokens.observation", "tokens.template"), "float64"),
}
"""One row an evaluation episode. `task_type` is short: pick, look, clean, heat, cool, pick2; others as they are.
`score`: how well the episode ended, 0 to 1, where the environment grades it, else NaN."""

FIXED_TRANSITIONS: Columns = {
    **RUN_KEY,
    "phase": "str",
    "update": "int64",
    "set_hash": "str",
    "transitions": "int64",
    "tokens": "int64",
    "nll": "float64",
    "perplexity": "float64",
    "accuracy": "float64",
    "loss_mae": "float64",
}
"""World-model diagnostics on the fixed transitions, one row a run and phase. `nll`: nats per observation token."""

GRADIENTS: Columns = {
    **RUN_KEY,
    "phase": "str",
    "update": "int64",
    "noisy": "bool",
    "above": "float64",
    "upto": "float64",
    "rho": "float64",
    "tokens": "int64",
    "weight": "float64",
    "ce": "float64",
    "mae": "float64",
    "cmae": "float64",
}
"""Observation tokens of the fixed transitions by their probability p under the policy: one row a run, phase, kind of
token (`noisy`: a name that the context does not hold) and bin `above` < p <= `upto`; no rows for runs that recorded
none. `tokens`: how many; `weight`: their summed weight, 1 over all of a phase; `ce`, `mae`, `cmae`: the summed weight
times the size of the loss's gradient with respect to the label's logit, `cmae` clipped above the run's `rho`."""


_SHARES: tuple[str, ...] = (
    "success",
    "success_before",
    "success_after",
    "accepted_share",
    "valid_share",
    "clip_ratio",
    "accuracy",
)
_SHARES += ("score", "loss_mae", "wm.selected_share", "wm.clipped_share")
_SHARES += ("above", "upto", "rho", "edges", "weight", "ce", "mae", "cmae")
_COUNTS: tuple[str, ...] = (
    "updates",
    "updates_planned",
    "attempts",
    "games",
    "turns",
    "transitions",
    "tokens",
    "episodes",
    "rows",
)
_COUNTS += ("tokens.prompt", "tokens.action", "tokens.observation", "tokens.template", "redone_episodes", "update")
_SIZES: tuple[str, ...] = (
    "seconds_training",
    "seconds_evaluation",
    "seconds_total",
    "seconds_wall",
    "seconds_predicted",
    "started",
)
_SIZES += ("published", "time", "seconds.rollout", "seconds.generate", "seconds.environment", "seconds.train")
_SIZES += ("seconds.total", "device_seconds", "peak_memory_mb", "entropy", "grad_norm")
_SIZES += ("learning_rate", "logprob_gap", "temperature", "nll", "perplexity", "wm.weight", "wm.loss")
_SIZES += ("wm.lambda_mean", "wm.perplexity")
LIMITS: Mapping[str, float] = {**dict.fromkeys(_SHARES, 1.0), **dict.fromkeys((*_COUNTS, *_SIZES), math.inf)}
"""Column -> the largest value it can have; the smallest is 0. Columns that are not here may have any value."""

_ROUNDING = 1e-9
_ACCEPTED: Mapping[str, frozenset[type]] = {
    "str": frozenset({str}),
    "bool": frozenset({bool}),
    "boolean": frozenset({bool, type(None)}),
    "int64": frozenset({int}),
    "Int64": frozenset({int, type(None)}),
    "float64": frozenset({int, float, type(None)}),
}

Table = dict[str, np.ndarray]
"""Column -> values (one run's, or all runs'): checked, in the order of the records."""


def checked(values: Sequence[Any], name: str, dtype: str, *, source: str) -> np.ndarray:
    """The values of a column as an array: of `dtype`, or of objects for text and where NA is possible.

    Values are never converted, except that None is NaN among floats. Raises ValueError, naming `source`, column,
    value and place, for another type, a number that is not finite, and one outside of `LIMITS`.
    """
    if not _ACCEPTED[dtype].issuperset(map(type, values)):
        place = next(place for place, value in enumerate(values) if type(value) not in _ACCEPTED[dtype])
        value = values[place]
        found = "missing" if value is None else f"{value!r:.60}"
        raise ValueError(f"{source}: {name} is {found}, expected {dtype}{_place(place, values)}")
    if dtype not in {"int64", "float64"}:
        return np.array(values, dtype="bool" if dtype == "bool" else "object")
    try:
        array = np.array(values, dtype=dtype)
    except OverflowError:
        raise ValueError(f"{source}: {name} has an integer of more than 64 bits") from None
    wrong = np.isinf(array)
    if name in LIMITS:
        wrong |= (array < _range(name)[0]) | (array > _range(name)[1])
    if wrong.any():
        place = int(wrong.argmax())
        limit = f"at most {LIMITS[name]:g} and " if math.isfinite(LIMITS.get(name, math.inf)) else ""
        raise ValueError(
            f"{source}: {name} is {values[place]!r:.60}, expected {limit}at least 0{_place(place, values)}"
        )
    return array


def checked_columns(values: Mapping[str, Sequence[Any]], columns: Columns, *, source: str) -> Table:
    """`checked` of every column of `values`, which all have the same length; one that is not in `columns` holds floats.

    Floats are looked at together: it is what most of a sweep's files consist of.
    """
    floats = [name for name in values if columns.get(name, "float64") == "float64"]
    block = _floats([values[name] for name in floats], floats)
    if block is None:
        return {name: checked(own, name, columns.get(name, "float64"), source=source) for name, own in values.items()}
    found = dict(zip(floats, block, strict=True))
    return {
        name: found[name] if name in found else checked(own, name, columns[name], source=source)
        for name, own in values.items()
    }


def _floats(columns: Sequence[Sequence[Any]], names: Sequence[str]) -> np.ndarray | None:
    """Columns x records; None where a value cannot be right, which `checked` then names."""
    if not _ACCEPTED["float64"].issuperset(map(type, chain.from_iterable(columns))):
        return None
    try:
        array = np.array(columns, dtype="float64").reshape(len(names), len(columns[0]) if columns else 0)
    except OverflowError:
        return None
    low, high = np.array([_range(name) for name in names]).reshape(-1, 2, 1).swapaxes(0, 1)
    return None if (np.isinf(array) | (array < low) | (array > high)).any() else array


def _range(name: str) -> tuple[float, float]:
    """The least and the largest value of a column."""
    return (-_ROUNDING, LIMITS[name] + _ROUNDING) if name in LIMITS else (-math.inf, math.inf)


def _place(place: int, values: Sequence[Any]) -> str:
    return f" (record {place + 1} of {len(values)})" if len(values) > 1 else ""


def table(rows: Sequence[Mapping[str, Any]], columns: Columns, *, source: str) -> Table:
    """The checked `columns` of `rows`; what else the rows hold is left out."""
    return checked_columns({name: [row.get(name) for row in rows] for name in columns}, columns, source=source)


class Texts:
    """Text columns as numbers: a text that comes a million times takes the time and the memory of one."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def encoded(self, part: Table, columns: Columns) -> Table:
        """The table with codes in the place of its texts."""
        return {name: self.codes(own) if columns.get(name) == "str" else own for name, own in part.items()}

    def codes(self, values: Sequence[str] | np.ndarray) -> np.ndarray:
        """The code of each text."""
        known = self._codes
        for text in dict.fromkeys(values):
            known.setdefault(text, len(known))
        return np.fromiter(map(known.__getitem__, values), dtype="int32", count=len(values))

    def known(self) -> list[str]:
        """Code -> text."""
        return list(self._codes)

    def decoded(self, codes: np.ndarray) -> pd.api.extensions.ExtensionArray:
        """The texts again."""
        return pd.Series(self.known(), dtype="str").array.take(codes)


def frame(
    rows: Iterable[Mapping[str, Any]], columns: Columns, extra: Iterable[str] = (), *, source: str = "frame"
) -> pd.DataFrame:
    """A frame with exactly `columns`, then `extra` text columns. Values are checked as in `checked`."""
    types = {**columns, **dict.fromkeys(extra, "str")}
    return _typed(table(list(rows), types, source=source), types)


def stacked(keys: Sequence[Mapping[str, Any]], tables: Sequence[Table], columns: Columns, texts: Texts) -> Table:
    """The runs' tables, whose texts `texts` has encoded, one below the other, each with its run's `RUN_KEY`.

    The columns are `columns`; numbers beyond them follow in alphabetical order, NaN in runs that do not have them.
    """
    lengths = [len(next(iter(part.values()), ())) for part in tables]
    data: Table = {}
    for name, dtype in RUN_KEY.items():
        own = [key[name] for key in keys]
        data[name] = np.repeat(texts.codes(own) if dtype == "str" else np.array(own, dtype=dtype), lengths)
    filled = [(part, length) for part, length in zip(tables, lengths, strict=True) if length]
    return data | _below_each_other(filled, [name for name in columns if name not in RUN_KEY])


def joined(stacks: Sequence[tuple[Table, Sequence[str]]], columns: Columns) -> pd.DataFrame:
    """One frame of what `stacked` gave, each with the texts that its codes stand for."""
    texts = Texts()
    filled = []
    for stack, own in stacks:
        new = texts.codes(own)
        recoded = {name: new[codes] if columns.get(name) == "str" else codes for name, codes in stack.items()}
        filled.append((recoded, len(stack["run_id"])))
    data = _below_each_other(filled, columns)
    types = {**columns, **dict.fromkeys(data.keys() - columns.keys(), "float64")}
    return _typed({name: texts.decoded(own) if types[name] == "str" else own for name, own in data.items()}, types)


def _below_each_other(parts: Sequence[tuple[Table, int]], names: Iterable[str]) -> Table:
    """The columns `names` of parts of a certain length, then what else they hold: NaN where a part lacks it."""
    names = list(names)
    extra = sorted({name for part, _ in parts for name in part}.difference(names))
    data: Table = {}
    for name in (*names, *extra):
        own = [part[name] if name in part else np.full(length, np.nan) for part, length in parts]
        data[name] = np.concatenate(own) if own else np.array([], dtype="int32")
    return data


def _typed(data: Mapping[str, Any], types: Columns) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(data[name], dtype=dtype) for name, dtype in types.items()})
