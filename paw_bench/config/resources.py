"""The experiment files, scales and cluster profiles that come with the package."""

from __future__ import annotations

import shutil
from pathlib import Path

from paw_bench.errors import UserError

_FOLDERS = ("experiments", "slurm")


def shipped() -> Path:
    """The folder that holds the shipped `experiments/` and `slurm/`: inside an installed wheel, or the checkout."""
    package = Path(__file__).resolve().parents[1]
    for root in (package / "shipped", package.parent):
        if (root / "experiments" / "scales").is_dir():
            return root
    raise UserError(f"{package}: the shipped experiment files are missing", "install paw-bench again")


def init(target: Path) -> list[Path]:
    """Copy the shipped experiments, scales and profiles into the empty or new folder `target`; returns the files.

    Raises UserError where `target` is not an empty folder, or cannot be written.
    """
    if target.exists() and not target.is_dir():
        raise UserError(f"{target}: is a file", "name a folder that is empty or not there yet")
    if target.is_dir() and any(target.iterdir()):
        raise UserError(f"{target}: the folder is not empty", "name a folder that is empty or not there yet")
    sources = sorted(path for folder in _FOLDERS for path in (shipped() / folder).rglob("*.yaml"))
    return [_copy(source, target / source.relative_to(shipped())) for source in sources]


def _copy(source: Path, target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        problem = f"{target}: cannot be written: {error.strerror}"
        raise UserError(problem, "name a folder that you may write to") from error
    return target
