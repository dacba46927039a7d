"""What a study found, arm by arm: counts, best, spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from paw_bench.tune.study_plan import StudyPlan
from paw_bench.tune.trials import RUNS, SAME_AS, ArmStudy


@dataclass(frozen=True)
class ArmSummary:
    """One arm's trials in numbers; scores are shares."""

    arm: str
    budget: int
    counts: Mapping[str, int]
    """complete, pruned, failed, open -> trials."""
    reused: int
    """Trials whose settings another trial had: they cost nothing and add nothing."""
    best: FrozenTrial | None
    """The complete trial with the highest score, the first of several."""
    median: float | None
    quartiles: tuple[float, float] | None
    """Of the complete trials' scores: the spread over settings."""

    @property
    def finished(self) -> bool:
        """Whether the whole budget was spent."""
        return self.budget <= sum(self.counts.values()) - self.counts["open"]

    def document(self) -> dict[str, Any]:
        """As plain data."""
        best = self.best
        return {
            "trials": self.budget,
            **self.counts,
            "reused": self.reused,
            "median": self.median,
            "quartiles": list(self.quartiles) if self.quartiles else None,
            "best": best and {
                "trial": best.number,
                "success": best.value,
                "params": best.params,
                "runs": best.user_attrs[RUNS],
            },
        }  # fmt: skip


def summarise(plan: StudyPlan, arms: Sequence[ArmStudy]) -> list[ArmSummary]:
    """The summary of every arm, in the order of the study file."""
    return [_summary(arm.arm, plan.study.trials[arm.arm], arm.trials()) for arm in arms]


def _summary(arm: str, budget: int, trials: Sequence[FrozenTrial]) -> ArmSummary:
    states = Counter(trial.state for trial in trials)
    names = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    counts = {name: states[state] for name, state in names.items()} | {"open": states[TrialState.RUNNING]}
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = max(complete, key=lambda trial: (trial.value, -trial.number), default=None)
    low, median, high = np.percentile([trial.value for trial in complete], [25, 50, 75]) if complete else (None,) * 3
    return ArmSummary(
        arm=arm,
        budget=budget,
        counts=counts,
        reused=sum(SAME_AS in trial.user_attrs for trial in trials),
        best=best,
        median=None if median is None else float(median),
        quartiles=None if low is None or high is None else (float(low), float(high)),
    )
