"""`paw-bench play`: an episode of any environment in the terminal, played by a human, a program or a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from rich.console import Console

from paw_bench.config.environments import names
from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.definition import RandomPlayer, definition
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.envs.protocol import Player, StepResult, Task
from paw_bench.errors import UserError
from paw_bench.play.events import Event, Show, Started, as_record
from paw_bench.play.human import Human
from paw_bench.play.players import NAMES, play_alone
from paw_bench.play.policies import find_model
from paw_bench.play.screen import Screen
from paw_bench.play.settings import find_task, play_config

INTERRUPTED = 130


def play(
    environment: str,
    *,
    task: str | None,
    policy: str,
    seed: int,
    scale: str | None,
    overrides: Sequence[str],
    as_json: bool,
) -> int:
    """Show one episode; the exit code. Raises UserError for an environment, task or policy that there is not."""
    experts = definition(environment).experts() if environment in names() else {}
    model = None if policy in NAMES or policy in experts else find_model(policy)
    if scale and model and model.run:
        raise UserError("--scale: the policy is a run, which has settings of its own", "leave --scale out")
    config = play_config(environment, scale=scale, overrides=overrides, model=model)
    if model:
        from paw_bench.sweep.environment import ensure_environment

        ensure_environment(config.execution)
    chosen = find_task(config.experiment, task, seed)
    rules = config.experiment.environment
    # Whoever reads the records has stdout for them.
    console = Console(stderr=as_json, highlight=False)
    show: Show = _print_record if as_json else Screen(console, model=model is not None)
    try:
        with EnvironmentPool(rules, workers=1, timeout_s=config.execution.step_timeout_s) as pool:
            first = pool.reset([(chosen.task, seed)])[0]
            opening = Started(
                environment=environment,
                panel=chosen.panel,
                task_id=chosen.task.task_id,
                task_type=chosen.task.task_type,
                seed=seed,
                policy=policy,
                max_turns=rules.max_turns,
                observation=first.observation,
                admissible=first.admissible,
            )
            if model is None:
                player = _player(policy, rules, chosen.task, opening=first, seed=seed, console=console)
                play_alone(pool, opening, first, player, show)
                return 0
            from paw_bench.play.model import play_group

            status = f"{policy} plays {config.experiment.algorithm.group_size} episodes of the task"
            with console.status(status) if console.is_terminal else nullcontext():
                turns, end = play_group(model, chosen.task, pool, config, seed=seed)
            shown: list[Event] = [opening, *turns, end]
            for event in shown:
                show(event)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    return 0


def _player(
    policy: str, config: EnvironmentConfig, task: Task, *, opening: StepResult, seed: int, console: Console
) -> Player:
    if policy == "human":
        return Human(console)
    if policy == "random":
        return RandomPlayer(f"{opening.observation}\n{seed}")
    kind = definition(config.name)
    return kind.experts().get(policy, kind.oracle)(config, task, opening)


def _print_record(event: Event) -> None:
    print(json.dumps(as_record(event)), flush=True)
