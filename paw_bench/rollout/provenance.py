"""Where every token of an update comes from, proved before it is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from paw_bench.rollout.episode import Episode, Source, Turn, receipt_of
from paw_bench.rollout.rows import Row

_PARTIAL = "\N{REPLACEMENT CHARACTER}"
"""What an observation may end in that was cut within a character."""


class Violation(NamedTuple):
    """What is wrong, in words, and the episode that it is about (None: no single one)."""

    words: str
    episode: Episode | None


class Provenance:
    """Compares training rows with what engine and environments gave. Cheap enough for every update."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        # The same few observations make up most of an update.
        self._says_cached = lru_cache(maxsize=50_000)(self._says)

    def violation(self, rows: Sequence[Row], episodes: Sequence[Episode]) -> Violation | None:
        """What is wrong first, or None.

        `rows`: those of `episodes`, which are sorted by (group, index). In each row, every token has one source; action
        tokens are those that the engine sampled, with its log-probabilities, in the context that the row has before
        them; observation tokens say the environment's text.
        """
        for row in rows:
            episode = episodes[row.episode]
            problem = self._of_row(row, episode)
            if problem:
                turn = f", turn {row.turn + 1}" if row.turn >= 0 else ""
                where = f"episode {row.group}/{episode.index} of task {episode.task_id}{turn}"
                return Violation(f"{where}: {problem}", episode)
        found = sum(row.sources.count(Source.ACTION) for row in rows)
        sampled = sum(len(turn.action_ids) for episode in episodes for turn in episode.turns)
        if found == sampled:
            return None
        return Violation(f"{sampled} tokens were sampled, and {found} are in the rows", None)

    def _of_row(self, row: Row, episode: Episode) -> str | None:
        columns = (row.sources, row.segments, row.logprobs, row.entropies)
        if any(len(column) != len(row.completion_ids) for column in columns):
            return "a token without a source, or a source without a token"
        turns = range(len(episode.turns)) if row.turn < 0 else [row.turn]
        ids, at = row.prompt_ids + row.completion_ids, len(row.prompt_ids)
        for number in turns:
            turn = episode.turns[number]
            # Template up to the action, the action, template, the observation, template: nothing else, in this order.
            ends = [at]
            for source in (Source.TEMPLATE, Source.ACTION, Source.TEMPLATE, Source.OBSERVATION, Source.TEMPLATE):
                ends.append(self._end_of(row, number, source, ends[-1]))
            _, context, action, separator, observation, at = ends
            if ids[:context] != turn.context_ids:
                return f"the context of action {number + 1} is not the one that it was sampled in"
            first = len(row.prompt_ids)
            if turn.receipt != receipt_of(ids[context:action], row.logprobs[context - first : action - first]):
                return f"action {number + 1} or its log-probabilities are not what the engine sampled"
            if not self._tells(turn, ids[separator:observation]):
                return f"the observation after action {number + 1} is not the environment's text"
        return None if at == len(ids) else f"{len(ids) - at} tokens that belong to no turn"

    @staticmethod
    def _end_of(row: Row, turn: int, source: Source, start: int) -> int:
        """Where the tokens of `turn` from `source` end that begin at position `start` of the whole row."""
        at = start - len(row.prompt_ids)
        while at < len(row.sources) and row.sources[at] == source and row.segments[at] == turn:
            at += 1
        return at + len(row.prompt_ids)

    def _tells(self, turn: Turn, ids: list[int]) -> bool:
        return self._says_cached(tuple(ids), turn.observation_text + turn.listed_text, turn.unread_tokens > 0)

    def _says(self, ids: tuple[int, ...], text: str, cut: bool) -> bool:
        """Whether `ids` say `text`, or its beginning where it was `cut`."""
        if self._decoded(ids) == text:
            return True
        if cut:
            return text.startswith(self._decoded(ids).rstrip(_PARTIAL))
        # A tokenizer that does not write back what it reads (one that normalises, say) is taken at its own word.
        return self._decoded(ids) == self._decoded(
            tuple(self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))
        )

    def _decoded(self, ids: tuple[int, ...]) -> str:
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
