"""How an environment's turns are put into words: what `paw_bench.rollout.prompts` does not know of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """The environment's part of a prompt, and the tags of a reply."""

    role: str
    """Who the agent is: the first sentence of a `chat` prompt."""
    instruction: re.Pattern[str] = re.compile(r"Your task is to: (.*?)\.?\s*$", re.DOTALL)
    """Finds the instruction in the opening observation (its first group); the rest of the opening is the place."""
    task: str = "Your task is to: {}."
    """The instruction in a `chat` prompt."""
    ask: str = (
        "Now take an action. First reason step by step about the situation, inside <think> </think> tags. Then choose "
        "one admissible action and give it inside <action> </action> tags."
    )
    """The last sentences of a `chat` prompt: how to reply."""
    tags: tuple[str, ...] = ("action",)
    """Tags that hold an action. With one, the action is what it holds; with several, `tag[what it holds]`."""
    listed: bool = True
    """Whether prompts list the admissible actions (`prompt.admissible` can still leave them out)."""
    by_verb: bool = False
    """Compact prompts say `go to` places once and each other verb once, as ALFWorld's actions allow."""


def bracketed(action: str) -> tuple[str, str]:
    """`search[what]` as its two parts, in lower case and with single spaces; two empty texts for anything else."""
    said = " ".join(action.lower().split())
    name, bracket, rest = said.partition("[")
    what = rest.removesuffix("]").strip()
    return (name, what) if bracket and what and said.endswith("]") else ("", "")
