"""Which games an update plays: a function of seed and update, so that arms share them and resume needs no position."""

from __future__ import annotations

import numpy as np

from paw_bench.config.algorithm import AlgorithmConfig
from paw_bench.envs.protocol import Task
from paw_bench.rollout.collector import Assignment


def tasks_of_update(tasks: tuple[Task, ...], *, seed: int, update: int, groups: int) -> list[Task]:
    """The `groups` tasks of an update (1-based): the panel in a new random order each time it is used up."""
    first = (update - 1) * groups
    return [_task_at(tasks, seed, position) for position in range(first, first + groups)]


def assignments_of_update(
    tasks: tuple[Task, ...], algorithm: AlgorithmConfig, *, seed: int, update: int
) -> list[Assignment]:
    """The algorithm's episodes of each task, with the update's environment seeds and sampling noise."""
    chosen = tasks_of_update(tasks, seed=seed, update=update, groups=algorithm.tasks)
    return [
        Assignment(task, group, index, seed=update, noise=f"train/{seed}/{update}/{group}/{index}")
        for group, task in enumerate(chosen)
        for index in range(algorithm.episodes_per_task)
    ]


def _task_at(tasks: tuple[Task, ...], seed: int, position: int) -> Task:
    epoch, place = divmod(position, len(tasks))
    order = np.random.default_rng(np.random.SeedSequence([seed, epoch])).permutation(len(tasks))
    return tasks[int(order[place])]
