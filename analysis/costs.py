"""What an update takes: the figures that arms are compared by."""

from __future__ import annotations

import pandas as pd

_SECONDS = ["seconds.rollout", "seconds.train", "seconds.total"]


def update_costs(metrics: pd.DataFrame) -> pd.DataFrame:
    """One row a run, by run id: mean seconds an update by part, and `peak_memory_mb`, the largest (MiB).

    Updates that also measured the gradients of RL and world model apart are left out of the seconds, except where every
    one did: arms without the term never do (`execution.gradient_parts_every`).
    """
    runs = metrics.groupby("run_id", sort=False)
    measured = metrics["gradients.rl"].notna() if "gradients.rl" in metrics else pd.Series(False, metrics.index)
    plain = metrics[~measured | measured.groupby(metrics["run_id"]).transform("all")]
    found = plain.groupby("run_id", sort=False)[_SECONDS].mean()
    return found.join(runs[["arm", "seed"]].first()).join(runs["peak_memory_mb"].max())
