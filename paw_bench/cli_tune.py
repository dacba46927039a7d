"""`paw-bench tune`: from the study file to the best settings of each arm."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from paw_bench import cli_cluster, cli_sweep
from paw_bench.cli_cluster import KEEP_COMMAND
from paw_bench.cli_status import status_document
from paw_bench.config.profile import load_profile
from paw_bench.sweep.cluster_launch import ClusterLaunch
from paw_bench.sweep.launch import RUN_COMMAND
from paw_bench.sweep.progress import Screen, headline
from paw_bench.sweep.requirements import cannot_run_here, missing_requirements
from paw_bench.sweep.signals import Interrupted
from paw_bench.sweep.slots import Slots
from paw_bench.tune.describe import describe_study, study_json
from paw_bench.tune.here import tune_here
from paw_bench.tune.load import load_study_file
from paw_bench.tune.on_cluster import ClusterStudy
from paw_bench.tune.outputs import Outputs, write_outputs
from paw_bench.tune.study_plan import StudyPlan
from paw_bench.tune.trials import ArmStudy
from paw_bench.tune.tuner import Tuner


def tune(
    file: Path,
    *,
    scale: str | None,
    overrides: Sequence[str],
    trials: int | None,
    dry_run: bool,
    as_json: bool,
    parallel: int | None,
    results: Path,
    retry: bool,
    command: Sequence[str] = RUN_COMMAND,
) -> int:
    """Bring every trial of the study to its end, then write what was found; returns the exit code.

    0: every arm has spent its budget and has a best; 1: something is left open, or an arm has no best; 130: stopped.
    `command` works on the run folder that is appended to it. Raises UserError for everything that the user can mend.
    """
    study = load_study_file(file, scale=scale, overrides=overrides, trials=trials)
    slots = Slots(study.trial.execution, parallel=parallel or study.spec.parallel)
    plan = StudyPlan.of(study, results, parallel=slots.count)
    if dry_run:
        return show_plan(plan, as_json=as_json)
    missing = missing_requirements(plan.base)
    if missing:
        raise cannot_run_here(plan.base, missing)
    console = Console(stderr=as_json)
    try:
        with Screen(console, study.name) as screen:
            arms, tuner = tune_here(plan, slots=slots, retry=retry, screen=screen, command=command)
    except (Interrupted, KeyboardInterrupt):
        again = shlex.join(["paw-bench", *sys.argv[1:]])
        print(f"stopped; trials and checkpoints are kept. To go on: {again}", file=sys.stderr)
        return 130
    return conclude(plan, arms, tuner, console, as_json=as_json, again=cli_sweep.AGAIN)


def tune_on(
    file: Path,
    profile: Path,
    *,
    scale: str | None,
    overrides: Sequence[str],
    trials: int | None,
    dry_run: bool,
    as_json: bool,
    results: Path,
    retry: bool,
    wait: bool,
    command: Sequence[str] = RUN_COMMAND,
    keep: Sequence[str] = KEEP_COMMAND,
) -> int:
    """One pass over the study on a cluster, with `wait` until every trial has ended; returns the exit code.

    `keep` makes a pass over the sweep folder that is appended to it. Raises UserError for everything that the user can
    mend.
    """
    study = load_study_file(file, scale=scale, overrides=overrides, trials=trials)
    profile_file = load_profile(profile)
    parallel = study.spec.parallel or profile_file.profile.max_parallel
    plan = StudyPlan.of(study, results, parallel=parallel)
    if dry_run:
        return show_plan(plan, as_json=as_json)
    launch = ClusterLaunch(plan.base, profile_file, results, command, keep)
    console = Console(stderr=as_json)
    try:
        with Screen(console, study.name) as screen:
            arms, tuner, statuses = ClusterStudy(plan, launch, parallel).tune(screen, retry=retry, wait=wait)
    except (Interrupted, KeyboardInterrupt):
        print(f"stopped; submitted runs go on. See: paw-bench status {study.name}", file=sys.stderr)
        return 130
    if wait or not tuner.open:
        return conclude(plan, arms, tuner, console, as_json=as_json, again=cli_cluster.AGAIN)
    console.print(headline(study.name, [*statuses, *tuner.to_come()], None), highlight=False, soft_wrap=True)
    console.print("the same command again tells what ended and asks for more", highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps(status_document(plan.sweep, statuses), indent=2))
    return 0


def show_plan(plan: StudyPlan, *, as_json: bool) -> int:
    """Print what the study would do."""
    if as_json:
        print(json.dumps(study_json(plan), indent=2))
    else:
        Console().print(describe_study(plan))
    return 0


def conclude(
    plan: StudyPlan, arms: Sequence[ArmStudy], tuner: Tuner, console: Console, *, as_json: bool, again: str
) -> int:
    """Write and print what was found, and say what is left open, why, and how it is tried again."""
    outputs = write_outputs(plan, arms)
    lines = [outputs.table, *_files(outputs)]
    for trial in tuner.stuck:
        runs = ", ".join(run.run_id for run in trial.runs)
        lines.append(f"{trial.label} is left open: its run ended without a result (paw-bench why {runs})")
    if tuner.stuck:
        lines.append(again)
    for arm in tuner.hopeless:
        reason = arms[[each.arm for each in arms].index(arm)].trials()[-1].user_attrs.get("reason", "")
        lines.append(f"every trial of {arm} failed so far, so no more are asked for: {reason}")
        lines.append("Mend the cause and remove the study's folder to begin anew, or go on with --retry.")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps(_document(plan, outputs), indent=2))
    return 0 if all(summary.finished and summary.best for summary in outputs.summaries) else 1


def _files(outputs: Outputs) -> list[str]:
    folder = os.path.relpath(outputs.folder)
    lines = [f"tables:  {folder}/table.md, table.csv, trials.csv"]
    lines += [f"figures: {folder}/figures"] if outputs.figures else []
    lines.append(f"export:  optuna-dashboard sqlite:///{os.path.relpath(outputs.export)}")
    if outputs.best and outputs.best[0].name == "best.yaml":
        lines.append(f"next:    paw-bench sweep {os.path.relpath(outputs.best[0])}")
    return lines


def _document(plan: StudyPlan, outputs: Outputs) -> dict[str, object]:
    return {
        "name": plan.study.name,
        "folder": str(plan.folder),
        "fair": plan.study.spec.fair,
        "arms": {summary.arm: summary.document() for summary in outputs.summaries},
        "best": [str(path) for path in outputs.best],
        "figures": [str(path) for path in outputs.figures],
        "export": str(outputs.export),
    }
