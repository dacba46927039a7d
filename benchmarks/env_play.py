"""Random episodes on our environments and on ALFWorld's own, with what they cost: the work of `benchmarks/envs.py`."""

from __future__ import annotations

import gc
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.definition import definition, random_action
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.envs.protocol import Environment, StepResult, Task


@dataclass(frozen=True)
class Measured:
    """What was played, and what it took. Seconds, of all processes that played."""

    steps: int
    wall: float
    processor: float
    megabytes: float
    """Resident memory of a process that plays, at the end; 0 where it says nothing."""
    reset: float = 0.0
    """Processor-seconds of a reset, where they were measured apart."""

    @property
    def per_step(self) -> float:
        """Processor-seconds a step, resets included."""
        return self.processor / self.steps


def summed(rounds: Sequence[Measured]) -> Measured:
    """All rounds as one."""
    totals = [sum(getattr(one, name) for one in rounds) for name in ("steps", "wall", "processor")]
    return Measured(*totals, max(one.megabytes for one in rounds), sum(one.reset for one in rounds) / len(rounds))


def open_all(config: EnvironmentConfig, tasks: Sequence[Task]) -> None:
    """Reset every task once, so that whatever is made once is there."""
    environment = definition(config.name).make(config)
    for task in tasks:
        environment.reset(task, 0)


def alone(config: EnvironmentConfig, tasks: Sequence[Task]) -> Measured:
    """An episode of every task in this process."""
    environment = definition(config.name).make(config)
    gc.freeze()
    steps, resets, began, processor = 0, 0.0, time.monotonic(), time.process_time()
    for number, task in enumerate(tasks):
        before = time.process_time()
        opening = environment.reset(task, 0)
        resets += time.process_time() - before
        steps += sum(1 for _ in _steps(environment, opening, random.Random(number)))
    wall, processor = time.monotonic() - began, time.process_time() - processor
    return Measured(steps, wall, processor, _megabytes(os.getpid()), resets / len(tasks))


def _steps(environment: Environment, opening: StepResult, rng: random.Random) -> Iterator[StepResult]:
    result = opening
    while not result.done:
        result = environment.step(random_action(rng, result.admissible, opening.observation))
        yield result


def in_turns(tasks: Sequence[Task], turns: int) -> list[tuple[Measured, Measured]]:
    """For every game an episode on ours and one on a plain loop over stock, who goes first changing."""
    from alfworld_equal import stock_environment

    environment, found = stock_environment(), []
    for number, task in enumerate(tasks):
        theirs = None if number % 2 else _plain_loop(environment, task, turns, number)
        ours = replace(alone(EnvironmentConfig(max_turns=turns), [task]), megabytes=0.0)  # the process holds both
        found.append((ours, theirs or _plain_loop(environment, task, turns, number)))
    return found


def _plain_loop(environment: Any, task: Task, turns: int, seed: int) -> Measured:
    began, processor = time.monotonic(), time.process_time()
    environment.load(task.location)
    state = environment.reset()
    reset = time.process_time() - processor
    rng, steps, done = random.Random(seed), 0, False
    while not done and steps < turns:
        state, _, done = environment.step(rng.choice(state["admissible_commands"]))
        steps += 1
    wall, processor = time.monotonic() - began, time.process_time() - processor
    return Measured(steps, wall, processor, 0.0, reset)


def on_pool(tasks: Sequence[Task], *, episodes: int, turns: int, workers: int) -> Measured:
    """`episodes` of every task on our pool, all slots in step, from the first reset on."""
    with EnvironmentPool(EnvironmentConfig(max_turns=turns), workers=workers, timeout_s=600) as pool:
        pool.reset([(task, 0) for task in tasks[:1]])  # all workers have started
        began, processor, steps = time.monotonic(), _processor_seconds(), 0
        live = dict(enumerate(pool.reset([(task, 0) for task in tasks for _ in range(episodes)])))
        rngs = [random.Random(slot) for slot in live]
        while live := {slot: result for slot, result in live.items() if not result.done}:
            live = pool.step({slot: rngs[slot].choice(result.admissible) for slot, result in live.items()})
            steps += len(live)
        wall, processor = time.monotonic() - began, _processor_seconds() - processor
        return Measured(steps, wall, processor, max(map(_megabytes, _children())))


def on_alfworld_batch(tasks: Sequence[Task], turns: int) -> Measured:
    """An episode of every task on the batch environment that `AlfredTWEnv.init_env` makes: a process a game."""
    from alfworld.agents.environment.alfred_tw_env import AlfredTWEnv

    made = AlfredTWEnv.__new__(AlfredTWEnv)  # its constructor looks for the original data
    made.train_eval, made.game_files = "eval_in_distribution", [task.location for task in tasks]
    made.config = {
        "env": {"domain_randomization": False, "expert_type": "handcoded"},
        "general": {"training_method": "dqn"},
        "rl": {"training": {"max_nb_steps_per_episode": turns}},
    }
    environment = made.init_env(batch_size=len(tasks))
    rng, steps = random.Random(0), 0
    began, processor = time.monotonic(), _processor_seconds()
    _, infos = environment.reset()
    done = [False] * len(tasks)
    while not all(done):
        steps += done.count(False)
        _, _, done, infos = environment.step([rng.choice(listed) for listed in infos["admissible_commands"]])
    wall, processor = time.monotonic() - began, _processor_seconds() - processor
    found = Measured(steps, wall, processor, max(map(_megabytes, _children())))
    environment.close()
    return found


def long_life(tasks: Sequence[Task], games: int, turns: int) -> list[tuple[int, float]]:
    """(games opened, memory in MB) along the way of one process; settings of the collector as in a worker."""
    config = EnvironmentConfig(max_turns=turns)
    kind, found = definition("alfworld"), []
    kind.make(config)
    gc.freeze()
    gc.set_threshold(10_000, 10, 100)
    for number in range(games):
        for episode in range(2):
            environment = kind.make(config)
            opening = environment.reset(tasks[number % len(tasks)], 0)
            for _ in _steps(environment, opening, random.Random(2 * number + episode)):
                pass
        if (number + 1) % max(1, games // 10) == 0:
            found.append((number + 1, _megabytes(os.getpid())))
    return found


def _processor_seconds() -> float:
    """Processor time of this process and of its children so far, as exactly as the kernel counts it."""
    ticks = 0
    for child in _children():
        fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _children() -> list[int]:
    return [int(child) for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _megabytes(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 2**10 if "VmRSS:" in status else 0.0
