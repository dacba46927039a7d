"""The columns of every frame: their meaning, and their types, so that an empty frame is like a full one.

Shares and success rates are fractions (0 to 1), times are seconds, perplexities are exp(nats per token). A value that
was not measured is NaN (floats) or NA (integers); nothing is ever filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
    "result_sha256": "str",
}
"""One row a run, in the order of the plan; then runs on disk that the plan does not hold (`planned` False).

`status`: `done`; `damaged` (it has a result, but its files contradict each other); `unreadable`; `running`; `failed`;
`interrupted`; `lost`; `unfinished`; `not started`; `not planned`. `reason`: why, for those that are not done.
`world_model`: whether the arm trains with the world-model term. `updates`: updates with a metrics record, of
`updates_planned`. `seconds_total`: training and evaluation, as in the result; `seconds_wall`: all attempts, each from
its start to its last sign of life, start-up and lost work included; `seconds_predicted` stands for the latter.
`started`, `published`: unix seconds of the first attempt's start and of the result. `games_source`: `procedural` or
`data`. `commits`: git commits of the attempts, space-separated, with `+` appended where the tree held uncommitted
changes. Each axis adds a column with its dotted key and its value as text.
"""

EVALUATION: Columns = {
    **RUN_KEY,
    "phase": "str",
    "update": "int64",
    "task_type": "str",
    "success": "float64",
    "games": "int64",
    "panel": "str",
    "panel_hash": "str",
    "result_sha256": "str",
}
"""One row a run, phase and task type, plus the row `all` over every episode. `success`: mean over `games` episodes."""

METRICS: Columns = {
    **RUN_KEY,
    "update": "int64",
    **dict.fromkeys(
        (
            *("episodes", "success", "reward", "penalty", "turns", "accepted_share", "valid_share"),
            *("loss", "rl_loss", "kl", "entropy", "clip_ratio", "grad_norm", "learning_rate", "logprob_gap", "rows"),
            *("tokens.prompt", "tokens.action", "tokens.observation", "tokens.template"),
            *("seconds.rollout", "seconds.generate", "seconds.environment", "seconds.train", "seconds.checkpoint"),
            *("seconds.total", "peak_memory_mb", "device_seconds", "redone_episodes"),
            *("wm.weight", "wm.loss", "wm.lambda_mean", "wm.selected_share", "wm.clipped_share", "wm.accuracy"),
            *("wm.perplexity", "time"),
        ),
        "float64",
    ),
}
"""One row a run and update (1-based): the record of docs/architecture.md with its groups flattened to dotted names.
Numbers beyond these, which later versions may log, follow in alphabetical order."""

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
    "turns": "int64",
    "accepted_share": "float64",
    **dict.fromkeys(("tokens.prompt", "tokens.action", "tokens.observation", "tokens.template"), "float64"),
}
"""One row an evaluation episode. `task_type` is short: pick, look, clean, heat, cool, pick2; others as they are."""

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


def frame(
    rows: Iterable[Mapping[str, Any]], columns: Columns, extra: Iterable[str] = (), *, source: str = "frame"
) -> pd.DataFrame:
    """A frame with exactly `columns`, then `extra` text columns. Values are checked, never converted.

    Raises ValueError, naming `source`, column and value, where a row lacks a column that cannot be missing or holds
    another type.
    """
    types = {**columns, **dict.fromkeys(extra, "str")}
    rows = list(rows)
    return pd.DataFrame(
        {
            name: pd.Series([_checked(row.get(name), f"{source}: {name}", dtype) for row in rows], dtype=dtype)
            for name, dtype in types.items()
        }
    )


def _checked(value: Any, name: str, dtype: str) -> Any:
    if value is None and dtype in {"float64", "Int64", "boolean"}:
        return value
    accepted = {"str": str, "bool": bool, "boolean": bool, "int64": int, "Int64": int, "float64": int | float}[dtype]
    if not isinstance(value, accepted) or (isinstance(value, bool) and accepted is not bool):
        raise ValueError(f"{name} is {'missing' if value is None else repr(value)}, expected {dtype}")
    return value
