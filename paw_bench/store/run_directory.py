"""The folder of one run: everything that is known about it, written so that a crash at any moment loses little.

Who holds `lock()` is the only one who writes; anybody may read at any time.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from paw_bench.config.schema import RunConfig
from paw_bench.errors import StoreError
from paw_bench.store import checkpoints, jsonl
from paw_bench.store.atomic import fsync_directory, publish_once, remove_leftovers, write_json, writing
from paw_bench.store.attempt import Attempt, attempts, open_attempt, require_same_experiment
from paw_bench.store.documents import read_json, sha256_of
from paw_bench.store.jsonl import Record
from paw_bench.store.lock import is_locked, locked

_JOURNAL = "journal.jsonl"
_RESULT = "result.json"
_PRUNED = "pruned.json"
_RECORD_FILES = ("metrics.jsonl", "episodes.jsonl", "fixed_transitions.jsonl", "samples.jsonl")


def changed(path: Path) -> StoreError:
    """What is said of a file that a result stands on and that is no longer what it was."""
    return StoreError(
        f"{path}: changed after the result was published",
        f"restore it, or remove {path.with_name(_RESULT)} to redo the run",
    )


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What the plan says about a run, apart from its config."""

    run_id: str
    experiment_name: str
    arm: str
    axes: dict[str, Any]
    seed: int


class RunDirectory:
    """One run on disk. Construct it on an existing folder, or `create` it from the plan."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.attempt: Attempt | None = None
        """The attempt that this process works as, once `new_attempt` was called."""

    @classmethod
    def create(cls, path: Path, info: RunInfo, config: RunConfig) -> RunDirectory:
        """Make the folder with its `config.json`; on an existing one only `execution` may differ, and is updated
        unless the run is finished or at work: its result will stand on the config that it began with.

        Keys that the schema got since the config was written count as what it gives them. Raises StoreError naming the
        first key of `experiment` that differs from the one on disk.
        """
        directory = cls(path)
        document: Record = {
            "run_id": info.run_id,
            "experiment_name": info.experiment_name,
            "arm": info.arm,
            "axes": info.axes,
            "seed": info.seed,
            "config": config.model_dump(mode="json"),
        }
        if directory._config_file.exists():
            found = read_json(directory._config_file)
            wanted = document["config"]["experiment"]
            if found["config"]["experiment"] != wanted:
                written = cls(path).config.experiment.model_dump(mode="json")
                require_same_experiment(directory._config_file, written, wanted)
            if {**document, "schema_version": found["schema_version"]} == found:
                return directory
            # In this order: what is not held any more may have been published just before.
            if directory.is_locked() or (path / _RESULT).exists():
                return directory
        write_json(directory._config_file, document)
        return directory

    @property
    def _config_file(self) -> Path:
        return self.path / "config.json"

    @cached_property
    def _document(self) -> Record:
        return read_json(self._config_file)

    @cached_property
    def config(self) -> RunConfig:
        """The resolved config. Raises StoreError where it does not fit this version's schema."""
        try:
            return RunConfig.model_validate(self._document["config"])
        except (KeyError, ValidationError) as error:
            raise StoreError(
                f"{self._config_file}: does not fit this version's schema: {error}",
                "read it with the paw_bench version that wrote it, or plan it again with another --results folder",
            ) from None

    @property
    def planned_updates(self) -> int:
        """Updates that the run trains for; unlike `config`, read without checking every key of it."""
        updates = self._document["config"]["experiment"]["training"]["updates"]
        assert isinstance(updates, int)
        return updates

    @cached_property
    def info(self) -> RunInfo:
        """Arm, axes, seed, run id and experiment name."""
        return RunInfo(**{key: self._document[key] for key in RunInfo.__slots__})

    # -- who works on it -------------------------------------------------------------------------------------------

    def lock(self) -> AbstractContextManager[None]:
        """Hold the run: no other process can work on it meanwhile. Raises StoreError when one does."""
        return locked(
            self.path / "lock",
            f"{self.path}: another process is working on this run",
            "wait for it (paw-bench status shows it), or stop it first",
        )

    def is_locked(self) -> bool:
        """Whether a live process works on this run."""
        return is_locked(self.path / "lock")

    def new_attempt(self) -> Attempt:
        """Open the next `attempts/<n>/` with its provenance, and clear what killed writers left.

        A run whose published result was removed starts over: its records are moved to `superseded/<n>/`.
        Raises StoreError, naming the key, when the packages differ from the first attempt's. Call it under `lock()`.
        """
        remove_leftovers(self.path)
        if self.result_was_removed():
            self._start_over()
        self.attempt = open_attempt(self.path / "attempts", self.config.execution)
        return self.attempt

    def attempts(self) -> list[Attempt]:
        """All attempts, oldest first."""
        return attempts(self.path / "attempts")

    def record_provenance(self, *, panels: dict[str, str], device: str, engine: dict[str, str]) -> None:
        """Add panel hashes (name -> SHA-256), the device's name and the engine to the attempt's provenance.

        Raises StoreError, naming the panel, when one differs from what the run's first attempt played.
        """
        assert self.attempt is not None, "open an attempt first"
        self.attempt.record(panels=panels, device=device, engine=engine)

    def result_was_removed(self) -> bool:
        """Whether the run was finished and somebody removed its result to have it redone."""
        return any(event["event"] == "published" for event in self.events()) and not self.has_result()

    def has_result(self) -> bool:
        """Whether a result is published.

        A network filesystem believes for up to a minute that a file that was absent is still absent, while it opens the
        journal afresh. Listing the folder makes it look again.
        """
        path = self.path / _RESULT
        if path.exists():
            return True
        with suppress(OSError):
            os.listdir(self.path)
        return path.exists()

    def _start_over(self) -> None:
        superseded = self.path / "superseded"
        number = 1 + sum(1 for _ in superseded.glob("*"))
        target = superseded / str(number)
        with writing(target):
            target.mkdir(parents=True)
            # The journal goes last: until then the next attempt sees that it has to start over.
            for name in (*_RECORD_FILES, "checkpoints", "attempts", _JOURNAL):
                if (self.path / name).exists():
                    os.rename(self.path / name, target / name)
            fsync_directory(self.path)
        self.journal("started_over", superseded=target.relative_to(self.path).as_posix())

    # -- records ---------------------------------------------------------------------------------------------------

    def journal(self, event: str, **fields: Any) -> None:
        """Append an event with the time and the attempt's number."""
        number = self.attempt.number if self.attempt else None
        jsonl.append(self.path / _JOURNAL, [{"event": event, "time": time.time(), "attempt": number, **fields}])

    def events(self) -> list[Record]:
        """The journal, oldest first."""
        return jsonl.read(self.path / _JOURNAL)

    def append_metrics(self, record: Record) -> None:
        """Append the record of one update (docs/architecture.md)."""
        jsonl.append(self.path / "metrics.jsonl", [record])

    def metrics(self) -> list[Record]:
        """One record an update, oldest first."""
        return jsonl.read(self.path / "metrics.jsonl")

    def append_episodes(self, records: list[Record]) -> None:
        """Append all evaluation episodes of one phase, all or none: a phase that is in the file is complete."""
        path = self.path / "episodes.jsonl"
        jsonl.rewrite(path, [*jsonl.read(path), *records])

    def episodes(self) -> list[Record]:
        """One record an evaluation episode."""
        return jsonl.read(self.path / "episodes.jsonl")

    def append_fixed_transitions(self, record: Record) -> None:
        """Append the world-model diagnostics of one phase."""
        jsonl.append(self.path / "fixed_transitions.jsonl", [record])

    def fixed_transitions(self) -> list[Record]:
        """World-model diagnostics on the fixed transitions, one record a phase."""
        return jsonl.read(self.path / "fixed_transitions.jsonl")

    def append_samples(self, records: list[Record]) -> None:
        """Append the sample episodes of one phase, all or none."""
        if records:
            path = self.path / "samples.jsonl"
            jsonl.rewrite(path, [*jsonl.read(path), *records])

    def samples(self) -> list[Record]:
        """Evaluation episodes word by word, a few a phase; [] for a run that recorded none."""
        return jsonl.read(self.path / "samples.jsonl")

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def checkpoint_writer(self, update: int) -> AbstractContextManager[Path]:
        """Give a folder to write the checkpoint taken after `update` into; see `checkpoints.checkpoint_writer`."""
        return checkpoints.checkpoint_writer(self.path / "checkpoints", update)

    def latest_checkpoint(self) -> tuple[int, Path] | None:
        """(update, path) of the newest complete checkpoint up to which the records are whole, or None.

        The others are removed; the journal says why.
        """
        latest, removed = checkpoints.latest_checkpoint(self.path / "checkpoints", until=self._whole_until())
        for update, reason in removed.items():
            self.journal("checkpoint_dropped", update=update, reason=reason)
        return latest

    def discard_checkpoint(self, update: int) -> None:
        """Remove the checkpoint taken after `update`, where there is one: it turned out to be no good."""
        path = checkpoints.path_of(self.path / "checkpoints", update)
        if path.exists():
            shutil.rmtree(path)
            self.journal("checkpoint_discarded", update=update)

    def rewind(self, update: int) -> None:
        """Drop the records that were written after the state at the end of `update` (0: the initial state).

        Metrics of later updates go, and evaluations of later phases: `before` counts as update 0, `update-000010`
        as 10, `after` as the run's last update. An evaluation of which a part is missing goes as well: it was cut
        short, and will be done again.
        """
        self._keep("metrics.jsonl", lambda record: record["update"] <= update)
        whole = {phase for phase, complete in self._phases().items() if complete and self._update_of(phase) <= update}
        for name in ("episodes.jsonl", "fixed_transitions.jsonl", "samples.jsonl"):
            self._keep(name, lambda record: record["phase"] in whole)

    def _whole_until(self) -> int:
        """The last update up to which nothing is missing in the records.

        What was appended is on the disk, so only a damaged file lacks what a checkpoint was taken after.
        """
        updates = {record["update"] for record in self.metrics()}
        until = next(update for update in count(1) if update not in updates) - 1
        return min([until, *(self._update_of(phase) for phase, complete in self._phases().items() if not complete)])

    def _phases(self) -> dict[str, bool]:
        """Evaluated phase -> whether its episodes, samples, fixed transitions and its event are all there.

        The event says how many episodes and samples there are: what is left of a damaged file need not be torn.
        """
        episodes, samples = (Counter(record["phase"] for record in part) for part in (self.episodes(), self.samples()))
        measured = {record["phase"] for record in self.fixed_transitions()}
        told = {event["phase"]: event for event in self.events() if event["event"] == "evaluation"}
        return {
            phase: phase in measured
            and phase in told
            and (episodes[phase], samples[phase]) == (told[phase].get("episodes"), told[phase].get("samples"))
            for phase in {*episodes, *samples, *measured, *told}
        }

    def _keep(self, name: str, wanted: Callable[[Record], bool]) -> None:
        records = jsonl.read(self.path / name)
        kept = [record for record in records if wanted(record)]
        if len(kept) < len(records):
            jsonl.rewrite(self.path / name, kept)

    def _update_of(self, phase: str) -> int:
        ends = {"before": 0, "after": self.config.experiment.training.updates}
        return ends[phase] if phase in ends else int(phase.removeprefix("update-"))

    # -- the result ------------------------------------------------------------------------------------------------

    def result(self, *, verify: bool = True) -> Record | None:
        """The published result, or None. `verify` compares the hashes of the files it stands on.

        Raises StoreError for another schema version, another run's result, and a file that changed since.
        """
        path = self.path / _RESULT
        if not self.has_result():
            return None
        result = read_json(path)
        if result["run_id"] != self.info.run_id:
            raise StoreError(f"{path}: is the result of run {result['run_id']}, not of {self.info.run_id}", "remove it")
        for name, sha256 in result["files"].items() if verify else ():
            if not (self.path / name).is_file() or sha256_of(self.path / name) != sha256:
                raise changed(self.path / name)
        return result

    def publish_result(self, result: Record) -> bool:
        """Publish `result`, once: False when there is one already. Checkpoints are removed afterwards.

        Added here: run_id, status, attempts, files (name -> SHA-256) and published (unix seconds).
        """
        names = [name for name in ("config.json", *_RECORD_FILES) if (self.path / name).is_file()]
        document: Record = {
            "run_id": self.info.run_id,
            "status": "done",
            **result,
            "attempts": self.attempt.number if self.attempt else 0,
            "files": {name: sha256_of(self.path / name) for name in names},
            "published": time.time(),
        }
        published = publish_once(self.path / _RESULT, document)
        self.journal("published")
        self.remove_checkpoints()
        return published

    def prune(self, *, reason: str, update: int) -> None:
        """Note, once, that a study stops the run for good after `update`; it keeps its files and is never gone on with.

        Any process may call this: the run's own looks for the note before it starts, and has to be stopped otherwise.
        """
        publish_once(self.path / _PRUNED, {"reason": reason, "update": update, "time": time.time()})

    def pruned(self) -> Record | None:
        """Why and after which update the run was stopped for good, or None."""
        return read_json(self.path / _PRUNED) if (self.path / _PRUNED).exists() else None

    def remove_checkpoints(self) -> None:
        """Remove all checkpoints: a finished run needs none."""
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
