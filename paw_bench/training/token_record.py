"""A few training episodes as their rows, token by token: what `paw-bench tokens` shows."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from paw_bench.evaluation.samples import choose
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.episode import Episode, Source
from paw_bench.rollout.rows import Row, rows_of


def records(
    episodes: list[Episode], *, update: int, codec: TurnCodec, mode: str, why: str | None = None
) -> list[dict[str, Any]]:
    """One record an episode (`docs/architecture.md`, `tokens.jsonl`).

    `episodes`: those of an update, of which `choose` takes up to three; with a reason `why`, those that it is about.
    """
    chosen = [(why, episode) for episode in episodes] if why else _of_update(episodes)
    return [
        {
            "update": update,
            "chosen": reason,
            "task_id": episode.task_id,
            "task_type": episode.task_type,
            "group": episode.group,
            "index": episode.index,
            "success": episode.success,
            "reward": episode.env_return,
            "rows": [{"turn": row.turn, "spans": _spans(row, codec)} for row in rows_of([episode], mode)],
        }
        for reason, episode in chosen
    ]


def _of_update(episodes: list[Episode]) -> list[tuple[str, Episode]]:
    return [(reason.replace("panel", "update"), episode) for reason, episode in choose(episodes)]


def _spans(row: Row, codec: TurnCodec) -> list[dict[str, Any]]:
    """The row's tokens in runs of one source and turn; log-probabilities where they were sampled."""
    pieces = codec.pieces(row.prompt_ids + row.completion_ids)
    start = len(row.prompt_ids)
    spans: list[dict[str, Any]] = [{"source": "prompt", "turn": max(row.turn, 0), "tokens": pieces[:start]}]
    labels = list(zip(row.sources, row.segments, strict=True))
    for (source, turn), places in groupby(range(len(labels)), key=lambda place: labels[place]):
        at = list(places)
        span = {"source": Source(source).name.lower(), "turn": turn, "tokens": [pieces[start + place] for place in at]}
        if source == Source.ACTION:
            span["logprobs"] = [round(row.logprobs[place], 3) for place in at]
        spans.append(span)
    return spans
