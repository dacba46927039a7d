"""Whether the cluster would take a profile's jobs, asked before anything is submitted; refusals name the key."""

from __future__ import annotations

import getpass
import tempfile
from collections.abc import Mapping
from pathlib import Path

from paw_bench.config.messages import closest
from paw_bench.config.profile import ProfileFile
from paw_bench.errors import ConfigError
from paw_bench.sweep.queue import QueueError, slurm
from paw_bench.sweep.sbatch import Shape, SlurmLauncher

_KEYS = (
    ("partition", "partition"),
    ("account", "account"),
    ("qos", "qos"),
    ("feature", "constraint"),
    ("node name", "exclude"),
    ("time limit", "time"),
    ("gres", "gpu_type"),
    ("generic resource", "gpu_type"),
    ("memory", "memory_gb"),
    ("node configuration", "gpus"),
)
"""A word of sbatch's refusal -> the key that it is about; the first that fits."""


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


def _accounts() -> list[str]:
    """This user's accounts; empty where Slurm keeps no accounts."""
    try:
        text = slurm(["sacctmgr", "-n", "-P", "show", "assoc", f"user={getpass.getuser()}", "format=account"])
    except QueueError:
        return []
    return sorted(set(text.split()))


def _test(file: ProfileFile, shape: Shape, scale: str, model: str, launcher: SlurmLauncher) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
        script.write(launcher.script(shape, "test", 1))
        script.flush()
        try:
            slurm(["sbatch", "--test-only", str(Path(script.name))])
        except QueueError as error:
            problem = error.problem.removeprefix("sbatch failed: ")
            key = next((key for word, key in _KEYS if word in problem.lower()), "partition")
            where, dotted = file.locate(key, scale, model)
            remedy = "see what there is: sinfo -o '%P %l %c %m %G %f'"
            value = getattr(shape, key)
            raise ConfigError(
                file=where, key=dotted, value=value, problem=f"sbatch: {problem}", remedy=remedy
            ) from None


def _unknown(file: ProfileFile, place: tuple[str, str, str], value: str, known: list[str]) -> ConfigError:
    where, key = file.locate(*place)
    near = closest(value, known)
    what = key.rpartition(".")[2].removeprefix("keeper_")
    problem = f"the cluster has no such {what} for you" + (f": did you mean {near!r}?" if near else "")
    return ConfigError(file=where, key=key, value=value, problem=problem, remedy=f"give one of: {', '.join(known)}")
