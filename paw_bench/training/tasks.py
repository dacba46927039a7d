"""Which games an update plays: a function of seed and update, so that arms share them and resume needs no position."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

import numpy as np

from paw_bench.config.algorithm import AlgorithmConfig
from paw_bench.envs.protocol import Task
from paw_bench.rollout.collector import Assignment


def tasks_of_update(tasks: tuple[Task, ...], *, seed: int, update: int, groups: int) -> list[Task]:
    """The `groups` tasks of an update (1-based): the panel in a new random order each time it is used up.

    They differ, also where one order ends and the next begins within the update, if the panel has as many.
    """
    first, size = (update - 1) * groups, len(tasks)
    rounds = islice(_rounds(size, seed, groups), first // size, (first + groups - 1) // size + 1)
    places = [place for order in rounds for place in order]
    return [tasks[place] for place in places[first % size :][:groups]]


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


def _rounds(size: int, seed: int, groups: int) -> Iterator[list[int]]:
    """The orders in which the panel is played, one after the other, each task once in each.

    An update that takes the end of one order and the beginning of the next shall not get a task twice: what it holds
    already is moved behind what it still needs.
    """
    order: list[int] = []
    for number in count():
        last = order
        order = np.random.default_rng(np.random.SeedSequence([seed, number])).permutation(size).tolist()
        missing = -number * size % groups
        if missing and groups <= size:
            held = set(last[missing - groups :])
            head = [place for place in order if place not in held][:missing]
            taken = set(head)
            order = head + [place for place in order if place not in taken]
        yield order
