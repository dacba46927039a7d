"""What an update takes: the figures that arms are compared by."""

from __future__ import annotations

import pandas as pd

_SECONDS = ["seconds.rollout", "seconds.train", "seconds.total"]


def update_costs(metrics: pd.DataFrame) -> pd.DataFrame:
    """One row a run, by run id: mean seconds an update by part, and `peak_memory_mb`, the largest (MiB).

    Updates in which a run also measured the gradients of RL and world model apart are left out of the seconds of all
    runs, so that these stand on the same updates: arms without the term never do (`execution.gradient_parts_every`),
    and an early update takes longer than a late one. A run that did so in every update says nothing about which.
    """
    runs = metrics.groupby("run_id", sort=False)
    measured = metrics["gradients.rl"].notna() if "gradients.rl" in metrics else pd.Series(False, metrics.index)
    now_and_then = measured & ~measured.groupby(metrics["run_id"]).transform("all")
    plain = metrics[~metrics["update"].isin(metrics["update"][now_and_then])]
    found = plain.groupby("run_id", sort=False)[_SECONDS].mean()
    return found.join(runs[["arm", "seed"]].first()).join(runs["peak_memory_mb"].max())
