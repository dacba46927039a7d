"""`sweep.json` of a study: the folder is an ordinary sweep whose runs are those of the trials asked for so far."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paw_bench.errors import StoreError
from paw_bench.store.attempt import first_difference
from paw_bench.store.jsonl import Record
from paw_bench.store.sweep_directory import SweepDirectory
from paw_bench.sweep.cost import CostPrediction, predict
from paw_bench.sweep.describe import plan_json
from paw_bench.sweep.launch import sweep_path
from paw_bench.sweep.plan import Plan, PlannedRun, plan
from paw_bench.tune.study_file import StudyFile

KEY = "study"
"""Key of the plan that only a study's folder has."""


@dataclass(frozen=True)
class StudyPlan:
    """A study on disk, below `results`."""

    study: StudyFile
    base: Plan
    """One run of each arm and seed at the experiment's own settings: what costs are predicted from."""
    cost: CostPrediction
    folder: Path

    @classmethod
    def of(cls, study: StudyFile, results: Path, *, parallel: int) -> StudyPlan:
        """Raises ConfigError where the experiment cannot be planned as it is."""
        base = plan(study.trial)
        return cls(study, base, predict(base, parallel=parallel), sweep_path(base, results))

    @property
    def sweep(self) -> SweepDirectory:
        """The study's folder."""
        return SweepDirectory(self.folder)

    @property
    def seconds(self) -> float | None:
        """Predicted wall-clock seconds of all trials, none of them pruned; None: unknown."""
        runs = [(self.cost.arms[arm].run_seconds, count) for arm, count in self.study.trials.items()]
        if any(seconds is None for seconds, _ in runs):
            return None
        total = sum((seconds or 0.0) * count * len(self.study.spec.seeds) for seconds, count in runs)
        return total / self.cost.parallel

    def document(self, runs: Iterable[PlannedRun] = ()) -> Record:
        """The plan as JSON, with the runs of the trials so far."""
        document = plan_json(self.base, self.cost)
        arms = list(self.study.trial.arms)
        runs = sorted(runs, key=lambda run: (run.axes["trial"], arms.index(run.arm), run.seed))
        document["axes"] = {"trial": sorted({run.axes["trial"] for run in runs})}
        document["runs"] = [{"run_id": run.run_id, "arm": run.arm, "axes": run.axes, "seed": run.seed} for run in runs]
        document["cost"]["total_seconds"] = self.seconds
        document[KEY] = self._settings()
        return document

    def save(self, runs: Iterable[PlannedRun]) -> SweepDirectory:
        """Write `sweep.json` with the runs of the trials so far."""
        file = self.study.trial
        return SweepDirectory.create(
            self.folder,
            name=file.name,
            scale=file.scale,
            source=str(file.path),
            text=file.text,
            plan=self.document(runs),
        )

    def check_same(self) -> None:
        """Raise StoreError, naming the key, where the folder holds a sweep, or a study with other settings.

        The number of trials may change.
        """
        if not self.sweep.exists():
            return
        found = self.sweep.info["plan"].get(KEY)
        if found is None:
            problem = f"{self.folder}: holds a sweep, not a study"
            raise StoreError(problem, "give the study another name, or use another --results folder")
        difference = first_difference({**found, "trials": None}, {**self._settings(), "trials": None})
        if difference is not None:
            key, before, now = difference
            raise StoreError(
                f"{self.folder}: the study's {key} is {before!r}, the file says {now!r}",
                "go back to what it was begun with, or give the study another name",
            )

    def _settings(self) -> dict[str, Any]:
        """What must stay as it is while a study goes on, and its budget."""
        spec, study = self.study.spec, self.study
        url = spec.storage
        return {
            "trials": dict(study.trials),
            "fair": spec.fair,
            "seeds": list(spec.seeds),
            "sampler": spec.sampler.model_dump(),
            "pruner": spec.pruner.model_dump(),
            # The URL may hold a password.
            "storage": "journal" if url is None else f"database {hashlib.sha256(url.encode()).hexdigest()[:12]}",
            "space": {
                arm: {parameter.key: parameter.document() for parameter in space.parameters}
                for arm, space in study.spaces.items()
            },
            "settings": {arm: study.trial.resolve(arm, {}).model_dump(mode="json") for arm in study.trial.arms},
        }
