"""What the page shows of the files behind the frames: the experiment file, each run's config, what attempts ran on.

Read as text to be shown, never used: a file that cannot be read leaves a line that says so.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from analysis.files import check_file, one_line
from analysis.grid import Grid
from analysis.load import Results
from analysis.page_tables import TableView, table_view
from analysis.words import arm_at
from paw_bench.errors import StoreError
from paw_bench.store.documents import read_json
from paw_bench.store.sweep_directory import SweepDirectory

_VOLATILE = ("schema_version", "hostname", "executable", "slurm_job_id", "execution")
"""Parts of a provenance that do not belong to it: what the machine was called, and what the config shows already."""


class Shared(NamedTuple):
    """A document that several runs share."""

    anchor: str
    runs: list[str]
    """In words."""
    table: TableView


@dataclass(frozen=True, slots=True)
class Sources:
    """Documents behind the report."""

    text: str
    """The experiment file."""
    text_sha256: str
    overrides: str
    configs: list[Shared]
    """Each distinct config, seeds aside."""
    origins: list[Shared]
    """Each distinct provenance."""
    config_of: dict[str, str]
    """Run id -> anchor of its config."""
    unread: list[str]


def read_sources(results: Results) -> Sources:
    """Read them for every planned run that has begun."""
    info = SweepDirectory(results.path).info
    configs, origins, unread = _Collection("config"), _Collection("origin"), []
    runs = results.runs[results.runs["planned"] & (results.runs["status"] != "not started")]
    for run in runs.to_dict("records"):
        name = f"{arm_at(run['arm'], run['condition'])} seed {run['seed']}"
        folder = SweepDirectory(results.path).run_path(run["run_id"])
        try:
            configs.add(run["run_id"], name, _config(folder))
            for attempt in sorted(int(path.name) for path in (folder / "attempts").glob("*") if path.name.isdecimal()):
                label = name if attempt == 1 else f"{name}, attempt {attempt}"
                origins.add(run["run_id"], label, _provenance(folder / "attempts" / str(attempt)))
        except (StoreError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
            problem = error.problem if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
            unread.append(one_line(f"{name}: {problem}".replace(f"{results.path}/", "")))
    return Sources(
        text=str(info.get("text", "")),
        text_sha256=str(info.get("text_sha256", "")),
        overrides=" ".join(map(str, info["plan"].get("overrides") or ())),
        configs=configs.views(results.name),
        origins=origins.views(results.name),
        config_of=configs.anchors,
        unread=unread,
    )


class _Collection:
    """Documents, each with the runs that share it."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._found: dict[str, tuple[list[str], dict[str, str]]] = {}
        self.anchors: dict[str, str] = {}

    def add(self, run_id: str, name: str, document: dict[str, Any]) -> None:
        flat = dict(_flat("", document))
        digest = hashlib.sha256(orjson.dumps(flat)).hexdigest()
        self._found.setdefault(digest, ([], flat))[0].append(name)
        self.anchors[run_id] = self._anchor(digest)

    def views(self, name: str) -> list[Shared]:
        return [
            Shared(
                self._anchor(digest),
                runs,
                table_view(Grid(self._kind, f"{name}: {self._kind}", ("Key", "Value"), tuple(flat.items()))),
            )
            for digest, (runs, flat) in self._found.items()
        ]

    def _anchor(self, digest: str) -> str:
        return f"{self._kind}-{digest[:12]}"


def _config(folder: Path) -> dict[str, Any]:
    """The run's config without its seed."""
    check_file(folder / "config.json", "config.json")
    config = read_json(folder / "config.json")["config"]
    return {**config, "experiment": {key: value for key, value in config["experiment"].items() if key != "seed"}}


def _provenance(folder: Path) -> dict[str, Any]:
    check_file(folder / "provenance.json", "provenance.json")
    document = read_json(folder / "provenance.json")
    kept = {key: value for key, value in document.items() if key not in _VOLATILE}
    git = kept.get("git")
    return {**kept, "git": {key: git[key] for key in git if key != "diff"}} if isinstance(git, dict) else kept


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    """Dotted keys and their values as JSON, text without quotes."""
    if isinstance(value, dict) and value:
        return [pair for key, inner in value.items() for pair in _flat(f"{prefix}.{key}" if prefix else key, inner)]
    return [(prefix, value if isinstance(value, str) else orjson.dumps(value).decode())]
