"""From a cluster profile to sbatch: the shape of a run, the script of an array, and its submission through submitit."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import submitit

from paw_bench.config.profile import ClusterProfile
from paw_bench.config.schema import RunConfig
from paw_bench.errors import UserError
from paw_bench.sweep.group import NODES

_WARNING_S = 120
_KEEPER_TIME = "00:30:00"
_SEVERAL_NODES = [
    f'export {NODES}="$SLURM_JOB_NUM_NODES"',
    "export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))",
]
"""Where torchrun's agents, one a node, meet (`group.py`). Job ids are unique, tasks of arrays have one each."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a run asks for, worked out; runs of one shape share an array."""

    partition: str | None
    account: str | None
    qos: str | None
    nodes: int
    gpus: int
    gpu_type: str | None
    cpus: int
    memory_gb: int
    time: str
    constraint: str | None
    exclude: tuple[str, ...]
    max_parallel: int

    @classmethod
    def of(cls, profile: ClusterProfile, scale: str, config: RunConfig, *, avoid: Sequence[str] = ()) -> Shape:
        """The shape of a run; `avoid` are nodes that failed under it.

        Raises UserError where its nodes cannot share its processes evenly.
        """
        wanted = profile.resources(scale, config.experiment.model.name)
        gpus = config.execution.gpus if wanted.gpus is None else wanted.gpus
        processes = config.execution.processes or max(1, gpus)
        if processes % wanted.nodes:
            problem = f"cluster profile: nodes = {wanted.nodes} cannot share the {processes} processes of a run evenly"
            raise UserError(problem, "choose nodes that divide gpus, or execution.processes on CPUs")
        return cls(
            partition=wanted.partition,
            account=wanted.account,
            qos=wanted.qos,
            nodes=wanted.nodes,
            gpus=gpus,
            gpu_type=wanted.gpu_type,
            cpus=wanted.cpus * max(1, gpus),
            memory_gb=wanted.memory_gb * max(1, gpus),
            time=wanted.time,
            constraint=wanted.constraint,
            exclude=tuple(sorted({*wanted.exclude, *avoid})),
            max_parallel=wanted.max_parallel,
        )

    @property
    def gpus_a_node(self) -> int:
        """GPUs that a run gets on each of its nodes."""
        return _each(self.gpus, self.nodes)


def _each(whole: int, nodes: int) -> int:
    """A node's part of what a run asks for; more rather than less."""
    return -(-whole // nodes)


def leave_job(*more: str) -> None:
    """Drop from the environment what Slurm gave to this process's own job, where it has one.

    sbatch hands it on, and srun takes it for options: an interactive job's memory for each CPU contradicts a run's for
    the node. `more` are prefixes of further variables.
    """
    if "SLURM_JOB_ID" in os.environ:
        for key in [key for key in os.environ if key.startswith(("SLURM_", "SRUN_", *more)) and key != "SLURM_CONF"]:
            del os.environ[key]


def seconds_of(time: str) -> int:
    """Seconds of [days-]hours:minutes:seconds."""
    days, _, clock = time.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


class SlurmLauncher:
    """Submits arrays of attempts; submitit's scripts, pickles and logs go to `folder`."""

    def __init__(self, profile: ClusterProfile, folder: Path, command: Sequence[str]) -> None:
        """`command` works on the run folder appended to it; in a container, its Python is the container's."""
        self._profile = profile
        self._folder = folder
        container = profile.container
        self._python = f"{container.prefix} {container.python}" if container else shlex.quote(sys.executable)
        self._command = [container.python, *command[1:]] if container else list(command)

    def script(self, shape: Shape, name: str, count: int) -> str:
        """The sbatch file of an array of `count` runs."""
        executor = self._executor(shape, name)
        if count > 1:
            executor.parameters["map_count"] = count
        return executor._make_submission_file_text(executor._submitit_command_str, "")

    def submit(self, shape: Shape, name: str, run_paths: Sequence[Path]) -> list[str]:
        """Submit one array; returns the job id of every run.

        Raises submitit's FailedJobError or FailedSubmissionError when sbatch fails, which does not prove that Slurm
        did not take it.
        """
        commands = [[*self._command, str(path)] for path in run_paths]
        return [job.job_id for job in self._executor(shape, name).map_array(become, commands)]

    def keeper_script(self, shape: Shape, name: str, command: Sequence[str], after: str) -> str:
        """The sbatch file of the small job that runs `command` once all tasks of the job `after` have ended."""
        options = {
            "job-name": name,
            "partition": self._profile.keeper_partition or shape.partition,
            "account": shape.account,
            "qos": shape.qos,
            "ntasks": 1,
            "cpus-per-task": 1,
            "mem": "2GB",
            "time": _KEEPER_TIME,
            "dependency": f"afterany:{after}",
            "output": self._folder / "keeper-%j.log",
        }
        flags = [f"#SBATCH --{key}={shlex.quote(str(value))}" for key, value in options.items() if value is not None]
        # Not in the container, where there is no sbatch.
        return "\n".join(["#!/bin/bash", *flags, "", *self._setup(), shlex.join(command), ""])

    def _executor(self, shape: Shape, name: str) -> submitit.SlurmExecutor:
        executor = _Executor(self._folder, python=self._python)
        kind = f"{shape.gpu_type}:" if shape.gpu_type else ""
        cpus = _each(shape.cpus, shape.nodes)
        executor.update_parameters(
            job_name=name,
            partition=shape.partition,
            account=shape.account,
            qos=shape.qos,
            nodes=shape.nodes,
            ntasks_per_node=1,
            cpus_per_task=cpus,
            mem=f"{_each(shape.memory_gb, shape.nodes)}GB",
            gres=f"gpu:{kind}{shape.gpus_a_node}" if shape.gpus else None,
            constraint=shape.constraint,
            exclude=",".join(shape.exclude) or None,
            array_parallelism=shape.max_parallel,
            signal_delay_s=min(_WARNING_S, seconds_of(shape.time) // 10),
            setup=[*self._setup(), *(_SEVERAL_NODES if shape.nodes > 1 else [])],
            stderr_to_stdout=True,
            # Since 22.05 srun does not take it over from sbatch, and would bind the run to one CPU.
            srun_args=[f"--cpus-per-task={cpus}", *(["--kill-on-bad-exit=1"] if shape.nodes > 1 else [])],
            wckey=None,
            # Slurm must not start a job again by itself: retries have one owner.
            additional_parameters={"time": shape.time, "no-requeue": True},
        )
        return executor

    def in_job(self, command: Sequence[str]) -> str:
        """Shell lines that do the profile's set-up and then work on `command` as a run would, in its container."""
        container = self._profile.container
        inside = [container.python, *command[1:]] if container else list(command)
        prefix = f"{container.prefix} " if container else ""
        return "\n".join([*self._setup(), prefix + shlex.join(inside)])

    def _setup(self) -> list[str]:
        # In double quotes: a profile may refer to $HOME and to what `setup` has set.
        variables = [f'export {key}="{value}"' for key, value in self._profile.environment.items()]
        return [*self._profile.setup, *variables]


class _Executor(submitit.SlurmExecutor):
    """Also where there is no Slurm: `--dry-run` writes its files anywhere."""

    @classmethod
    def affinity(cls) -> int:
        return 2


def become(command: list[str]) -> None:
    """Replace submitit's process by the attempt, which has its own answers to signals and writes its own result."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SUBMITIT_")}
    # The warning before the time limit would kill a process that has not come to handle it yet.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    os.execvpe(command[0], command, environment)
