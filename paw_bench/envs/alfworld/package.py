"""What is used of the `alfworld` package, imported without its side effects.

Importing alfworld creates `~/.cache/alfworld` and sets `$ALFWORLD_DATA` to it when the variable is unset. Both would
hide from the user that the variable is not set, and the first fails where the home folder cannot be written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paw_bench.envs.alfworld.files import VARIABLE


@contextmanager
def _harmless_import() -> Iterator[None]:
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = tempfile.gettempdir()
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


with _harmless_import():
    import alfworld
    from alfworld.agents.expert import (
        HandCodedAgentFailed,
        HandCodedAgentTimeout,
        HandCodedTWAgent,
    )
    from alfworld.agents.expert import handcoded_expert as hand_coded
    from alfworld.agents.utils.misc import add_task_to_grammar
    from alfworld.gen import constants, goal_library
    from alfworld.info import ALFRED_PDDL_PATH, ALFRED_TWL2_PATH

LAYOUTS = Path(alfworld.__file__).parent / "gen" / "layouts"
"""Folder of the floor plans: `FloorPlan{N}-openable.json` and `FloorPlan{N}-objects.json`."""
DOMAIN = Path(ALFRED_PDDL_PATH)
GRAMMAR = Path(ALFRED_TWL2_PATH)

__all__ = [
    "DOMAIN",
    "GRAMMAR",
    "LAYOUTS",
    "HandCodedAgentFailed",
    "HandCodedAgentTimeout",
    "HandCodedTWAgent",
    "add_task_to_grammar",
    "constants",
    "goal_library",
    "hand_coded",
]
