"""A turn in words: the prompt of each style, and the action in a reply.

`chat` follows the content of the prompts of the paper's setting (role, task, steps taken, the last k observation-action
pairs, current observation, admissible actions; reply with think and action tags). `compact` says the same in the few
tokens that a model of a million parameters reads: no instructions, the room's places once, the other admissible actions
grouped by verb, the reply is the action itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby

from paw_bench.config.schema import PromptConfig

_TASK = re.compile(r"Your task is to: (.*?)\.?\s*$", re.DOTALL)
_ACTION_TAGS = re.compile(r"<think>.*?</think>.*?<action>(.*?)</action>", re.DOTALL | re.IGNORECASE)
_UNLISTED = ("look", "inventory", "help")
"""Actions that the compact style leaves out of its list (they stay playable)."""


@dataclass(slots=True)
class Dialogue:
    """What has been said in one episode so far, in text."""

    opening: str
    admissible: tuple[str, ...]
    history: list[tuple[str, str]] = field(default_factory=list)
    """(action, observation that answered it), oldest first."""
    places: tuple[str, ...] = field(init=False)
    """Where one can go: the receptacles of the room, the one where the agent stands included."""

    def __post_init__(self) -> None:
        self.places = tuple(action[6:] for action in self.admissible if action.startswith("go to "))

    @property
    def task(self) -> str:
        """The instruction, e.g. `put a clean apple in fridge`."""
        found = _TASK.search(self.opening)
        return found.group(1).strip() if found else self.opening.strip()

    @property
    def room(self) -> str:
        """The opening observation without the instruction."""
        return _TASK.sub("", self.opening).strip()

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
    if not prompt.admissible:
        return ""
    if prompt.style == "compact":
        return "\n" + grouped_by_verb(dialogue.admissible)
    return "\nYour admissible actions of the current situation are: " + _listed(dialogue.admissible) + "."


def action_of(reply: str, prompt: PromptConfig) -> tuple[str, bool]:
    """The action in a reply, and whether the reply has the required form (think and action tags, for `chat`)."""
    if prompt.style == "compact":
        return reply.strip(), True
    found = _ACTION_TAGS.search(reply)
    if found:
        return found.group(1).strip().lower(), True
    # What is played when the tags are missing: the end of the reply, as agents of this setting do.
    return reply.strip().lower()[-30:], False


def grouped_by_verb(admissible: tuple[str, ...]) -> str:
    """`open fridge 1; take apple 1 egg 2`: the admissible actions at this place, each verb said once."""
    here = (action for action in admissible if action not in _UNLISTED and not action.startswith("go to "))
    groups = groupby(sorted(_verb_and_object(action) for action in here), key=lambda pair: pair[0])
    return "; ".join(f"{verb} " + " ".join(what for _, what in pairs) for verb, pairs in groups)


def _verb_and_object(action: str) -> tuple[str, str]:
    """`take apple 1 from fridge 1` -> (`take`, `apple 1`): the receptacle is where the agent stands."""
    verb, rest = action.split(" ", 1)
    return verb, re.split(r" (?:from|to|with|in/on) ", rest)[0]


def _compact(dialogue: Dialogue, prompt: PromptConfig, turns: int) -> str:
    first = max(0, len(dialogue.history) - turns)
    lines = [dialogue.task]
    # The list of places says what the opening says of the room.
    if prompt.admissible:
        lines.append("go to " + " ".join(dialogue.places))
        opening = dialogue.room.split(".")[0] + "."
    else:
        opening = dialogue.room
    lines.append(dialogue.history[first - 1][1] if first else opening)
    for action, observation in dialogue.history[first:]:
        lines += [f"> {action}", observation]
    if prompt.admissible:
        lines.append(grouped_by_verb(dialogue.admissible))
    return "\n".join(lines)


def _chat(dialogue: Dialogue, prompt: PromptConfig, turns: int) -> str:
    steps = len(dialogue.history)
    first = max(0, steps - turns)
    observations = [dialogue.room] + [observation for _, observation in dialogue.history]
    parts = [
        "You are an expert agent operating in the ALFRED Embodied Environment.",
        f"Your task is to: {dialogue.task}.",
    ]
    if steps:
        parts.append(f"Prior to this step, you have already taken {steps} step(s).")
    if first < steps:
        pairs = [
            f"[Observation {index + 1}: '{observations[index]}', Action {index + 1}: '{dialogue.history[index][0]}']"
            for index in range(first, steps)
        ]
        parts.append(f"Below are the most recent {steps - first} observations and actions: " + " ".join(pairs))
    parts.append(f"You are now at step {steps + 1} and your current observation is: {observations[-1]}")
    if prompt.admissible:
        parts.append(f"Your admissible actions of the current situation are: {_listed(dialogue.admissible)}.")
    parts.append(
        "Now take an action. First reason step by step about the situation, inside <think> </think> tags. Then choose "
        "one admissible action and give it inside <action> </action> tags."
    )
    return "\n".join(parts)


def _listed(admissible: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{action}'" for action in admissible if action != "help") + "]"
