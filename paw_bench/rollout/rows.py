"""Episodes become training rows: one an episode (`full`) or one a transition (`window`)."""

from __future__ import annotations

from dataclasses import dataclass

from paw_bench.rollout.episode import Episode, Source


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence of the training batch. The four lists after `completion_ids` have its length."""

    episode: int
    """Index of the episode in the update, episodes sorted by (group, index)."""
    group: int
    turn: int
    """The transition's turn (`window`), or -1 (`full`: all turns)."""
    prompt_ids: list[int]
    completion_ids: list[int]
    sources: list[Source]
    segments: list[int]
    """Turn that each token belongs to: an action and the observation that answers it share one."""
    logprobs: list[float]
    """Log-probability of each action token under the policy that sampled it; 0 elsewhere."""
    entropies: list[float]
    """Full-vocabulary entropy (nats) where each action token was sampled; 0 elsewhere."""

    @property
    def action_mask(self) -> list[int]:
        """1 on the completion's action tokens."""
        return [int(source == Source.ACTION) for source in self.sources]

    @property
    def action_turns(self) -> list[int]:
        """The turn of each action token."""
        return [turn for turn, source in zip(self.segments, self.sources, strict=True) if source == Source.ACTION]


def rows_of(episodes: list[Episode], mode: str) -> list[Row]:
    """Rows of an update, sorted by (group, index, turn). `mode` is `full` or `window`."""
    ordered = sorted(episodes, key=lambda episode: (episode.group, episode.index))
    build = _window_rows if mode == "window" else _full_row
    return [row for number, episode in enumerate(ordered) for row in build(number, episode)]


class _Completion:
    """The growing completion of one row: five lists of equal length."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.sources: list[Source] = []
        self.segments: list[int] = []
        self.logprobs: list[float] = []
        self.entropies: list[float] = []

    def add(
        self,
        ids: list[int],
        source: Source,
        segment: int,
        logprobs: list[float] | None = None,
        entropies: list[float] | None = None,
    ) -> None:
        self.ids += ids
        self.sources += [source] * len(ids)
        self.segments += [segment] * len(ids)
        self.logprobs += logprobs if logprobs is not None else [0.0] * len(ids)
        self.entropies += entropies if entropies is not None else [0.0] * len(ids)


def _window_rows(number: int, episode: Episode) -> list[Row]:
    rows = []
    for index, turn in enumerate(episode.turns):
        completion = _Completion()
        completion.add(turn.action_ids, Source.ACTION, index, turn.action_logprobs, turn.action_entropies)
        completion.add(turn.separator_ids, Source.TEMPLATE, index)
        completion.add(turn.observation_ids, Source.OBSERVATION, index)
        completion.add(turn.closing_ids, Source.TEMPLATE, index)
        rows.append(_row(number, episode.group, index, turn.context_ids, completion))
    return rows


def _full_row(number: int, episode: Episode) -> list[Row]:
    completion = _Completion()
    prompt_ids = episode.turns[0].context_ids
    for index, turn in enumerate(episode.turns):
        # What lies between the previous observation and this action is the template that opens the turn.
        opening = turn.context_ids[len(prompt_ids) + len(completion.ids) :]
        completion.add(opening, Source.TEMPLATE, index)
        completion.add(turn.action_ids, Source.ACTION, index, turn.action_logprobs, turn.action_entropies)
        completion.add(turn.separator_ids, Source.TEMPLATE, index)
        completion.add(turn.observation_ids, Source.OBSERVATION, index)
        completion.add(turn.closing_ids, Source.TEMPLATE, index)
    return [_row(number, episode.group, -1, prompt_ids, completion)]


def _row(episode: int, group: int, turn: int, prompt_ids: list[int], completion: _Completion) -> Row:
    return Row(
        episode=episode,
        group=group,
        turn=turn,
        prompt_ids=prompt_ids,
        completion_ids=completion.ids,
        sources=completion.sources,
        segments=completion.segments,
        logprobs=completion.logprobs,
        entropies=completion.entropies,
    )
