"""Whether the cluster would take a profile's jobs, asked before anything is submitted; refusals name the key."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from paw_bench.config.messages import closest
from paw_bench.config.profile import ClusterProfile, ProfileFile
from paw_bench.errors import ConfigError, UserError
from paw_bench.sweep.plan import Plan
from paw_bench.sweep.queue import QueueError, slurm
from paw_bench.sweep.requirements import missing_requirements
from paw_bench.sweep.sbatch import Shape, SlurmLauncher

_LESS: dict[str, dict[str, Any]] = {
    "qos": {"qos": None},
    "constraint": {"constraint": None},
    "exclude": {"exclude": ()},
    "gpu_type": {"gpu_type": None},
    "gpus": {"gpus": 0},
    "memory_gb": {"memory_gb": 1},
    "cpus": {"cpus": 1},
    "time": {"time": "00:01:00"},
    "account": {"account": None},
}
"""Key -> a shape that asks for less there: where Slurm takes that one, the key is what it refused."""


def check_profile(file: ProfileFile, shapes: Mapping[Shape, tuple[str, str]], launcher: SlurmLauncher) -> None:
    """Ask sinfo, sacctmgr (where there is accounting) and `sbatch --test-only` about every shape of the sweep.

    `shapes`: shape -> a (scale, model) that has it. Raises ConfigError naming the key, QueueError without Slurm.
    """
    partitions = sorted(set(slurm(["sinfo", "-h", "-a", "-o", "%R"]).split()))
    accounts = _accounts()
    keeper = file.profile.keeper_partition
    if keeper is not None and keeper not in partitions:
        raise _unknown(file, ("keeper_partition", "", ""), keeper, partitions)
    for shape, (scale, model) in shapes.items():
        if shape.partition is not None and shape.partition not in partitions:
            raise _unknown(file, ("partition", scale, model), shape.partition, partitions)
        if accounts and shape.account is not None and shape.account not in accounts:
            raise _unknown(file, ("account", scale, model), shape.account, accounts)
        _test(file, shape, scale, model, launcher)


def check_inputs(plan: Plan, profile: ClusterProfile) -> None:
    """Raise UserError, naming model and remedy, where runs that do not go online would find no model or no games.

    What is looked for is what a job sees with the profile's `environment`. Containers have files of their own: nothing
    is looked for then.
    """
    if profile.container is not None:
        return
    with job_environment(profile):
        online = os.environ.get("HF_HUB_OFFLINE", "1").lower() in ("0", "false", "no")
        missing = [
            item for item in missing_requirements(plan) if item.kind == "data" or (item.kind == "model" and not online)
        ]
    if missing:
        lines = [f"- {item.needs}: {item.found}: {item.remedy}" for item in missing]
        raise UserError(
            "\n  ".join(["the runs would not find what they need (jobs do not go online)", *lines]),
            "provide it, or say in the profile's `environment` where the nodes have it (HF_HOME, ALFWORLD_DATA; "
            "HF_HUB_OFFLINE: '0' where nodes go online)",
        )


@contextmanager
def job_environment(profile: ClusterProfile) -> Iterator[None]:
    """In this block the environment is what a job's will be, as far as the profile's `environment` says."""
    before = dict(os.environ)
    for key, value in profile.environment.items():
        os.environ[key] = os.path.expandvars(value)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _accounts() -> list[str]:
    """This user's accounts; empty where Slurm keeps no accounts."""
    try:
        text = slurm(["sacctmgr", "-n", "-P", "show", "assoc", f"user={getpass.getuser()}", "format=account"])
    except QueueError:
        return []
    return sorted(set(text.split()))


def _test(file: ProfileFile, shape: Shape, scale: str, model: str, launcher: SlurmLauncher) -> None:
    problem = sbatch_refusal(shape, launcher)
    if problem is None:
        return
    # Slurm does not say which of a dozen options its nodes lack.
    guilty = (key for key, less in _LESS.items() if sbatch_refusal(replace(shape, **less), launcher) is None)
    key = next(guilty, "partition")
    where, dotted = file.locate(key, scale, model)
    raise ConfigError(
        file=where,
        key=dotted,
        value=getattr(shape, key),
        problem=f"sbatch: {problem}",
        remedy="see what there is: sinfo -o '%P %l %c %m %G %f'",
    )


def sbatch_refusal(shape: Shape, launcher: SlurmLauncher) -> str | None:
    """What `sbatch --test-only` has against one job of this shape."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
        script.write(launcher.script(shape, "test", 1))
        script.flush()
        try:
            slurm(["sbatch", "--test-only", script.name])
        except QueueError as error:
            return error.problem.removeprefix("sbatch failed: ")
    return None


def _unknown(file: ProfileFile, place: tuple[str, str, str], value: str, known: list[str]) -> ConfigError:
    where, key = file.locate(*place)
    near = closest(value, known)
    what = key.rpartition(".")[2].removeprefix("keeper_")
    problem = f"the cluster has no such {what} for you" + (f": did you mean {near!r}?" if near else "")
    return ConfigError(file=where, key=key, value=value, problem=problem, remedy=f"give one of: {', '.join(known)}")
