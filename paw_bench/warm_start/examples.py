"""Demonstrated episodes become supervised examples in exactly the form in which the policy will read and write."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from paw_bench.config.schema import ContextConfig, PromptConfig
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.prompts import Dialogue, window_prompt


@dataclass(frozen=True, slots=True)
class DemonstratedTurn:
    """One step: what the demonstrator would do, what was played (now and then something worse), what came back."""

    demonstrated: str
    played: str
    observation: str
    admissible: tuple[str, ...]
    searching: bool
    """Whether the demonstrated action is a random choice among places."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One episode of the demonstrator."""

    task_id: str
    task_type: str
    opening: str
    admissible: tuple[str, ...]
    turns: tuple[DemonstratedTurn, ...]
    success: bool


@dataclass(frozen=True, slots=True)
class Example:
    """Prompt, demonstrated action, and (where the demonstrated action was the one played) the next observation."""

    prompt_ids: list[int]
    action_ids: list[int]
    observation_ids: list[int]
    weight: float
    """Weight of the action's tokens: a blind search's random choice teaches less than a purposeful action."""


def texts_of(demonstration: Demonstration, prompt: PromptConfig, context: ContextConfig) -> list[str]:
    """Every text of the demonstration that the tokenizer will meet: prompts, actions and observations."""
    texts = []
    dialogue = Dialogue(demonstration.opening, demonstration.admissible)
    for turn in demonstration.turns:
        texts += [window_prompt(dialogue, prompt, context.turns), turn.demonstrated, turn.observation]
        dialogue.answer(turn.played, turn.observation, turn.admissible)
    return texts


def examples_of(
    demonstration: Demonstration,
    tokenizer: PreTrainedTokenizerFast,
    prompt: PromptConfig,
    context: ContextConfig,
    search_weight: float,
) -> list[Example]:
    """Examples of a demonstration. A played mistake is context for the next turn, never a target."""
    codec = TurnCodec(tokenizer, prompt, context)
    dialogue = Dialogue(demonstration.opening, demonstration.admissible)
    examples = []
    for turn in demonstration.turns:
        followed = turn.played == turn.demonstrated
        examples.append(
            Example(
                prompt_ids=codec.window_ids(dialogue),
                action_ids=[*codec.encode(turn.demonstrated), tokenizer.eos_token_id],
                observation_ids=codec.separator(ended=True) + codec.encode(turn.observation) if followed else [],
                weight=search_weight if turn.searching else 1.0,
            )
        )
        dialogue.answer(turn.played, turn.observation, turn.admissible)
    return examples
