"""A small study in a folder, driven in this process or in a forked one whose runs are `trivial_trial.py`."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults import kill_at
from optuna.trial import FrozenTrial
from rich.console import Console

from paw_bench import cli_tune
from paw_bench.store.run_directory import RunDirectory
from paw_bench.sweep.progress import Screen
from paw_bench.sweep.slots import Slots
from paw_bench.tune.here import open_arms, tune_here
from paw_bench.tune.load import load_study_file
from paw_bench.tune.storage import open_storage
from paw_bench.tune.study_plan import StudyPlan
from paw_bench.tune.trials import RUNS

RUN = [sys.executable, str(Path(__file__).with_name("trivial_trial.py"))]

EXPERIMENT = """
schema_version: 1
scale: dot
base:
  model: {{ name: {model} }}
  training: {{ updates: 6 }}
arms:
  grpo: {{}}
  paw: {{ world_model: paw }}
  echo: {{ world_model: echo }}
seeds: [0, 1]
execution: {{ checkpoint_every: 2 }}
"""

STUDY = """
schema_version: 1
experiment: tiny.yaml
arms: { grpo: , paw: }
space:
  algorithm.learning_rate: { low: 1e-6, high: 1e-2, log: true }
  world_model.selection.alpha: { low: 0.25, high: 1.0, step: 0.25 }
  world_model.loss.kind: { choices: [cmae, mae] }
  world_model.loss.rho: { low: 0.05, high: 0.8, log: true, when: { world_model.loss.kind: cmae } }
trials: 4
seeds: [7]
sampler: { kind: random }
"""


class Tuning:
    """The study `tune.yaml` of the experiment `tiny.yaml` in `folder`."""

    def __init__(self, folder: Path, study: str = STUDY) -> None:
        model = folder / "model"
        model.mkdir()
        (model / "config.json").write_text("{}")
        (folder / "scales").mkdir()
        (folder / "scales" / "dot.yaml").write_text("schema_version: 1\n")
        (folder / "tiny.yaml").write_text(EXPERIMENT.format(model=model))
        self.results = folder / "results"
        self.file = folder / "tune.yaml"
        self.file.write_text(study)
        self._plans: dict[str, StudyPlan] = {}

    @property
    def plan(self) -> StudyPlan:
        """Of the file as it is now."""
        text = self.file.read_text()
        if text not in self._plans:
            self._plans[text] = StudyPlan.of(load_study_file(self.file), self.results, parallel=4)
        return self._plans[text]

    def tune(self, *, parallel: int = 4, retry: bool = False) -> int:
        """`paw-bench tune` in this process, with the trivial run; its exit code."""
        return cli_tune.tune(
            self.file, scale=None, overrides=(), trials=None, dry_run=False, as_json=False, parallel=parallel,
            results=self.results, retry=retry, command=RUN,
        )  # fmt: skip

    def drive(self, *, parallel: int = 4) -> None:
        """The same without the outputs at the end."""
        plan = self.plan
        slots = Slots(plan.study.trial.execution, parallel=parallel)
        with contextlib.redirect_stdout(io.StringIO()), Screen(Console(file=io.StringIO()), "t") as screen:
            tune_here(plan, slots=slots, retry=False, screen=screen, command=RUN)

    def trials(self) -> dict[str, list[FrozenTrial]]:
        """Arm -> its trials, as Optuna has them."""
        plan = self.plan
        return {arm.arm: arm.trials() for arm in open_arms(plan, open_storage(plan.study.spec.storage, plan.folder))}

    def run_of(self, trial: FrozenTrial) -> RunDirectory:
        return RunDirectory(self.plan.sweep.run_path(trial.user_attrs[RUNS][0]))


@contextmanager
def forked(tuning: Tuning, *, parallel: int = 4, dies_at: int | None = None) -> Iterator[int]:
    """A child process that drives the study, and dies at its system call `dies_at`; its id. It is gone afterwards."""
    child = os.fork()
    if child == 0:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        try:
            if dies_at is not None:
                kill_at(dies_at)
            tuning.drive(parallel=parallel)
            os._exit(0)
        except BaseException:
            os._exit(1)
    yield child
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)
