"""A plan for people (`--dry-run`) and for programs (`--dry-run --json`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from paw_bench.config.budget import Unit
from paw_bench.config.schema import SCHEMA_VERSION
from paw_bench.sweep.cost import ArmCost, CostPrediction
from paw_bench.sweep.plan import Changes, Plan
from paw_bench.sweep.progress import duration

UNKNOWN = "unknown: no measurement"
UNITS: Mapping[Unit, str] = {"gpu": "GPU hours", "core": "core hours"}


def describe_plan(plan: Plan, cost: CostPrediction, notes: Sequence[str] = ()) -> RenderableType:
    """The runs, what each arm changes, the proof, the cost, and `notes` on both, for 80 columns."""
    file = plan.file
    counts = [_count(len(file.arms), "arm")]
    counts += [f"{_count(len(axis.values), 'value')} of {axis.key}" for axis in file.axes]
    counts += [_count(len(file.seeds), "seed")]
    head = Text.assemble((file.sweep_name, "bold"), f": {_count(len(plan.runs), 'run')} = {' x '.join(counts)}")
    lines = [head]
    lines += [Text(file.description, style="dim")] if file.description else []
    lines += [Text(f"{axis.key}: {', '.join(str(value) for value in axis.values)}") for axis in file.axes]
    lines += [Text(f"seeds: {', '.join(map(str, file.seeds))}")]
    lines += [Text(line) for line in played(plan)]
    if file.tuned:
        trials = ", ".join(f"{count} for {arm}" for arm, count in file.tuned.trials.items())
        lines.append(Text(f"tuned on the {file.tuned.panel} panel by the study {file.tuned.study}; trials: {trials}"))
    return Group(
        *lines,
        Text(),
        _arm_table(plan, cost),
        Text(),
        Text(_proof(plan)),
        Text(),
        *_cost_lines(plan, cost),
        *map(Text, notes),
    )


def plan_json(plan: Plan, cost: CostPrediction) -> dict[str, Any]:
    """The same as plain data; `sweep.json` keeps it."""
    file = plan.file
    return {
        "schema_version": SCHEMA_VERSION,
        "name": file.name,
        "scale": file.scale,
        "file": str(file.path),
        "overrides": list(file.overrides),
        "arms": list(file.arms),
        "reference": file.reference,
        "comparisons": [list(pair) for pair in file.comparisons],
        "axes": {axis.key: list(axis.values) for axis in file.axes},
        "seeds": list(file.seeds),
        "tuned": file.tuned.model_dump() if file.tuned else None,
        "runs": [{"run_id": run.run_id, "arm": run.arm, "axes": run.axes, "seed": run.seed} for run in plan.runs],
        "changes": {
            arm: {key: {"base": base, "arm": value} for key, (base, value) in changes.items()}
            for arm, changes in plan.changes.items()
        },
        "proof": {"arms": len(file.arms), "axis_points": plan.points, "undeclared_differences": 0},
        "cost": {
            "run_seconds": {arm: entry.run_seconds for arm, entry in cost.arms.items()},
            "sources": {arm: entry.source for arm, entry in cost.arms.items()},
            "parallel": cost.parallel,
            "total_seconds": cost.total_seconds,
            "gpu_hours": cost.gpu_hours,
            "core_hours": cost.hours("core", list(cost.sizes)),
            "measured": list(cost.sources),
        },
    }


def played(plan: Plan) -> list[str]:
    """What each environment of the plan is played with and reported on, a line each."""
    lines = []
    for run in (run for run in plan.runs if run.seed == plan.file.seeds[0]):
        config = run.config.experiment
        environment, evaluation = config.environment, config.evaluation
        tasks = evaluation.games or environment.panel_sizes.get(evaluation.panel)
        lines.append(
            f"{environment.name} ({environment.source}): {tasks or 'all'} tasks of {evaluation.panel}, "
            f"at most {environment.max_turns} turns, model {config.model.name}"
        )
    return list(dict.fromkeys(lines))


def _arm_table(plan: Plan, cost: CostPrediction) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("arm", overflow="fold", max_width=24)
    table.add_column("changes against the base", overflow="fold")
    table.add_column("a run", justify="right", no_wrap=True)
    table.add_column("a cell", justify="right", no_wrap=True)
    for arm, changes in plan.changes.items():
        mark = " (reference)" if arm == plan.file.reference else ""
        table.add_row(Text(arm + mark), _changes(changes), _each(cost.arms[arm]), _cell_hours(plan, cost, arm))
    return table


def _changes(changes: Changes) -> Text:
    if not changes:
        return Text("nothing", style="dim")
    return Text("\n".join(f"{key}: {_value(base)} -> {_value(value)}" for key, (base, value) in changes.items()))


def _value(value: Any) -> str:
    """As it would be written in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if value in ("true", "false", "null") else str(value)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _each(entry: ArmCost) -> str:
    return "?" if entry.run_seconds is None else duration(entry.run_seconds)


def _cell_hours(plan: Plan, cost: CostPrediction, arm: str) -> str:
    """GPU or core hours of the arm's seeds at one axis point, in the mean over the points."""
    runs = [run.run_id for run in plan.runs if run.arm == arm]
    words = []
    for unit, name in UNITS.items():
        hours = cost.hours(unit, runs)
        if hours is None:
            return "?"
        words += [f"{hours / plan.points:.1f} {name.removesuffix('ours')}"] if hours else []
    return ", ".join(words)


def _proof(plan: Plan) -> str:
    where = f" at each of {plan.points} axis points" if plan.file.axes else ""
    shared = "Runs with the same seed share games, initial weights and random numbers"
    if len({run.config.experiment.algorithm.tasks for run in plan.runs}) > 1:
        shared += ", dealt to updates of different numbers of tasks (ppo: a task an episode)"
    return f"Checked: every arm equals the base in every key that it does not name{where}. {shared}."


def hour_lines(cost: CostPrediction, runs: Collection[str]) -> list[str]:
    """GPU hours of those of `runs` that use GPUs, core hours of the others."""
    present = {cost.sizes[run].unit for run in runs}
    lines = []
    for unit, name in UNITS.items():
        if unit in present:
            hours = cost.hours(unit, runs)
            lines.append(f"{name}: {UNKNOWN if hours is None else f'{hours:.1f}'}")
    return lines


def _cost_lines(plan: Plan, cost: CostPrediction) -> list[RenderableType]:
    total = UNKNOWN if cost.total_seconds is None else f"about {duration(cost.total_seconds)}"
    lines = [f"time: {total} with {_count(cost.parallel, 'run')} at a time"]
    if cost.total_seconds is None:
        lines = [f"time: {UNKNOWN}"]
    lines += hour_lines(cost, [run.run_id for run in plan.runs])
    return [*map(Text, lines), *(Padding(Text(f"from {source}", style="dim"), (0, 0, 0, 2)) for source in cost.sources)]
