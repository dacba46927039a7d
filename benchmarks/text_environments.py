"""Steps a second of the environments other than ALFWorld, in one process: `python benchmarks/text_environments.py`.

A random policy plays the test panel once, resets included; `environment_steps.py` measures ALFWorld and the pool.
"""

from __future__ import annotations

import random
import time

from paw_bench.config.environments import names
from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.definition import definition, random_action
from paw_bench.envs.panels import load_panels

TURNS = {"webshop": 15, "search_qa": 4}
"""The usual limits; any other environment is played for 30 turns."""


def measure(name: str) -> str:
    """One line about one environment at its default options."""
    config = EnvironmentConfig(name=name, max_turns=TURNS.get(name, 30))
    began = time.monotonic()
    tasks = load_panels(config)["test"].tasks
    environment = definition(name).make(config)
    ready = time.monotonic() - began
    rng = random.Random(0)
    steps, wall, processor = 0, time.monotonic(), time.process_time()
    for task in tasks:
        result = opening = environment.reset(task, 0)
        while not result.done:
            result = environment.step(random_action(rng, result.admissible, opening.observation))
            steps += 1
    wall, processor = time.monotonic() - wall, time.process_time() - processor
    return (
        f"{name:12} {len(tasks):4} episodes  {steps:6} steps  {steps / processor:9.0f} a processor-second  "
        f"{steps / wall:9.0f} a second  panels and first environment {ready:5.1f} s"
    )


if __name__ == "__main__":
    for environment_name in names():
        if environment_name != "alfworld":
            print(measure(environment_name), flush=True)
