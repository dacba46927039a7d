"""A turn in words: the prompt of each style, and the action in a reply.

`chat` follows the content of the prompts of the paper's setting (role, task, steps taken, the last k observation-action
pairs, current observation, admissible actions; reply with think and action tags). `compact` says the same in the few
tokens that a model of a million parameters reads: no instructions, the room's places once, the other admissible actions
grouped by verb, the reply is the action itself. What differs between environments is in `paw_bench.envs.words`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby

from paw_bench.config.schema import PromptConfig
from paw_bench.envs.alfworld.definition import ALFWORLD
from paw_bench.envs.words import Words

_UNLISTED = ("look", "inventory", "help")
"""Actions that the compact style leaves out of its list (they stay playable)."""


@dataclass(slots=True)
class Dialogue:
    """What has been said in one episode so far, in text."""

    opening: str
    admissible: tuple[str, ...]
    history: list[tuple[str, str]] = field(default_factory=list)
    """(action, observation that answered it), oldest first."""
    words: Words = ALFWORLD.words
    """How the environment wants its turns told."""
    places: tuple[str, ...] = field(init=False)
    """Where one can go: the receptacles of the room, the one where the agent stands included."""

    def __post_init__(self) -> None:
        self.places = tuple(action[6:] for action in self.admissible if action.startswith("go to "))

    @property
    def task(self) -> str:
        """The instruction, e.g. `put a clean apple in fridge`."""
        found = self.words.instruction.search(self.opening)
        return found.group(1).strip() if found else self.opening.strip()

    @property
    def room(self) -> str:
        """The opening observation without the instruction."""
        return self.words.instruction.sub("", self.opening).strip()

    def answer(self, action: str, observation: str, admissible: tuple[str, ...]) -> None:
        """Record a played action and what came back."""
        self.history.append((action, observation))
        self.admissible = admissible


def window_prompt(dialogue: Dialogue, prompt: PromptConfig, turns: int) -> str:
    """User message of a windowed row: the last `turns` turns and the current observation."""
    return (_compact if prompt.style == "compact" else _chat)(dialogue, prompt, turns)


def opening_prompt(dialogue: Dialogue, prompt: PromptConfig) -> str:
    """First user message of a full-context episode."""
    return (_compact if prompt.style == "compact" else _chat)(dialogue, prompt, 0)


def admissible_suffix(dialogue: Dialogue, prompt: PromptConfig) -> str:
    """What follows an observation in a full-context episode: the admissible actions, or nothing."""
    if not (prompt.admissible and dialogue.words.listed):
        return ""
    if prompt.style == "compact":
        return "\n" + _compact_list(dialogue)
    return "\nYour admissible actions of the current situation are: " + _listed(dialogue.admissible) + "."


def action_of(reply: str, prompt: PromptConfig, words: Words = ALFWORLD.words) -> tuple[str, bool]:
    """The action in a reply, and whether the reply has the required form (think and action tags, for `chat`)."""
    if prompt.style == "compact":
        return reply.strip(), True
    found = _tagged(words.tags).search(reply)
    if found:
        tag, said = found.group(1).lower(), found.group(2).strip().lower()
        return said if len(words.tags) == 1 else f"{tag}[{said}]", True
    # What is played when the tags are missing: the end of the reply, as agents of this setting do.
    return reply.strip().lower()[-30:], False


def said_as(action: str, prompt: PromptConfig, words: Words) -> str:
    """An action as the policy would have to write it: what `action_of` reads back."""
    if prompt.style == "compact":
        return action
    tag, said = words.tags[0], action
    if len(words.tags) > 1:
        tag, _, said = action.removesuffix("]").partition("[")
    return f"<think></think><{tag}>{said}</{tag}>"


def grouped_by_verb(admissible: tuple[str, ...]) -> str:
    """`open fridge 1; take apple 1 egg 2`: the admissible actions at this place, each verb said once."""
    here = (action for action in admissible if action not in _UNLISTED and not action.startswith("go to "))
    groups = groupby(sorted(_verb_and_object(action) for action in here), key=lambda pair: pair[0])
    return "; ".join(f"{verb} " + " ".join(what for _, what in pairs) for verb, pairs in groups)


@cache
def _tagged(tags: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"<think>.*?</think>.*?<({'|'.join(tags)})>(.*?)</\1>", re.DOTALL | re.IGNORECASE)


def _compact_list(dialogue: Dialogue) -> str:
    return grouped_by_verb(dialogue.admissible) if dialogue.words.by_verb else "; ".join(dialogue.admissible)


def _verb_and_object(action: str) -> tuple[str, str]:
    """`take apple 1 from fridge 1` -> (`take`, `apple 1`): the receptacle is where the agent stands."""
    verb, rest = action.split(" ", 1)
    return verb, re.split(r" (?:from|to|with|in/on) ", rest)[0]


def _compact(dialogue: Dialogue, prompt: PromptConfig, turns: int) -> str:
    first = max(0, len(dialogue.history) - turns)
    lines = [dialogue.task]
    listed = prompt.admissible and dialogue.words.listed
    opening = dialogue.room
    if listed and dialogue.words.by_verb:
        # The list of places says what the opening says of the room.
        lines.append("go to " + " ".join(dialogue.places))
        opening = opening.split(".")[0] + "."
    lines.append(dialogue.history[first - 1][1] if first else opening)
    for action, observation in dialogue.history[first:]:
        lines += ["> " + " ".join(action.split()), observation]
    if listed:
        lines.append(_compact_list(dialogue))
    return "\n".join(lines)


def _chat(dialogue: Dialogue, prompt: PromptConfig, turns: int) -> str:
    steps = len(dialogue.history)
    first = max(0, steps - turns)
    observations = [dialogue.room] + [observation for _, observation in dialogue.history]
    parts = [
        dialogue.words.role,
        dialogue.words.task.format(dialogue.task),
    ]
    if steps:
        parts.append(f"Prior to this step, you have already taken {steps} step(s).")
    if first < steps:
        pairs = [
            # Quoted as Python quotes, so that an action cannot end its own quotation and go on as an observation.
            f"[Observation {index + 1}: '{observations[index]}', Action {index + 1}: {dialogue.history[index][0]!r}]"
            for index in range(first, steps)
        ]
        parts.append(f"Below are the most recent {steps - first} observations and actions: " + " ".join(pairs))
    parts.append(f"You are now at step {steps + 1} and your current observation is: {observations[-1]}")
    if prompt.admissible and dialogue.words.listed:
        parts.append(f"Your admissible actions of the current situation are: {_listed(dialogue.admissible)}.")
    parts.append(dialogue.words.ask)
    return "\n".join(parts)


def _listed(admissible: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{action}'" for action in admissible if action != "help") + "]"
