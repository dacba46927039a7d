"""Is the caching engine ALFWorld's own, word for word? `python benchmarks/alfworld_equal.py --games 200`.

Every game is played twice, on stock textworld wrapped as ALFWorld wraps it and on ours, and every text, list of
commands, reward and ending is compared: a winning play with harmless and unlisted commands strewn in and random ones
after it, then random commands from the start, one in ten of them not listed. On ours a second episode of the same game
is played in between, which the first must not notice. Exit code 1: a difference was found.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import textworld
from textworld.envs import PddlEnv

from paw_bench.config.schema import EnvironmentConfig, GamesConfig
from paw_bench.envs.alfworld import package  # noqa: F401 - before alfworld, whose import has side effects
from paw_bench.envs.alfworld.engine import Game
from paw_bench.envs.alfworld.oracle import oracle_commands
from paw_bench.envs.cache import cache_root
from paw_bench.envs.panels import Panel, load_panels

RANDOM_STEPS = 20
SMALL = 16
"""The fewest receptacles that all six task types can do with."""
STEPS_AFTER_WINNING = 3
UNLISTED = ("dance", "go to nowhere 1", "LOOK", "", "help me")


@dataclass(frozen=True)
class Step:
    """What an engine shows: after a command, or (None) at the start."""

    command: str | None
    text: str
    admissible: list[str]
    reward: float
    done: bool


class Difference(Exception):
    """The engines disagree."""


def stock_environment() -> Any:
    """textworld's engine with ALFWorld's wrappers."""
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos

    return AlfredInfos(AlfredDemangler(PddlEnv(textworld.EnvInfos(admissible_commands=True, won=True))))


def stock_steps(environment: Any, commands: Sequence[str]) -> Iterator[Step]:
    """An episode on stock, which has loaded the game."""
    state = environment.reset()
    yield Step(None, state["feedback"], state["admissible_commands"], 0, False)
    for command in commands:
        state, reward, done = environment.step(command)
        yield Step(command, state["feedback"], state["admissible_commands"], reward, done)


def our_steps(game: Game, commands: Sequence[str], rng: random.Random) -> Iterator[Step]:
    """An episode on ours, while another one of the same game goes its own way."""
    node = other = game.root
    yield Step(None, game.opening, list(node.admissible), 0, False)
    for command in commands:
        _, other = game.play(other, rng.choice(other.admissible))
        text, node = game.play(node, command)
        yield Step(command, text, list(node.admissible), int(node.won), node.won)


def winning_walk(game: Game, folder: Path, rng: random.Random) -> list[str]:
    """The oracle's commands, strewn with others that do not disturb it, then random ones."""
    node, commands = game.root, []
    for command in oracle_commands(game, folder):
        harmless = [known for known in node.admissible if known.startswith(("look", "inventory", "examine", "help"))]
        strewn = [rng.choice([*harmless, *UNLISTED])] if rng.random() < 0.5 else []
        for played in (*strewn, command):
            commands.append(played)
            node = game.play(node, played)[1]
    return commands + random_walk(game, rng, STEPS_AFTER_WINNING, node)


def random_walk(game: Game, rng: random.Random, steps: int, node: Any = None) -> list[str]:
    """Random commands from `node` on, one in ten of them not listed."""
    node, commands = node or game.root, []
    for _ in range(steps):
        commands.append(rng.choice(UNLISTED if rng.random() < 0.1 else node.admissible))
        node = game.play(node, commands[-1])[1]
    return commands


def compare(path: Path, environment: Any, translations: Path | None) -> int:
    """Play one game on both; how many steps were compared. Raises Difference at the first that differs."""
    rng = random.Random(path.parent.name)
    planned = Game(path, translations)
    walks = [winning_walk(planned, path.parent, rng), random_walk(planned, rng, RANDOM_STEPS)]
    environment.load(str(path))
    game, steps = Game(path, translations), 0
    for commands in walks:
        for stock, ours in zip(stock_steps(environment, commands), our_steps(game, commands, rng), strict=True):
            if stock != ours:
                raise Difference(f"{path}\n  stock: {stock}\n  ours:  {ours}")
            steps += 1
    return steps


def games(count: int) -> list[Path]:
    """Procedural games of three panels: a third on floor plans of all sizes, the others on small ones."""
    third = max(1, count // 3)
    large = _panels(train=third)["train"]
    small = _panels(train=third, valid_unseen=count - 2 * third, max_receptacles=SMALL)
    return [Path(task.location) for panel in (large, small["train"], small["valid_unseen"]) for task in panel.tasks]


def _panels(**games: int) -> dict[str, Panel]:
    return load_panels(EnvironmentConfig(games=GamesConfig(**{"tune": 1, "valid_seen": 1, "valid_unseen": 1, **games})))


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=int, default=200)
    count = parser.parse_args().games
    environment, translations = stock_environment(), cache_root() / "translations"
    steps, began = 0, time.monotonic()
    for number, path in enumerate(games(count), start=1):
        try:
            steps += compare(path, environment, translations)
        except Difference as difference:
            sys.exit(f"DIFFERENT: {difference}")
        print(f"\r{number} games, {steps} steps equal", end="", file=sys.stderr, flush=True)
    print(f"\r{count} games, {steps} steps: all equal ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
