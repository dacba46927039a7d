"""Who plays: one of a few names, a model, or the checkpoint of a run. What a name means is found without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paw_bench.config.messages import closest
from paw_bench.errors import UserError
from paw_bench.models import EMBEDDED
from paw_bench.play.players import NAMES
from paw_bench.store.checkpoints import complete_checkpoints
from paw_bench.store.run_directory import RunDirectory

_CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """A model that plays."""

    name: str
    """As it was asked for: a shipped model, a folder, a model id, a run, or a checkpoint of a run."""
    run: RunDirectory | None = None
    checkpoint: Path | None = None
    """Folder with the weights of `run`."""


def find_model(name: str) -> ModelPolicy:
    """The model behind the `--policy` that is none of `players.NAMES`; a model id is not looked up yet.

    Raises UserError for a misspelt name, and for a run without a checkpoint.
    """
    path = Path(name).expanduser()
    if path.parent.name == _CHECKPOINTS and (path.parents[1] / "config.json").is_file():
        return _of_run(name, RunDirectory(path.parents[1]), path.name)
    if path.parent.name == "runs" and (path / "config.json").is_file():
        return _of_run(name, RunDirectory(path), None)
    near = closest(name, (*NAMES, *EMBEDDED))
    if near and near != name and not path.exists():
        known = ", ".join((*NAMES, *EMBEDDED))
        remedy = f"give one of {known}, a folder with a model, a run or a checkpoint, or a model id"
        raise UserError(f"there is no policy {name!r}: did you mean {near!r}?", remedy)
    return ModelPolicy(name)


def _of_run(name: str, run: RunDirectory, wanted: str | None) -> ModelPolicy:
    found = {path.name: path for _, path in complete_checkpoints(run.path / _CHECKPOINTS)}
    if wanted is not None and wanted not in found:
        there = ", ".join(found) or "none"
        raise UserError(f"{name}: there is no such checkpoint, or it is incomplete", f"complete ones: {there}")
    if not found:
        raise UserError(
            f"{run.path}: the run has no checkpoint",
            "runs keep two while they train and none once the result is published: copy the run's folder before",
        )
    return ModelPolicy(name, run, found[wanted or list(found)[-1]])
