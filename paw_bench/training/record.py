"""The metrics record of one update, in the form of docs/architecture.md."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from paw_bench.rollout.episode import Episode, Source
from paw_bench.rollout.rows import Row
from paw_bench.training.columns import WorldModelColumns
from paw_bench.training.health import peak_memory_mb
from paw_bench.world_model.term import Diagnostics


@dataclass(frozen=True, slots=True)
class Rollout:
    """The episodes and rows of an update, and how long collecting them took."""

    episodes: list[Episode]
    rows: list[Row]
    started: float
    """`time.monotonic()` when the update began."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What the micro-batches of an update said; on several processes, those of one, or of all."""

    step_logs: Sequence[Mapping[str, float | None]]
    """TRL's metrics of each optimizer step."""
    diagnostics: Diagnostics
    rl_loss: float
    """Sum of the RL losses of all optimizer steps."""
    logprob_gap: float | None
    tokens: int
    """Positions of the batches that hold a token."""
    positions: int
    """All positions of the batches."""

    @classmethod
    def of_all_ranks(cls, ranks: Sequence[Measured]) -> Measured:
        """Sums over the ranks' micro-batches; of TRL's metrics the mean, of the gap the largest."""
        logs = zip(*(own.step_logs for own in ranks), strict=True)
        gaps = [own.logprob_gap for own in ranks if own.logprob_gap is not None]
        return cls(
            step_logs=[{key: _mean(step, key) for key in step[0]} for step in logs],
            diagnostics=sum((own.diagnostics for own in ranks[1:]), start=ranks[0].diagnostics),
            rl_loss=sum(own.rl_loss for own in ranks),
            logprob_gap=max(gaps, default=None),
            tokens=sum(own.tokens for own in ranks),
            positions=sum(own.positions for own in ranks),
        )


def update_record(
    *,
    update: int,
    rollout: Rollout,
    columns: WorldModelColumns,
    measured: Measured,
    steps: int,
    enabled: bool,
    gradients: dict[str, float | None],
    end_id: int,
) -> dict[str, Any]:
    """What an update was like.

    `steps`: optimizer steps of an update, over which TRL's metrics and the RL loss are averaged. `enabled`: whether the
    term was trained in this update. `gradients`: norms of its two parts and their cosine, where it measured them.
    `end_id`: the token that ends an action that was not cut off.
    """
    step_logs = measured.step_logs
    episodes, turns = rollout.episodes, [turn for episode in rollout.episodes for turn in episode.turns]
    total = time.monotonic() - rollout.started
    return {
        "update": update,
        "episodes": len(episodes),
        "tasks": len({episode.task_id for episode in episodes}),
        "success": fmean(episode.success for episode in episodes),
        "reward": fmean(episode.env_return for episode in episodes),
        "penalty": fmean(episode.penalty for episode in episodes),
        "turns": len(turns) / len(episodes),
        "accepted_share": fmean(turn.accepted for turn in turns),
        "valid_share": fmean(turn.valid for turn in turns),
        "cut_share": fmean(turn.action_ids[-1] != end_id for turn in turns),
        "repeated_share": _repeated_turns(episodes) / len(turns),
        "events": _events(episodes, end_id),
        "loss": _mean(step_logs, "loss"),
        "rl_loss": measured.rl_loss / steps,
        "kl": _mean(step_logs, "kl"),
        "entropy": _mean(step_logs, "entropy"),
        "clip_ratio": _mean(step_logs, "clip_ratio/region_mean"),
        "value_loss": _mean(step_logs, "value_loss"),
        "explained_variance": _mean(step_logs, "explained_variance"),
        "grad_norm": _mean(step_logs, "grad_norm"),
        "gradients": gradients,
        "learning_rate": step_logs[-1]["learning_rate"],
        "logprob_gap": measured.logprob_gap,
        "tokens": _tokens_by_source(rollout.rows),
        "rows": len(rollout.rows),
        "padding_share": 1.0 - measured.tokens / measured.positions,
        "seconds": {"rollout": rollout.seconds, "train": total - rollout.seconds, "total": total},
        "peak_memory_mb": peak_memory_mb(),
        "redone_episodes": sum(episode.redone for episode in episodes),
        "wm": _world_model(columns, measured.diagnostics, enabled),
        "time": time.time(),
    }


def _world_model(columns: WorldModelColumns, diagnostics: Diagnostics, enabled: bool) -> dict[str, float | None]:
    tokens = diagnostics.tokens
    return {
        "weight": columns.lambda_mean if enabled else 0.0,
        "loss": diagnostics.loss,
        "lambda_mean": columns.lambda_mean,
        "selected_share": columns.selected_share,
        "clipped_share": diagnostics.clipped / max(diagnostics.selected_tokens, 1.0),
        "perplexity": math.exp(diagnostics.nll / tokens) if tokens else None,
    }


def _events(episodes: Sequence[Episode], end_id: int) -> dict[str, int]:
    """How often what should not happen did: turns, and of the last kind episodes."""
    turns = [turn for episode in episodes for turn in episode.turns]
    return {
        "missing_end": sum(turn.action_ids[-1] != end_id for turn in turns),
        "empty_reply": sum(turn.action_ids == [end_id] for turn in turns),
        "history_dropped": sum(turn.dropped_turns > 0 for turn in turns),
        "prompt_cut": sum(turn.cut_tokens > 0 for turn in turns),
        "observation_cut": sum(turn.unread_tokens > 0 for turn in turns),
        "outgrown": sum(episode.outgrown for episode in episodes),
    }


def _repeated_turns(episodes: Sequence[Episode]) -> int:
    """Turns that do what an earlier turn of their episode did, and are told the same."""
    different = sum(len({(turn.action_text, turn.observation_text) for turn in e.turns}) for e in episodes)
    return sum(len(episode.turns) for episode in episodes) - different


def _mean(logs: Sequence[Mapping[str, float | None]], key: str) -> float | None:
    values = [value for log in logs if (value := log.get(key)) is not None]
    return fmean(values) if values else None


def _tokens_by_source(rows: Sequence[Row]) -> dict[str, int]:
    counts = {source: sum(row.sources.count(source) for row in rows) for source in Source}
    counts[Source.PROMPT] += sum(len(row.prompt_ids) for row in rows)
    return {source.name.lower(): count for source, count in counts.items()}
