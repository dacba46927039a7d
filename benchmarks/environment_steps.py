"""Steps a second of the environments, ours against stock textworld: `python benchmarks/environment_steps.py`.

Both play the same games with a random policy, in as many processes; a game is played by `--episodes` episodes, as in a
group of GRPO. Measured is from the first reset to the last step, with all processes started and warm. "again" has the
translations that the first pass made. Processor time is that of the worker processes (Linux only).
"""

from __future__ import annotations

import argparse
import os
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from paw_bench.config.schema import EnvironmentConfig, GamesConfig
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.envs.protocol import Task


@dataclass(frozen=True)
class Measured:
    """Steps played, and the seconds that they took."""

    steps: int
    wall: float
    processor: float


def play_ours(tasks: list[Task], warm_up: list[Task], episodes: int, turns: int, workers: int) -> Measured:
    """All episodes in step on the pool."""
    steps = 0
    with EnvironmentPool(EnvironmentConfig(max_turns=turns), workers=workers, timeout_s=600) as pool:
        pool.reset([(task, 0) for task in warm_up])
        begin, processor = time.monotonic(), processor_seconds()
        live = dict(enumerate(pool.reset([(task, 0) for task in tasks for _ in range(episodes)])))
        rngs = [random.Random(slot) for slot in live]
        while live := {slot: result for slot, result in live.items() if not result.done}:
            live = pool.step({slot: rngs[slot].choice(result.admissible) for slot, result in live.items()})
            steps += len(live)
        return Measured(steps, time.monotonic() - begin, processor_seconds() - processor)


def play_stock(tasks: list[Task], warm_up: list[Task], episodes: int, turns: int, workers: int) -> Measured:
    """A game after the other on stock environments, one a process."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        list(processes.map(stock_episodes, [(task.location, 1, 1) for task in warm_up]))
        begin, processor = time.monotonic(), processor_seconds()
        steps = sum(processes.map(stock_episodes, [(task.location, episodes, turns) for task in tasks]))
        return Measured(steps, time.monotonic() - begin, processor_seconds() - processor)


def stock_episodes(job: tuple[str, int, int]) -> int:
    """Play one game on ALFWorld's own stack."""
    import textworld
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos
    from textworld.envs import PddlEnv

    path, episodes, turns = job
    infos = textworld.EnvInfos(admissible_commands=True, won=True)
    environment = AlfredInfos(AlfredDemangler(PddlEnv(infos)))
    environment.load(path)
    steps = 0
    for slot in range(episodes):
        rng = random.Random(slot)
        state = environment.reset()
        for _ in range(turns):
            state, _, done = environment.step(rng.choice(state["admissible_commands"]))
            steps += 1
            if done:
                break
    return steps


def processor_seconds() -> float:
    """Processor time of this process's children so far."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    ticks = 0
    for child in children:
        fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=int, default=8)
    parser.add_argument("--episodes", type=int, default=8)
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--workers", type=int, default=8)
    arguments = parser.parse_args()
    sizes = GamesConfig(train=arguments.games, tune=arguments.workers, valid_seen=6, valid_unseen=6)
    panels = load_panels(EnvironmentConfig(games=sizes))
    tasks, warm_up = list(panels["train"].tasks), list(panels["tune"].tasks)
    for name, play in (("ours", play_ours), ("ours, again", play_ours), ("stock", play_stock)):
        measured = play(tasks, warm_up, arguments.episodes, arguments.turns, arguments.workers)
        rate, cost = measured.steps / measured.wall, 1000 * measured.processor / measured.steps
        print(
            f"{name:12} {measured.steps:6} steps  {measured.wall:7.1f} s  {rate:7.1f} steps/s  "
            f"{cost:7.2f} processor-ms a step, resets included",
            flush=True,
        )


if __name__ == "__main__":
    main()
