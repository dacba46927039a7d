"""Room for prompts and observations: what is left out where they are too long, and the mark that says so."""

from __future__ import annotations

from dataclasses import dataclass

from paw_bench.errors import UserError
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.prompts import Dialogue

MARK = "\n[...]\n"
"""Stands where text was cut out. Its tokens are the template's: neither sampled nor a target."""
_HEAD = 4
"""A cut prompt keeps the first 1/4 of what fits, which holds the task, and the end, which asks for the action."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the policy reads before an action."""

    ids: list[int]
    dropped: int = 0
    """Turns of history that were left out for room."""
    cut: int = 0
    """Tokens that were cut out beyond that; a mark stands in their place."""


class Room:
    """What fits into a prompt and after a reply.

    A row is what the policy reads, its reply, the glue and the observation. No row is longer than `longest`, the tokens
    that the model can read at once (None: any number).
    """

    def __init__(self, codec: TurnCodec, longest: int | None) -> None:
        self._codec = codec
        self._mark = codec.encode(MARK)
        context = codec.context
        # Whatever the reply, a mark can follow it.
        self.after_prompt = context.max_response_tokens + len(codec.separator(ended=False)) + len(self._mark)
        self._longest = longest
        left = None if longest is None else longest - self.after_prompt
        full = context.mode == "full"
        self._prompt = left if full else min(context.max_prompt_tokens, left or context.max_prompt_tokens)
        least = len(self._mark) + 2
        if left is not None and left < least:
            raise UserError(
                f"context.max_response_tokens: {context.max_response_tokens} leaves no room for a prompt, because the "
                f"model reads {longest} tokens at once",
                f"set it to at most {max(1, context.max_response_tokens + left - least)}, or choose another model",
            )
        if self._prompt is not None and self._prompt < least:
            raise UserError(
                f"context.max_prompt_tokens: {context.max_prompt_tokens} has no room for a cut prompt and its mark",
                f"set it to {least} or more",
            )

    def window(self, dialogue: Dialogue) -> Prompt:
        """The windowed prompt. An over-long one loses history, oldest first, and then its middle."""
        shown = min(self._codec.context.turns, len(dialogue.history))
        ids = self._codec.window_ids(dialogue)
        left = shown
        while self._prompt is not None and len(ids) > self._prompt and left > 0:
            left -= 1
            ids = self._codec.window_ids(dialogue, left)
        return self._without_middle(ids, dropped=shown - left)

    def opening(self, dialogue: Dialogue) -> Prompt:
        """The prompt of a full-context episode. An over-long one loses its middle."""
        return self._without_middle(self._codec.opening_ids(dialogue))

    def another_turn(self, context: list[int]) -> bool:
        """Whether a full context leaves room for a reply."""
        return self._prompt is None or len(context) <= self._prompt

    def observation(self, before: int, ids: list[int]) -> tuple[list[int], list[int], int]:
        """(what fits of an observation, the mark after it, tokens left out); `before`: tokens of the row before it."""
        if self._longest is None or before + len(ids) <= self._longest:
            return ids, [], 0
        kept = self._longest - before - len(self._mark)
        return ids[:kept], list(self._mark), len(ids) - kept

    def _without_middle(self, ids: list[int], dropped: int = 0) -> Prompt:
        if self._prompt is None or len(ids) <= self._prompt:
            return Prompt(ids, dropped)
        kept = self._prompt - len(self._mark)
        head = kept // _HEAD
        return Prompt([*ids[:head], *self._mark, *ids[len(ids) - kept + head :]], dropped, len(ids) - kept)
