"""What a study would do, before it does it: arms, spaces, budget, cost."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paw_bench.sweep.describe import UNKNOWN
from paw_bench.sweep.progress import duration
from paw_bench.tune.study_plan import KEY, StudyPlan


def describe_study(plan: StudyPlan) -> RenderableType:
    """Arms, spaces, budget and cost, for a terminal."""
    study, spec = plan.study, plan.study.spec
    runs = sum(study.trials.values()) * len(spec.seeds)
    counts = ", ".join(f"{count} for {arm}" for arm, count in study.trials.items())
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("arm", "searched key", "values"):
        table.add_column(column, overflow="fold")
    for arm, space in study.spaces.items():
        for number, parameter in enumerate(space.parameters):
            table.add_row(Text("" if number else arm), Text(parameter.key), Text(parameter.words()))
    lines = [
        Text.assemble((study.name, "bold"), f": {sum(study.trials.values())} trials ({counts}), {runs} runs"),
        *([Text(spec.description, style="dim")] if spec.description else []),
        Text(f"each trial: seeds {', '.join(map(str, spec.seeds))}; its score: mean success on the tune panel"),
        Text(f"sampler: {spec.sampler.kind}, seed {spec.sampler.seed}; pruner: {_pruner(plan)}"),
    ]
    fair = "the arms have the same trials, the same space for shared keys, and the same games"
    return Group(
        *lines,
        Text(),
        table,
        Text(),
        Text(f"Fair: {fair}." if spec.fair else "Not fair: fair is false, so arms may differ in trials and space."),
        Text(_cost(plan)),
        *(Text(f"  from {source}", style="dim") for source in plan.cost.sources),
    )


def study_json(plan: StudyPlan) -> dict[str, Any]:
    """The same as plain data."""
    document = plan.document()
    study = plan.study
    return {
        "name": study.name,
        "folder": str(plan.folder),
        **document[KEY],
        "runs": sum(study.trials.values()) * len(study.spec.seeds),
        "cost": document["cost"],
    }


def _pruner(plan: StudyPlan) -> str:
    pruner = plan.study.spec.pruner
    if pruner.kind == "none":
        return "none"
    updates = max(plan.study.trial.resolve(arm, {}).training.updates for arm in plan.study.trial.arms)
    never = f"; it stops nothing here, where a trial has {updates} updates" * (pruner.min_updates >= updates)
    return f"{pruner.kind}, from update {pruner.min_updates} on{never}"


def _cost(plan: StudyPlan) -> str:
    if plan.seconds is None:
        return f"time: {UNKNOWN}"
    most = "at most " * (plan.study.spec.pruner.kind != "none")
    return f"time: {most}about {duration(plan.seconds)} with {plan.cost.parallel} runs at a time"
