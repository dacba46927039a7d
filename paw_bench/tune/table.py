"""The table of a study: the best of each arm, with the budget that found it in the footnote."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from optuna.trial import TrialState

from paw_bench.config.keys import short_names
from paw_bench.store.run_directory import RunDirectory
from paw_bench.tune.study_plan import StudyPlan
from paw_bench.tune.summary import ArmSummary
from paw_bench.tune.trials import REASON, RUNS, SAME_AS, ArmStudy

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "open",
}


def markdown(plan: StudyPlan, summaries: Sequence[ArmSummary]) -> str:
    """The table and its footnote."""
    keys = searched(plan)
    names = short_names(keys)
    head = ["Arm", "Best", "Median", "Quartiles", "Trials", *(names[key] for key in keys)]
    rows = [[*_cells(summary), *(_shown(summary, key) for key in keys)] for summary in summaries]
    lines = [f"# {plan.study.name}", "", _row(head), _row([":--", *["--:"] * (len(head) - 1)]), *map(_row, rows)]
    return "\n".join([*lines, "", *_footnote(plan, summaries), ""])


def table_csv(plan: StudyPlan, summaries: Sequence[ArmSummary]) -> str:
    """One line an arm, everything at full precision."""
    keys = searched(plan)
    rows = []
    for summary in summaries:
        best, (low, high) = summary.best, summary.quartiles or (None, None)
        rows.append({
            "arm": summary.arm, "trials": summary.budget, **summary.counts, "reused": summary.reused,
            "best": best and best.value, "best_trial": best and best.number,
            "best_runs": " ".join(best.user_attrs[RUNS]) if best else None,
            "median": summary.median, "lower_quartile": low, "upper_quartile": high,
            **{key: best.params.get(key) if best else None for key in keys},
        })  # fmt: skip
    return _csv(rows)


def trials_csv(plan: StudyPlan, arms: Sequence[ArmStudy]) -> str:
    """One line a trial."""
    keys = searched(plan)
    rows = [
        {
            "arm": arm.arm,
            "trial": trial.number,
            "state": _STATES[trial.state],
            "success": trial.value,
            "updates": max(trial.intermediate_values, default=None) if trial.state == TrialState.PRUNED else None,
            **{key: trial.params.get(key) for key in keys},
            "runs": " ".join(trial.user_attrs.get(RUNS, ())),
            "same_as": trial.user_attrs.get(SAME_AS),
            "reason": trial.user_attrs.get(REASON),
        }
        for arm in arms
        for trial in arm.trials()
    ]
    return _csv(rows)


def searched(plan: StudyPlan) -> list[str]:
    """Every key that some arm searches, in the order of the file."""
    return list(dict.fromkeys(each.key for space in plan.study.spaces.values() for each in space.parameters))


def shown(value: Any) -> str:
    """A setting for people: three digits of a number."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _cells(summary: ArmSummary) -> list[str]:
    if summary.best is None or summary.quartiles is None or summary.median is None:
        return [summary.arm, "", "", "", str(summary.budget)]
    low, high = summary.quartiles
    return [summary.arm, _percent(summary.best.value or 0.0), _percent(summary.median),
            f"{_percent(low)} to {_percent(high)}", str(summary.budget)]  # fmt: skip


def _shown(summary: ArmSummary, key: str) -> str:
    return shown(summary.best.params[key]) if summary.best and key in summary.best.params else ""


def _footnote(plan: StudyPlan, summaries: Sequence[ArmSummary]) -> list[str]:
    spec, study = plan.study.spec, plan.study
    seeds = ", ".join(map(str, spec.seeds))
    lines = [f"Success in percent on {_panel(plan, summaries)}, mean over the training seeds {seeds}."]
    for summary in summaries:
        counts = ", ".join(f"{count} {name}" for name, count in summary.counts.items() if count)
        reused = f" ({summary.reused} with settings that were tried before)" if summary.reused else ""
        best = "no best"
        if summary.best and summary.quartiles:
            spread = " to ".join(map(_percent, summary.quartiles))
            best = f"best {_percent(summary.best.value or 0.0)} in trial {summary.best.number}, spread {spread}"
        keys = len(study.spaces[summary.arm].parameters)
        lines.append(f"{summary.arm}: {summary.budget} trials over {keys} keys: {counts}{reused}; {best}.")
    lines.append("Spread: quartiles of the complete trials.")
    fair = "Every arm has the same trials, the same space for keys that it shares with another, and the same games."
    lines.append(fair if spec.fair else "Not a fair study: arms may differ in trials, space and games.")
    pruner = "none" if spec.pruner.kind == "none" else f"{spec.pruner.kind} from update {spec.pruner.min_updates} on"
    lines.append(f"Sampler: {spec.sampler.kind}, seed {spec.sampler.seed}; pruner: {pruner}.")
    lines.append("The best of many noisy scores is too high: arms are compared by running best.yaml, on another panel.")
    return [f"- {line}" for line in lines]


def _panel(plan: StudyPlan, summaries: Sequence[ArmSummary]) -> str:
    hashes = set()
    for run_id in (run_id for summary in summaries if summary.best for run_id in summary.best.user_attrs[RUNS]):
        result = RunDirectory(plan.sweep.run_path(run_id)).result(verify=False) or {}
        hashes.add(result.get("evaluation", {}).get("after", {}).get("panel_hash"))
    experiment = plan.study.trial.resolve(plan.study.trial.reference, {})
    panel = experiment.evaluation.panel
    games = experiment.evaluation.games or experiment.environment.panel_sizes.get(panel) or "all"
    named = ", ".join(sorted(found[:12] for found in hashes if found))
    return f"{games} games of the {panel} panel" + (f" (hash {named})" if named else "")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()
