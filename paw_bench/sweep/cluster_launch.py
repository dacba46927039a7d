"""A whole sweep on a cluster: check the profile, make the folders, submit; with `wait`, go on until all have ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from paw_bench.config.profile import ProfileFile
from paw_bench.config.schema import ExecutionConfig, RunConfig
from paw_bench.errors import UserError
from paw_bench.store.jsonl import Record
from paw_bench.store.run_directory import RunInfo
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.cluster import Cluster, SubmissionRefused, make_pass, patient_lock
from paw_bench.sweep.cluster_check import check_profile
from paw_bench.sweep.cost import Size
from paw_bench.sweep.driver import check_space
from paw_bench.sweep.execution_changes import make_folder
from paw_bench.sweep.finished import FinishedRuns
from paw_bench.sweep.launch import keep_first_prediction, sweep_path
from paw_bench.sweep.plan import Plan, PlannedRun
from paw_bench.sweep.progress import Screen, seconds_left
from paw_bench.sweep.queue import QueueError
from paw_bench.sweep.sbatch import Shape, seconds_of
from paw_bench.sweep.shared import link_finished
from paw_bench.sweep.signals import interruptible
from paw_bench.sweep.status import RunStatus

_POLL_S = 5.0
_WRITERS = 32
"""Folders that are made at a time: each waits for its disk twice, on a network filesystem for milliseconds."""
REFUSAL_PATIENCE_S = 1200.0
"""How long a pass is made again by itself that Slurm does not answer or whose submission it refuses."""
REFUSAL_PAUSE_S = 20.0
_WAITING = {"planned", "queued"}


@dataclass(frozen=True)
class ClusterLaunch:
    """One `paw-bench sweep --cluster`."""

    plan: Plan
    file: ProfileFile
    results: Path
    command: Sequence[str]
    keep: Sequence[str]

    @property
    def sweep(self) -> SweepDirectory:
        """Its folder."""
        return SweepDirectory(sweep_path(self.plan, self.results))

    @property
    def cluster(self) -> Cluster:
        """What its passes need to know."""
        return Cluster(self.file.profile, self.command, self.keep)

    def size(self, run: PlannedRun) -> Size:
        """What a run occupies on the cluster."""
        shape = self._shapes[run.run_id]
        return Size(shape.gpus, shape.cpus, limit_s=seconds_of(shape.time))

    def write_scripts(self) -> list[Path]:
        """Write the sbatch file of every array and of the first keeper into `sbatch/`; returns them."""
        folder = self.sweep.path / "sbatch"
        check_space(folder)
        launcher = self.cluster.launcher(self.sweep)
        counts: dict[Shape, int] = {}
        for run in self.plan.runs:
            shape = self._shapes[run.run_id]
            counts[shape] = counts.get(shape, 0) + 1
        name = self.plan.file.sweep_name
        texts = {
            f"array-{number}.sh": launcher.script(shape, name, counts[shape]) for number, shape in enumerate(counts, 1)
        }
        keeper = launcher.keeper_script(
            next(iter(counts)), f"{name}-keeper", [*self.keep, str(self.sweep.path)], "ARRAY"
        )
        for file, text in {**texts, "keeper.sh": keeper}.items():
            (folder / file).write_text(text)
        return [folder / file for file in (*texts, "keeper.sh")]

    def submit(self, document: Record, *, retry: bool, screen: Screen) -> list[RunStatus]:
        """Submit what is not done, queued or running; returns the state of every run.

        `document` is the plan as JSON. Raises ConfigError naming the profile's key when the cluster would not take the
        jobs, StoreError when a driver on this machine is at work, QueueError when Slurm does not answer.
        """
        scale = self.plan.file.scale
        shapes = {self._shapes[run.run_id]: (scale, run.config.experiment.model.name) for run in self.plan.runs}
        check_profile(self.file, shapes, self.cluster.launcher(self.sweep))
        check_space(self.sweep.path)
        with interruptible(), patient_lock(self.sweep):
            file = self.plan.file
            sweep = SweepDirectory.create(
                self.sweep.path,
                name=file.name,
                scale=file.scale,
                source=str(file.path),
                text=file.text,
                plan=keep_first_prediction(self.sweep, document),
            )
            for line in link_finished(self.plan, sweep):
                screen.note(line)
            finished = FinishedRuns(sweep.path)
            unfinished = [run for run in self.plan.runs if finished.look(sweep.run_path(run.run_id)) is None]
            with ThreadPoolExecutor(_WRITERS) as pool:
                list(pool.map(lambda run: self._make_folder(sweep, run), unfinished))
            self.cluster.save(sweep)
            again = [run.run_id for run in self.plan.runs] if retry else []
            return make_pass(sweep, self.cluster, screen.note, retry=again)

    def wait(self, screen: Screen) -> list[RunStatus]:
        """Make passes until no run is left that is queued, at work or still to be tried; returns their states.

        Raises SubmissionRefused when sbatch has refused for twenty minutes.
        """
        refused_since: float | None = None
        with interruptible():
            while True:
                try:
                    with patient_lock(self.sweep):
                        statuses = make_pass(self.sweep, self.cluster, screen.note)
                    if not any(status.active or status.state in _WAITING for status in statuses):
                        return statuses
                    parallel = max(1, sum(status.active for status in statuses))
                    screen.update(statuses, seconds_left(statuses, slots=parallel, predicted_s=None))
                    refused_since = None
                except SubmissionRefused as error:
                    refused_since = refused_since or time.monotonic()
                    if time.monotonic() - refused_since > REFUSAL_PATIENCE_S:
                        raise
                    screen.note(f"{error.problem}; trying again")
                except QueueError as error:
                    screen.note(f"{error.problem}; trying again")
                time.sleep(REFUSAL_PAUSE_S if refused_since else _POLL_S)

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        """Run id -> its shape. Raises UserError where the GPUs that the profile gives a run cannot all work on it."""
        known: dict[tuple[str, int, int], Shape] = {}
        shapes = {}
        for run in self.plan.runs:
            experiment, execution = run.config.experiment, run.config.execution
            # Runs that differ by their seed alone share these objects.
            kind = (experiment.model.name, id(experiment.algorithm), id(execution))
            if kind not in known:
                known[kind] = Shape.of(self.file.profile, self.plan.file.scale, run.config)
                with_gpus(run.config, known[kind].gpus)
            shapes[run.run_id] = known[kind]
        return shapes

    def _make_folder(self, sweep: SweepDirectory, run: PlannedRun) -> None:
        path = sweep.run_path(run.run_id)
        config = with_gpus(run.config, self._shapes[run.run_id].gpus)
        make_folder(path, RunInfo(run.run_id, self.plan.file.name, run.arm, run.axes, run.seed), config)


def with_gpus(config: RunConfig, gpus: int) -> RunConfig:
    """The run's config with the GPUs that the profile gives it. Raises UserError where they cannot all work on it."""
    if config.execution.device == "cpu":
        return config
    try:
        execution = ExecutionConfig.model_validate({**config.execution.model_dump(), "gpus": gpus})
        return RunConfig(experiment=config.experiment, execution=execution)
    except ValidationError as error:
        context = error.errors()[0]["ctx"]
        raise UserError(f"cluster profile: gpus = {gpus}: {context['problem']}", context["remedy"]) from None
