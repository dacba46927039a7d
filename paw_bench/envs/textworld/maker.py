"""Makes TextWorld's own challenge games from seeds: coin collector, treasure hunter, cooking.

Generation is TextWorld's, from four seeds that are drawn from the game's name, and Inform compiles it to a file that a
z-machine plays. A game does not depend on the others. Two compilations of one game differ in the date that is in the
file, so a game's hash is that of its JSON description.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

VERSION = 1
"""Counted up whenever the same seed gives another game (another textworld does so too)."""
GAME, DESCRIPTION = "game.z8", "game.json"
_DONE = "made\n"

LEVELS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    # Rooms in a chain and a coin at its end; medium and hard have dead ends. `level` is TextWorld's own.
    "coin_collector": {
        "easy": {"level": 5},  # 5 rooms
        "medium": {"level": 110},  # 10 on the way, 20 in all
        "hard": {"level": 225},  # 25 on the way, 75 in all
    },
    # An object somewhere; medium has closed doors and boxes, hard locked ones.
    "treasure_hunter": {
        "easy": {"level": 5},  # 5 rooms, 3 steps
        "medium": {"level": 15},  # 10 rooms, 6 steps
        "hard": {"level": 25},  # 20 rooms, 11 steps
    },
    # A recipe to follow: ingredients to take, rooms to go through, things to open, to cook and to cut.
    "cooking": {
        "easy": {"recipe": 1, "take": 1, "go": 1, "open": True, "cook": False, "cut": False, "drop": False},
        "medium": {"recipe": 2, "take": 2, "go": 1, "open": True, "cook": True, "cut": True, "drop": False},
        # Without `drop` (a limit on what one can carry): TextWorld knows no winning policy there.
        "hard": {"recipe": 3, "take": 3, "go": 6, "open": True, "cook": True, "cut": True, "drop": False},
    },
}
"""Kind of game -> difficulty -> settings of TextWorld's challenge."""

COOKING_SPLITS = {"train": "train", "tune": "train", "test": "test"}
"""Panel -> TextWorld's split of foods: the test games cook foods and preparations that training never saw."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One game: everything that decides what it is."""

    seed: int
    panel: str
    index: int
    kind: str
    difficulty: str

    @property
    def name(self) -> str:
        """Also the task id."""
        return f"{self.kind}-{self.difficulty}-{self.panel}-seed{self.seed}-{self.index:05d}"


def make_games(jobs: Sequence[tuple[Wanted, Path]]) -> Generator[None, None, None]:
    """Write each game's two files into its folder, one an item; in a process of their own.

    Python's hash seed decides some of the generator's choices, and its modules keep state. Raises RuntimeError where
    the process fails; its traceback is on stderr.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "paw_bench.envs.textworld.maker"],
        env={**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for game, folder in jobs:
            process.stdin.write(json.dumps({**asdict(game), "folder": str(folder)}) + "\n")
            process.stdin.flush()
            while (line := process.stdout.readline()) != _DONE:
                if not line:
                    raise RuntimeError(f"textworld could not make {game.name}; its own messages are above")
            yield
    finally:
        process.kill()
        process.wait()


def _serve() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        folder = Path(job.pop("folder"))
        _make(Wanted(**job), folder)
        print("\n" + _DONE, end="", flush=True)


def _make(game: Wanted, folder: Path) -> None:
    import textworld
    from textworld.challenges.tw_coin_collector import coin_collector
    from textworld.challenges.tw_cooking import cooking
    from textworld.challenges.tw_treasure_hunter import treasure_hunter

    makers = {"coin_collector": coin_collector, "treasure_hunter": treasure_hunter, "cooking": cooking}
    seeds = {part: _seed(game.name, part) for part in ("map", "objects", "quest", "grammar")}
    options = textworld.GameOptions()
    options.seeds = seeds
    options.grammar.only_last_action = True  # the instruction names the goal, not the way there
    options.path = str(folder / GAME)
    options.force_recompile = True
    settings = dict(LEVELS[game.kind][game.difficulty])
    if game.kind == "cooking":
        settings |= {"recipe_seed": _seed(game.name, "recipe"), "split": COOKING_SPLITS[game.panel]}
    textworld.generator.compile_game(makers[game.kind].make(settings, options), options)


def _seed(name: str, part: str) -> int:
    return int(hashlib.sha256(f"{VERSION} {name} {part}".encode()).hexdigest()[:7], 16) + 1


if __name__ == "__main__":
    _serve()
