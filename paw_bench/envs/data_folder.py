"""Where the user keeps an environment's original files: the folder that an environment variable names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from paw_bench.envs.definition import Missing
from paw_bench.errors import UserError


def data_folder(variable: str, remedy: str, *, key: str = "environment.options.source") -> Path:
    """The folder that `variable` names; `key` of the config asks for it. Raises UserError where it is not there."""
    given = os.environ.get(variable)
    if not given:
        raise UserError(f"{key} is 'data' but ${variable} is not set", remedy)
    root = Path(given).expanduser().absolute()
    if not root.is_dir():
        raise UserError(f"${variable} points to {root}, which is not a folder", remedy)
    return root


def missing_data(needs: str, variable: str, lacking: Callable[[Path], str]) -> Missing | None:
    """What is missing of the files below `variable`; `lacking` says what a folder has not, or an empty text."""
    remedy = f"set {variable} to the folder that holds them"
    try:
        root = data_folder(variable, remedy)
    except UserError as error:
        return Missing(needs, error.problem, remedy)
    found = lacking(root)
    return Missing(needs, f"{root} {found}", remedy) if found else None
