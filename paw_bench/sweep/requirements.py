"""What a plan needs and this machine lacks: GPUs, models, game data. Looked up without importing torch."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paw_bench.config.load import load_experiment_file
from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.definition import definition
from paw_bench.errors import ConfigError, UserError
from paw_bench.models import EMBEDDED, locate
from paw_bench.sweep.plan import Plan, PlannedRun, plan

_HERE = "embedded"
"""The scale that is made to run on any machine."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that a plan needs and that is not here."""

    kind: Literal["GPU", "model", "data"]
    needs: str
    found: str
    remedy: str


def missing_requirements(planned: Plan) -> list[Requirement]:
    """What this machine lacks for the plan; empty where it can run.

    Raises ConfigError for a model folder that is not there, which no other machine would mend.
    """
    by_model = {run.config.experiment.model.name: run for run in planned.runs}
    # Runs that differ by their seed alone share the object.
    distinct = {id(run.config.experiment.environment): run.config.experiment.environment for run in planned.runs}
    environments = {repr(environment): environment for environment in distinct.values()}
    found = [_gpus(planned.file.execution.gpus), *(_model(run, planned) for run in by_model.values())]
    found += [_data(environment) for environment in environments.values()]
    return [requirement for requirement in found if requirement is not None]


def cannot_run_here(planned: Plan, missing: list[Requirement]) -> UserError:
    """The refusal that names what is missing and the command that this machine can run, where there is one."""
    file = planned.file
    lines = [f"{file.path} at scale {file.scale!r} cannot run on this machine. It needs"]
    lines += [f"  - {item.needs} (here: {item.found}): {item.remedy}" for item in missing]
    command = _command_for_here(planned)
    return UserError("\n".join(lines), f"run it here with: {command}" if command else "provide what is missing")


def gpus_here() -> int:
    """GPUs that a process on this machine can use."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    count = sum(line.startswith("GPU ") for line in listed.splitlines())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return count
    return min(count, sum(device.strip() not in ("", "-1") for device in visible.split(",")))


def _gpus(needed: int) -> Requirement | None:
    here = gpus_here() if needed else 0
    if here >= needed:
        return None
    remedy = "use a machine that has them"
    return Requirement("GPU", f"{needed} GPU{'s' * (needed > 1)} for each run", f"{here or 'none'}", remedy)


def _model(run: PlannedRun, planned: Plan) -> Requirement | None:
    name = run.config.experiment.model.name
    if name in EMBEDDED:
        if Path(locate(name), "config.json").is_file():
            return None
        return Requirement("model", f"the shipped model {name!r}", "not in this installation", "paw-bench warm-start")
    folder = Path(name).expanduser()
    if folder.is_dir():
        if (folder / "config.json").is_file():
            return None
        raise _model_error(run, planned, "the folder holds no config.json", "name a folder that a model was saved to")
    if not _HUB_ID.fullmatch(name) or folder.exists():
        raise _model_error(run, planned, "there is no such folder", "check the path, or give a Hugging Face model id")
    if model_folder(name) is not None:
        return None
    return Requirement("model", f"the model {name!r}", f"not in {hub_cache()}", download(name))


def download(name: str) -> str:
    """The command that puts a model into the cache."""
    return f"hf download {name} (older: huggingface-cli download {name}) where there is a network"


def _model_error(run: PlannedRun, planned: Plan, problem: str, remedy: str) -> ConfigError:
    file, key = planned.file.locate(("model", "name"), run.arm, run.axes)
    return ConfigError(file=file, key=key, value=run.config.experiment.model.name, problem=problem, remedy=remedy)


def model_folder(name: str) -> Path | None:
    """The folder that holds the model's files, looked up without going online; None where there is none."""
    folder = Path(locate(name))
    if (folder / "config.json").is_file():
        return folder
    snapshots = hub_cache() / f"models--{name.replace('/', '--')}" / "snapshots"
    complete = (path.parent for path in sorted(snapshots.glob("*/config.json")))
    return next((found for found in complete if any(found.glob("*.safetensors")) or any(found.glob("*.bin"))), None)


def hub_cache() -> Path:
    """Where huggingface_hub keeps models, by its own rules."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME", f"{cache}/huggingface")
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    return Path(hub).expanduser()


def _data(environment: EnvironmentConfig) -> Requirement | None:
    missing = definition(environment.name).missing(environment)
    return Requirement("data", missing.needs, missing.found, missing.remedy) if missing else None


def _command_for_here(planned: Plan) -> str | None:
    """The sweep at the embedded scale: with the same overrides if that can run here, or else without them."""
    file = planned.file
    for overrides in dict.fromkeys((file.overrides, ())):
        if (file.scale, file.overrides) == (_HERE, overrides):
            continue
        try:
            if missing_requirements(plan(load_experiment_file(file.path, scale=_HERE, overrides=overrides))):
                continue
        except UserError:
            continue
        options = [option for text in overrides for option in ("--set", text)]
        return shlex.join(["paw-bench", "sweep", str(file.path), "--scale", _HERE, *options])
    return None
