"""Reads finished and unfinished sweeps from their files alone: tables, figures, statistics. Imports no torch.

In a notebook:

    import analysis

    results = analysis.load("results/runs/ablations-embedded")
    results.runs, results.metrics, results.episodes, results.evaluation, results.fixed_transitions

Each is a tidy pandas frame; `analysis.frames` documents its columns, their units and dtypes. Nothing is imported
before `load` is called.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.load import Results

__all__ = ["load"]


def load(path: Path | str) -> Results:
    """The sweep directory at `path` as frames; see `analysis.load.load`. Raises StoreError where it holds no sweep."""
    from analysis.load import load as read

    return read(path)


class _Package(ModuleType):
    """Keeps the function `load`, which the import system would replace by the submodule of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "load":
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
