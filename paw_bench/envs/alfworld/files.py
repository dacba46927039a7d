"""Game files on disk, in the layout of ALFWorld's own data.

    <root>/json_2.1.1/<split>/<type>-<Object>-None-<Receptacle>-<scene>/trial_*/{game.tw-pddl,traj_data.json}

This module, unlike the generator, does not import alfworld.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

VARIABLE = "ALFWORLD_DATA"
"""The environment variable that names the root of the original data."""
DATA_FOLDER = "json_2.1.1"
GAME_FILE = "game.tw-pddl"
TRAJECTORY_FILE = "traj_data.json"
GENERATOR_VERSION = 1
"""Counted up whenever the generator makes other games from the same arguments (another alfworld does so too)."""

TASK_TYPE_NAMES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
"""ALFWorld's six task types, in its order."""


@dataclass(frozen=True)
class GameFile:
    """One game that is there. `folder` holds both of its files, `sha256` is that of game.tw-pddl."""

    task_id: str
    """The folder's path below the split's, with `/`."""
    task_type: str
    folder: Path
    sha256: str


def split_folder(root: Path, split: str) -> Path:
    """Where the games of a split are."""
    return root / DATA_FOLDER / split
