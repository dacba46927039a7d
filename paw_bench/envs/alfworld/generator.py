"""Procedural games in ALFWorld's format, on the floor plans that alfworld ships.

A game is a function of (split, index, seed, max_receptacles) alone, so a panel can be generated in any order, in parts,
and on any machine. Task types take turns: game `index` is of type `index mod 6`.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from paw_bench.envs.alfworld.files import GENERATOR_VERSION, TASK_TYPE_NAMES
from paw_bench.envs.alfworld.package import DOMAIN, GRAMMAR, add_task_to_grammar, constants
from paw_bench.envs.alfworld.pddl import Goal, problem_text
from paw_bench.envs.alfworld.scenes import (
    FURNITURE,
    HELD_OUT_SCENES,
    LAMP_SPOTS,
    Scene,
    all_scenes,
    receptacle_type,
)
from paw_bench.errors import ConfigError

_AFFORDANCES = {
    "pick_clean_then_place_in_recep": ("Cleanable", "SinkBasin"),
    "pick_heat_then_place_in_recep": ("Heatable", "Microwave"),
    "pick_cool_then_place_in_recep": ("Coolable", "Fridge"),
}
_MAX_INSTANCES = constants.MAX_NUM_OF_OBJ_INSTANCES


@dataclass(frozen=True)
class Game:
    """One generated game."""

    task_id: str
    """Its folder below `json_2.1.1/<split>/`, of two levels as in the original data."""
    task_type: str
    game_file: bytes
    """Content of game.tw-pddl."""
    trajectory_file: bytes
    """Content of traj_data.json."""


def generate_game(split: str, index: int, seed: int, max_receptacles: int | None = None) -> Game:
    """Game `index` of `split`; ConfigError when `max_receptacles` leaves no floor plan for its task type."""
    task_type = TASK_TYPE_NAMES[index % len(TASK_TYPE_NAMES)]
    key = f"paw_bench games v{GENERATOR_VERSION}/{split}/{index}/{seed}/{max_receptacles}"
    digest = hashlib.sha256(key.encode()).digest()
    rng = random.Random(int.from_bytes(digest, "big"))

    scene = rng.choice(scenes_for(split, task_type, max_receptacles))
    goal = rng.choice(_goals(scene, task_type))
    objects = _place_objects(rng, scene, goal)
    lamps = _place_lamp(rng, scene) if goal.toggle else {}

    trial = f"trial_P{int.from_bytes(digest[:8], 'big') % 10**12:012d}"
    problem = problem_text(f"plan_{trial}", goal, scene, objects, lamps)
    trajectory = _trajectory(trial, goal, scene)
    game = {
        "pddl_domain": _read(DOMAIN),
        "grammar": _grammar_with_goal(trajectory, rng),
        "pddl_problem": problem,
        "solvable": True,
        "walkthrough": None,
    }
    task_id = f"{task_type}-{goal.object_type}-None-{goal.target or goal.toggle}-{scene.number}/{trial}"
    return Game(task_id, task_type, json.dumps(game).encode(), json.dumps(trajectory, indent=1).encode())


@cache
def scenes_for(split: str, task_type: str, max_receptacles: int | None = None) -> tuple[Scene, ...]:
    """Floor plans that `split` draws `task_type` from.

    `valid_unseen` has ALFRED's four held-out scenes whatever their size; the other splits have all others with at most
    `max_receptacles` receptacles. ConfigError when none is left.
    """
    if split == "valid_unseen":
        allowed = [scene for scene in all_scenes() if scene.number in HELD_OUT_SCENES]
    else:
        allowed = [
            scene
            for scene in all_scenes()
            if scene.number not in HELD_OUT_SCENES
            and (max_receptacles is None or len(scene.receptacles) <= max_receptacles)
        ]
    fitting = tuple(scene for scene in allowed if _goals(scene, task_type))
    if not fitting:
        smallest = max(_smallest_scene(name) for name in TASK_TYPE_NAMES)
        raise ConfigError(
            file="experiment",
            key="environment.games.max_receptacles",
            value=max_receptacles,
            problem=f"no floor plan with so few receptacles has games of the type {task_type}",
            remedy=f"set it to {smallest} or more (all six types need that), or to null for all floor plans",
        )
    return fitting


def _smallest_scene(task_type: str) -> int:
    open_scenes = (scene for scene in all_scenes() if scene.number not in HELD_OUT_SCENES)
    return min(len(scene.receptacles) for scene in open_scenes if _goals(scene, task_type))


@cache
def _goals(scene: Scene, task_type: str) -> tuple[Goal, ...]:
    """Every goal of this type that the scene can pose, in a fixed order."""
    if scene.kind not in constants.GOALS_VALID[task_type]:
        return ()
    types = scene.receptacle_types
    affordance, appliance = _AFFORDANCES.get(task_type, (None, None))
    if appliance is not None and appliance not in types:
        return ()
    goals = []
    for name in scene.portable:
        if affordance is not None and name not in constants.VAL_ACTION_OBJECTS[affordance]:
            continue
        homes = sorted(kind for kind in types if name in FURNITURE.get(kind, ()))
        if task_type == "look_at_obj_in_light":
            if homes and types & LAMP_SPOTS and "DeskLamp" in scene.classes:
                goals.append(Goal(task_type, name, None))
        elif len(homes) >= 2:  # the object must be able to start elsewhere
            goals += [Goal(task_type, name, kind) for kind in homes if kind != appliance]
    return tuple(goals)


def _place_objects(rng: random.Random, scene: Scene, goal: Goal) -> dict[str, str]:
    """One to three of each class of the scene's objects; those of the goal's class never start in the target."""
    placed: dict[str, str] = {}
    for name in scene.portable:
        is_goal_object = name == goal.object_type
        fewest = 2 if is_goal_object and goal.task_type == "pick_two_obj_and_place" else 1
        count = rng.randint(fewest, _MAX_INSTANCES) if is_goal_object or rng.random() < 0.5 else 1
        homes = sorted(
            identifier
            for identifier in scene.receptacles
            if name in FURNITURE.get(receptacle_type(identifier), ())
            and not (is_goal_object and receptacle_type(identifier) == goal.target)
        )
        if not homes:
            continue
        for _ in range(count):
            placed[_new_identifier(rng, name, placed)] = rng.choice(homes)
    return placed


def _place_lamp(rng: random.Random, scene: Scene) -> dict[str, str]:
    spots = sorted(identifier for identifier in scene.receptacles if receptacle_type(identifier) in LAMP_SPOTS)
    return {_new_identifier(rng, "DeskLamp", {}): rng.choice(spots)}


def _new_identifier(rng: random.Random, name: str, taken: dict[str, str]) -> str:
    while True:
        x, y, z = rng.uniform(-3, 3), rng.uniform(0.2, 2), rng.uniform(-3, 3)
        identifier = f"{name}|{x:+06.2f}|{y:+06.2f}|{z:+06.2f}"
        if identifier not in taken:
            return identifier


def _trajectory(trial: str, goal: Goal, scene: Scene) -> dict[str, Any]:
    return {
        "task_id": trial,
        "task_type": goal.task_type,
        "pddl_params": {
            "object_target": goal.object_type,
            "parent_target": goal.target or "",
            "toggle_target": goal.toggle or "",
            "mrecep_target": "",
            "object_sliced": False,
        },
        "scene": {"floor_plan": f"FloorPlan{scene.number}", "scene_num": scene.number},
        "plan": {"high_pddl": [], "low_actions": []},
        "turk_annotations": {"anns": []},
    }


def _grammar_with_goal(trajectory: dict[str, Any], rng: random.Random) -> str:
    # alfworld draws the wording of the goal from the global generator.
    state = random.getstate()
    random.seed(rng.getrandbits(64))
    try:
        grammar: str = add_task_to_grammar(_read(GRAMMAR), trajectory)
    finally:
        random.setstate(state)
    return grammar


@cache
def _read(path: Path) -> str:
    return path.read_text()
