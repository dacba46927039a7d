"""`paw-bench doctor`: whether runs can work here and, with a profile, on the cluster's nodes."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields
from pathlib import Path

from rich.console import Console
from rich.text import Text

from paw_bench.config.load import load_experiment_file
from paw_bench.config.profile import ProfileFile, load_profile
from paw_bench.config.schema import ExecutionConfig, ExperimentConfig, RunConfig
from paw_bench.errors import UserError
from paw_bench.sweep.cluster_check import check_profile, job_environment
from paw_bench.sweep.doctor import answer, any_failed, ask_node, report_json
from paw_bench.sweep.doctor_checks import Check, Wanted, check_place
from paw_bench.sweep.launch import RUN_COMMAND
from paw_bench.sweep.plan import Plan, plan
from paw_bench.sweep.sbatch import Shape, SlurmLauncher

_NODE_COMMAND = (*RUN_COMMAND[:-1], "doctor-node")
_STYLES = {"ok": "green", "failed": "bold red", "skipped": "dim"}
_WORD_WIDTH = 9
_INDENT = 2


def doctor(
    file: Path | None,
    profile: Path | None,
    *,
    scale: str | None,
    overrides: Sequence[str],
    results: Path,
    as_json: bool,
) -> int:
    """Print what was checked here and, with a `profile`, on a node for each shape of job; 1 where a check failed."""
    planned = plan(load_experiment_file(file, scale=scale, overrides=overrides)) if file else None
    profile_file = load_profile(profile) if profile else None
    console = Console(stderr=as_json)
    wanted = _wanted(planned, results)
    with job_environment(profile_file.profile) if profile_file else nullcontext():
        places = {"this machine": list(check_place(wanted, compute=profile_file is None))}
    _show(console, "this machine", places["this machine"])
    if profile_file is not None:
        launcher = SlurmLauncher(profile_file.profile, results.absolute(), RUN_COMMAND)
        shapes = _shapes(planned, profile_file)
        places["Slurm"] = [_profile_check(profile_file, shapes, launcher)]
        _show(console, "Slurm", places["Slurm"])
        for shape, place in _places(shapes).items() if not any_failed({"": places["Slurm"]}) else ():
            console.print(f"waiting for {place} (Ctrl-C cancels the job)", style="dim", highlight=False)
            gpus = Wanted(**{**asdict(wanted), "gpus": shape.gpus_a_node})
            places[place] = ask_node(gpus, shape, launcher, _NODE_COMMAND)
            _show(console, place, places[place])
    if as_json:
        print(report_json(places))
    return int(any_failed(places))


def doctor_node(folder: Path) -> None:
    """What the doctor's job calls on its node."""
    answer(folder)


def _wanted(planned: Plan | None, results: Path) -> Wanted:
    path = str(results.absolute())
    if planned is None:
        return Wanted(results=path)
    execution = planned.file.execution
    experiments = [run.config.experiment for run in planned.runs]
    environments = {repr(each.environment): each.environment for each in experiments}
    return Wanted(
        results=path,
        gpus=execution.gpus,
        engines=[execution.engine],
        models=list(dict.fromkeys(each.model.name for each in experiments)),
        environments=[each.model_dump(mode="json") for each in environments.values()],
    )


def _shapes(planned: Plan | None, file: ProfileFile) -> dict[Shape, tuple[str, str]]:
    """Shape -> a (scale, model) that has it; without an experiment what the profile says of any run."""
    if planned is None:
        config = RunConfig(experiment=ExperimentConfig(), execution=ExecutionConfig())
        return {Shape.of(file.profile, "", config): ("", "")}
    scale = planned.file.scale
    return {
        Shape.of(file.profile, scale, run.config): (scale, run.config.experiment.model.name) for run in planned.runs
    }


def _profile_check(file: ProfileFile, shapes: dict[Shape, tuple[str, str]], launcher: SlurmLauncher) -> Check:
    try:
        check_profile(file, shapes, launcher)
    except UserError as error:
        return Check("profile", "failed", error.problem, error.remedy)
    return Check("profile", "ok", f"the cluster takes {len(shapes)} shape{'s' * (len(shapes) != 1)} of job")


def _places(shapes: Collection[Shape]) -> dict[Shape, str]:
    """Shape -> a name of its own for where it is checked; shapes that read alike also name what they differ in."""
    alike: dict[str, list[Shape]] = defaultdict(list)
    for shape in shapes:
        node = "a node" if shape.nodes == 1 else f"the first of {shape.nodes} nodes"
        alike[f"{node} for {_words(shape)}"].append(shape)
    names: dict[Shape, str] = {}
    for name, group in alike.items():
        differ = [each.name for each in fields(Shape) if len({getattr(shape, each.name) for shape in group}) > 1]
        names |= {shape: ", ".join([name, *(f"{key} {getattr(shape, key)}" for key in differ)]) for shape in group}
    return names


def _words(shape: Shape) -> str:
    gpus = f"{shape.gpus} GPU{'s' * (shape.gpus != 1)}, " if shape.gpus else ""
    return f"{gpus}{shape.cpus} CPUs, {shape.memory_gb} GB ({shape.partition or 'default partition'})"


def _show(console: Console, place: str, checks: Sequence[Check]) -> None:
    console.print(Text(place, style="bold"))
    for check in checks:
        word = Text("-" if check.state == "skipped" else check.state, style=_STYLES[check.state])
        lines = [f"{check.name}: {check.found}", *([f"remedy: {check.remedy}"] if check.remedy else [])]
        # A file or a pipe gets whole lines: they are searched, not looked at.
        width = max(20, console.width - _INDENT - _WORD_WIDTH) if console.is_terminal else sys.maxsize
        for number, line in enumerate(Text("\n".join(lines)).wrap(console, width)):
            beside = word if number == 0 else Text()
            beside.pad_right(_WORD_WIDTH - len(beside))
            line.rstrip()
            console.print(Text.assemble(" " * _INDENT, beside, line), highlight=False, soft_wrap=True)
