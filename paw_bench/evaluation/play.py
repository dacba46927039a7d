"""Evaluation: the policy plays the games of a panel, once each, with noise that belongs to the game."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from paw_bench.config.schema import EvaluationConfig
from paw_bench.envs.panels import Panel
from paw_bench.rollout.collector import Assignment
from paw_bench.rollout.episode import Episode, Source
from paw_bench.rollout.rows import rows_of

Play = Callable[[list[Assignment], float], list[Episode]]
"""Plays assignments at a temperature: `Collector.collect`, or several processes together."""


def play_panel(
    play: Play,
    panel: Panel,
    config: EvaluationConfig,
    *,
    seed: int,
) -> list[Episode]:
    """Play the panel (or its first `config.games` games). The noise of a game is the same before and after training."""
    tasks = panel.tasks[: config.games]
    assignments = [
        Assignment(task, group=number, index=0, seed=seed, noise=f"evaluation/{seed}/{task.task_id}")
        for number, task in enumerate(tasks)
    ]
    return play(assignments, config.temperature)


def records(
    episodes: list[Episode], panel: Panel, phase: str, config: EvaluationConfig, mode: str
) -> list[dict[str, Any]]:
    """One record an episode, as in the run directory's `episodes.jsonl`."""
    return [
        {
            "phase": phase,
            "panel": panel.name,
            "panel_hash": panel.sha256,
            "task_id": episode.task_id,
            "task_type": episode.task_type,
            "seed": episode.seed,
            "temperature": config.temperature,
            "reward": episode.env_return,
            "success": episode.success,
            "score": episode.score,
            "turns": len(episode.turns),
            "accepted_share": sum(turn.accepted for turn in episode.turns) / len(episode.turns),
            "tokens": tokens_by_source([episode], mode),
        }
        for episode in episodes
    ]


def summary(episodes: list[Episode], panel: Panel) -> dict[str, Any]:
    """Success and reward over all games and by task type, as in `result.json`."""
    by_type: dict[str, list[bool]] = defaultdict(list)
    for episode in episodes:
        by_type[episode.task_type].append(episode.success)
    return {
        "success": sum(episode.success for episode in episodes) / len(episodes),
        "reward": sum(episode.env_return for episode in episodes) / len(episodes),
        "by_type": {
            name: {"success": sum(wins) / len(wins), "games": len(wins)} for name, wins in sorted(by_type.items())
        },
        "games": len(episodes),
        "panel": panel.name,
        "panel_hash": panel.sha256,
    }


def tokens_by_source(episodes: list[Episode], mode: str) -> dict[str, int]:
    """Tokens of the rows of `episodes`: prompt, action, observation and template."""
    counts = {source.name.lower(): 0 for source in Source}
    for row in rows_of(episodes, mode):
        counts["prompt"] += len(row.prompt_ids)
        for source in row.sources:
            counts[source.name.lower()] += 1
    return counts
