"""The folder of one sweep: what was planned, the drivers' journal, and a folder for each run."""

from __future__ import annotations

import hashlib
import time
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from paw_bench.errors import StoreError
from paw_bench.store import jsonl
from paw_bench.store.atomic import write_json
from paw_bench.store.documents import read_json
from paw_bench.store.jsonl import Record
from paw_bench.store.lock import is_locked, locked
from paw_bench.store.run_directory import RunDirectory


class SweepDirectory:
    """A sweep on disk: `sweep.json`, `journal.jsonl`, `runs/<run_id>/`, `report/`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @classmethod
    def create(
        cls, path: Path, *, name: str, scale: str | None, source: str, text: str, plan: Record
    ) -> SweepDirectory:
        """Write `sweep.json`: the experiment file (`source` and its `text`), and the plan in JSON form.

        `plan["runs"]` is a list of {run_id, arm, axes, seed}. On an existing sweep the plan is replaced: runs that
        are no longer planned stay on disk but are not part of the sweep any more.
        """
        directory = cls(path)
        document: Record = {
            "name": name,
            "scale": scale,
            "source": source,
            "text": text,
            "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "plan": plan,
        }
        created = time.time()
        if directory.exists():
            found = read_json(directory._file)
            created = found["created"]
            if "study" in found["plan"] and "study" not in plan:
                problem = f"{path}: holds a study of paw-bench tune, whose runs the plan would drop"
                raise StoreError(problem, "give the experiment another name, or use another --results folder")
            if {**document, "created": created, "schema_version": found["schema_version"]} == found:
                return directory
        write_json(directory._file, {**document, "created": created})
        return directory

    @property
    def _file(self) -> Path:
        return self.path / "sweep.json"

    def exists(self) -> bool:
        """Whether a sweep was planned here."""
        return self._file.exists()

    @property
    def cluster_file(self) -> Path:
        """What a sweep on a cluster was submitted with."""
        return self.path / "cluster.json"

    @property
    def on_cluster(self) -> bool:
        """Whether the sweep was submitted to a cluster."""
        return self.cluster_file.exists()

    @cached_property
    def info(self) -> Record:
        """`sweep.json`: name, scale, source, text, text_sha256, plan, created (unix seconds)."""
        return read_json(self._file)

    def run_path(self, run_id: str) -> Path:
        """Where the run's folder is, or will be."""
        return self._runs.joinpath(run_id)

    @cached_property
    def _runs(self) -> Path:
        return self.path / "runs"

    def runs(self) -> list[RunDirectory]:
        """The planned runs that have a folder, in the order of the plan."""
        paths = (self.run_path(run["run_id"]) for run in self.info["plan"]["runs"])
        return [RunDirectory(path) for path in paths if (path / "config.json").exists()]

    @property
    def report(self) -> Path:
        """What `paw-bench report` writes."""
        return self.path / "report"

    def journal(self, event: str, **fields: Any) -> None:
        """Append an event of the driver, with the time."""
        jsonl.append(self.path / "journal.jsonl", [{"event": event, "time": time.time(), **fields}])

    def events(self) -> list[Record]:
        """The drivers' journal, oldest first."""
        return jsonl.read(self.path / "journal.jsonl")

    def lock(self) -> AbstractContextManager[None]:
        """Hold the sweep: one driver at a time. Raises StoreError when another one is at work."""
        return locked(
            self.path / "lock",
            f"{self.path}: another paw-bench sweep is at work on this folder",
            "watch it with: paw-bench status; or stop it first",
        )

    def is_locked(self) -> bool:
        """Whether a driver is at work."""
        return is_locked(self.path / "lock")
