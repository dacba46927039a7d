"""Episodes of those who are no model: the oracle, a random player, a human. Played on the pool, as a run plays them."""

from __future__ import annotations

import random

from paw_bench.envs.pool import EnvironmentPool
from paw_bench.envs.protocol import Player, StepResult
from paw_bench.play.events import Ended, Played, Show, Started

NAMES = ("human", "oracle", "random")


class Left(Exception):
    """The player has gone: the episode stops here."""


def play_alone(pool: EnvironmentPool, opening: Started, first: StepResult, player: Player, show: Show) -> Ended:
    """Play the episode that `pool.reset` began with `first` in slot 0, showing it as it goes; returns its end.

    Where any of several actions will do, `opening.seed` says which.
    """
    rng = random.Random(f"play/{opening.seed}")
    show(opening)
    result, turn, total = first, 0, 0.0
    try:
        while not result.done:
            action = rng.choice(player.choices(result.admissible))
            result = pool.step({0: action})[0]
            turn, total = turn + 1, total + result.reward
            player.read(action, result.observation)
            show(Played(turn, action, result.accepted, result.observation, result.reward))
    except Left:
        ended = Ended(turn, result.success, total, None, stopped=True)
    else:
        ended = Ended(turn, result.success, total, result.score)
    show(ended)
    return ended
