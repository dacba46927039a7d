"""Demonstrated episodes become supervised examples in exactly the form in which the policy will read and write."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from paw_bench.config.schema import ContextConfig, PromptConfig
from paw_bench.envs.words import Words
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.fitting import Room
from paw_bench.rollout.prompts import Dialogue, window_prompt


@dataclass(frozen=True, slots=True)
class DemonstratedTurn:
    """One step: what the demonstrator would do, what was played (now and then something worse), what came back."""

    choices: tuple[str, ...]
    """The demonstrator's action, or the actions among which it is indifferent."""
    played: str
    observation: str
    admissible: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One episode of the demonstrator."""

    task_id: str
    task_type: str
    opening: str
    admissible: tuple[str, ...]
    turns: tuple[DemonstratedTurn, ...]
    success: bool
    words: Words

    def dialogue(self) -> Dialogue:
        """What has been said before the first turn."""
        return Dialogue(self.opening, self.admissible, words=self.words)


@dataclass(frozen=True, slots=True)
class Example:
    """Prompt, demonstrated action, and (where the demonstrator played on) the next observation."""

    prompt_ids: list[int]
    action_ids: list[int]
    observation_ids: list[int]
    place_ids: list[int]
    """A search: the equally good tokens at the action's second position (place, direction). Else empty."""


def texts_of(demonstration: Demonstration, prompt: PromptConfig, context: ContextConfig) -> list[str]:
    """Every text of the demonstration that the tokenizer will meet: prompts, actions and observations."""
    texts = []
    dialogue = demonstration.dialogue()
    for turn in demonstration.turns:
        texts += [window_prompt(dialogue, prompt, context.turns), *turn.choices, turn.observation]
        dialogue.answer(turn.played, turn.observation, turn.admissible)
    return texts


def examples_of(
    demonstration: Demonstration, tokenizer: PreTrainedTokenizerFast, prompt: PromptConfig, context: ContextConfig
) -> list[Example]:
    """Examples of a demonstration. A played mistake is context for the next turn, never a target.

    Searching turns (`go to` any of several places) teach the demonstrator's distribution instead of its draw: a place
    is one token, so the distribution is over the tokens of one position.
    """
    codec = TurnCodec(tokenizer, prompt, context)
    room = Room(codec, longest=None)
    dialogue = demonstration.dialogue()
    examples = []
    for turn in demonstration.turns:
        followed = turn.played in turn.choices
        action = turn.played if followed else turn.choices[0]
        examples.append(
            Example(
                prompt_ids=room.window(dialogue).ids,
                action_ids=[*codec.encode(action), tokenizer.eos_token_id],
                observation_ids=codec.separator(ended=True) + codec.encode(turn.observation) if followed else [],
                place_ids=[codec.encode(choice)[1] for choice in turn.choices] if len(turn.choices) > 1 else [],
            )
        )
        dialogue.answer(turn.played, turn.observation, turn.admissible)
    return examples
