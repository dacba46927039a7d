"""What the environments cost, ours beside ALFWorld's own, in one run: `python benchmarks/envs.py [SECTION ...]`.

    stock    one process: ALFWorld as we play it, and a plain loop over stock textworld, game by game in turns
    batch    processes: our pool, and ALFWorld's own batch environment, in turns on the same games
    scale    our pool with one worker and with two, in turns: what the second one brings
    all      every installed environment in a process of its own: steps, resets, memory
    memory   a process that plays ALFWorld games one after the other: does it grow?

The policy is random. Ratios are of processor time, which what else the machine does changes least (Linux only); seconds
of the clock stand beside them.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import env_play
from env_play import Measured

from paw_bench.config.environments import names
from paw_bench.config.schema import EnvironmentConfig, GamesConfig
from paw_bench.envs.panels import load_panels
from paw_bench.envs.protocol import Task

TURNS = {"webshop": 15, "search_qa": 4, "alfworld": 50}
"""The usual limits; any other environment is played for 30 turns."""
SMALL_PANELS = {"textworld": {"train": 3, "tune": 3, "test": 12}}
"""Where a panel of the default size takes minutes to make."""


def fresh(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work` returns, from a process that has done nothing else."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def alfworld_tasks(count: int) -> list[Task]:
    """Games on floor plans of all sizes, with their translations kept."""
    sizes = GamesConfig(train=count, tune=1, valid_seen=1, valid_unseen=1)
    tasks = list(load_panels(EnvironmentConfig(games=sizes))["train"].tasks)
    fresh(env_play.open_all, EnvironmentConfig(), tasks)
    return tasks


def line(name: str, measured: Measured) -> None:
    """One row of figures."""
    memory_of_one = f"{measured.megabytes:6.0f} MB a process" if measured.megabytes else ""
    print(
        f"  {name:30} {measured.steps:6} steps {1000 * measured.per_step:9.3f} processor-ms a step "
        f"{measured.steps / measured.wall:9.1f} steps/s {memory_of_one}",
        flush=True,
    )


def compared(title: str, ours: list[Measured], theirs: list[Measured], names_of_both: tuple[str, str]) -> None:
    """Both, and the ratio of what a step takes them, pair by pair."""
    print(title)
    for name, rounds in zip(names_of_both, (ours, theirs), strict=True):
        line(name, env_play.summed(rounds))
    pairs = list(zip(ours, theirs, strict=True))
    ratio("processor time a step, resets included", [their.per_step / our.per_step for our, their in pairs])
    ratio("seconds of the clock a step", [their.wall * our.steps / their.steps / our.wall for our, their in pairs])
    if all(our.reset and their.reset for our, their in pairs):
        ratio("processor time of a first reset", [their.reset / our.reset for our, their in pairs])


def ratio(of_what: str, ratios: list[float]) -> None:
    """Median and range of paired ratios."""
    print(f"  {of_what}: {statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


def stock() -> None:
    """Section `stock`: an episode a game."""
    ours, theirs = zip(*fresh(env_play.in_turns, alfworld_tasks(8), TURNS["alfworld"]), strict=True)
    compared("ALFWorld, one process, 8 games of one episode", list(ours), list(theirs), ("ours", "plain loop, stock"))
    resets = sorted(1000 * measured.reset for measured in ours)
    print(f"  our resets: median {statistics.median(resets):.1f}, largest {resets[-1]:.1f} processor-ms")


def batch(size: int = 4, rounds: int = 5) -> None:
    """Section `batch`: `size` games at a time in as many processes."""
    tasks, ours, theirs = alfworld_tasks(size * rounds), [], []
    for number in range(rounds):
        games = tasks[size * number : size * (number + 1)]
        ours.append(env_play.on_pool(games, episodes=1, turns=TURNS["alfworld"], workers=size))
        theirs.append(fresh(env_play.on_alfworld_batch, games, TURNS["alfworld"]))
    compared(f"ALFWorld, {size} processes, {rounds} times {size} games", ours, theirs, ("our pool", "its batch"))


def scale(rounds: int = 5) -> None:
    """Section `scale`: eight episodes of sixteen games at a time, as in groups of GRPO."""
    tasks, one, two = alfworld_tasks(16), [], []
    for _ in range(rounds):
        for workers, found in ((1, one), (2, two)):
            found.append(env_play.on_pool(tasks, episodes=8, turns=TURNS["alfworld"], workers=workers))
    compared("ALFWorld, our pool, 16 games of 8 episodes", two, one, ("two workers", "one worker"))
    print("  (linear: 1 time the processor time, and 2 times the clock where two cores are free)")


def every() -> None:
    """Section `all`."""
    print("every environment, one process each")
    for name in names():
        config = EnvironmentConfig(name=name, max_turns=TURNS.get(name, 30), options=SMALL_PANELS.get(name, {}))
        panel = load_panels(config)["tune" if name == "alfworld" else "test"]
        fresh(env_play.open_all, config, list(panel.tasks))
        measured = fresh(env_play.alone, config, list(panel.tasks))
        line(f"{name}, {len(panel.tasks)} episodes", measured)
        print(
            f"  {'':34} {measured.steps / measured.processor:9.0f} steps a processor-second, "
            f"reset {1000 * measured.reset:.2f} processor-ms"
        )


def memory(games: int) -> None:
    """Section `memory`."""
    print(f"ALFWorld, {games} games one after the other, two episodes each, 24 different ones")
    for opened, megabytes in fresh(env_play.long_life, alfworld_tasks(24), games, TURNS["alfworld"]):
        print(f"  after {opened:5} games {megabytes:6.1f} MB", flush=True)


def main() -> None:
    """Measure what was asked for and print it."""
    sections = {"stock": stock, "batch": batch, "scale": scale, "all": every}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join([*sections, 'memory'])}")
    parser.add_argument("--games", type=int, default=2000, help="games that the section memory plays")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - {*sections, "memory"}:
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, section in sections.items():
        if name in arguments.sections or not arguments.sections:
            section()
    if "memory" in arguments.sections or not arguments.sections:
        memory(arguments.games)


if __name__ == "__main__":
    main()
