"""Text to tokens, once: prompts, observations and the glue between turns, by the model's own chat template."""

from __future__ import annotations

from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from paw_bench.config.schema import ContextConfig, PromptConfig
from paw_bench.errors import UserError
from paw_bench.rollout.episode import Turn
from paw_bench.rollout.prompts import Dialogue, admissible_suffix, opening_prompt, window_prompt

_ACTION, _OBSERVATION = "\x11", "\x12"
"""Stand-ins that occur in no observation; what the template puts around them is the glue."""


class TurnCodec:
    """Encodes the parts of a turn for one tokenizer and prompt form.

    Glue is read off the tokenizer's chat template: what it writes between an assistant message and the user message
    that follows, and between that and the next assistant message.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt: PromptConfig, context: ContextConfig) -> None:
        if tokenizer.chat_template is None:
            raise UserError(
                f"model.name: the tokenizer of {tokenizer.name_or_path!r} has no chat template",
                "choose an instruction-tuned model, or save a chat_template with its tokenizer",
            )
        self.tokenizer = tokenizer
        self.prompt = prompt
        self.context = context
        self.end_id = tokenizer.eos_token_id
        rendered = self._render(
            [
                {"role": "user", "content": "-"},
                {"role": "assistant", "content": _ACTION},
                {"role": "user", "content": _OBSERVATION},
            ]
        )
        after_action, opens_turn = rendered.split(_ACTION)[1].split(_OBSERVATION)
        self._after_action = self.encode(after_action)
        self._opens_turn = opens_turn
        self._user_glue = self._render([{"role": "user", "content": _OBSERVATION}]).split(_OBSERVATION)
        added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
        self._special = {*tokenizer.all_special_tokens, *added}
        self.told_cached = lru_cache(maxsize=50_000)(lambda text: tuple(self.told_ids(text)))
        self._pieces_cached = lru_cache(maxsize=10_000)(self._pieces)

    def encode(self, text: str) -> list[int]:
        """Tokens of the template's own `text`, no special tokens added."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def told_ids(self, text: str) -> list[int]:
        """Tokens of what an environment or an agent said: no part of it counts as one of the template's tokens."""
        return list(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def decode(self, ids: list[int]) -> str:
        """Text of sampled tokens, special tokens left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def pieces(self, ids: list[int]) -> list[str]:
        """What each token adds to the text of all, special tokens included; their sum is that text.

        A token that ends within a character adds nothing, the one that completes it adds the character.
        """
        return list(self._pieces_cached(tuple(ids)))

    def _pieces(self, ids: tuple[int, ...]) -> tuple[str, ...]:
        alone = [str(piece) for piece in self.tokenizer.batch_decode([[token] for token in ids])]
        if "".join(alone) == self.tokenizer.decode(list(ids)):
            return tuple(alone)
        said, found = "", []
        for end in range(1, len(ids) + 1):
            text = str(self.tokenizer.decode(list(ids[:end])))
            partial = text.endswith("\N{REPLACEMENT CHARACTER}") and end < len(ids)
            found.append("" if partial else text[len(said) :])
            said = said if partial else text
        return tuple(found)

    def window_ids(self, dialogue: Dialogue, turns: int | None = None) -> list[int]:
        """Prompt of a windowed row with the last `turns` turns (None: as many as the config says)."""
        turns = self.context.turns if turns is None else turns
        return self._user_message(window_prompt(dialogue, self.prompt, turns))

    def opening_ids(self, dialogue: Dialogue) -> list[int]:
        """Prompt of a full-context episode."""
        return self._user_message(opening_prompt(dialogue, self.prompt))

    def separator(self, *, ended: bool) -> list[int]:
        """Glue between an action and its observation; `ended`: the policy sampled its end token itself."""
        glue = self._after_action
        return glue[1:] if ended and glue[:1] == [self.end_id] else list(glue)

    def observation_ids(self, text: str) -> list[int]:
        """Tokens of an observation (the same text recurs often)."""
        return list(self.told_cached(text))

    def turn_opening(self, dialogue: Dialogue, *, listed: bool = False) -> list[int]:
        """Full context: what follows an observation until the next action (admissible actions and template).

        `listed`: the observation's own tokens list the admissible actions already.
        """
        return self._around("", "" if listed else admissible_suffix(dialogue, self.prompt), self._opens_turn)

    def told_turn(self, context: list[int], reply: str, observation: str, *, action: str | None = None) -> Turn:
        """A turn whose text is known, so that nothing was sampled: log-probabilities and entropies are 0.

        `reply` is what the policy would have written after `context`, `action` what the environment made of it (None:
        the same), `observation` what it answered.
        """
        ids = [*self.told_ids(reply), self.end_id]
        return Turn(
            context_ids=context,
            action_ids=ids,
            action_logprobs=[0.0] * len(ids),
            action_entropies=[0.0] * len(ids),
            action_text=reply if action is None else action,
            observation_text=observation,
            observation_ids=self.observation_ids(observation),
            separator_ids=self.separator(ended=True),
            reward=0.0,
            penalty=0.0,
            valid=True,
            accepted=True,
        )

    def _user_message(self, text: str) -> list[int]:
        before, after = self._user_glue
        return self._around(before, text, after)

    def _around(self, before: str, text: str, after: str) -> list[int]:
        """Tokens of `text` between two parts of the template."""
        if not any(token in text for token in self._special):
            return self.encode(before + text + after)
        return self.encode(before) + self.told_ids(text) + self.encode(after)

    def _render(self, messages: list[dict[str, str]]) -> str:
        return str(self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
