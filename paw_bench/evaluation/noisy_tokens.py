"""Which observation tokens are noise: those that no reading of the context could foretell, by construction.

The paper shows how much of the gradient falls on noisy observation tokens and names no rule that could be read. Ours
needs no policy, so that it marks the same tokens in every arm and at every time: a token is noisy where it belongs to a
name (a word with a number: `apple 2`, `drawer 11`) that the environment says for the first time, neither in the context
that the policy reads, nor in its action, nor earlier in the observation. What lies in a drawer nobody has opened was
drawn by chance when the game was made. The rule is that of ALFWorld's texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_NAME = re.compile(r"[A-Za-z]+ \d+")


def names(text: str) -> set[str]:
    """Every name that the text says."""
    return set(_NAME.findall(text))


def noisy(pieces: Sequence[str], known: Iterable[str]) -> list[bool]:
    """Whether each token of an observation is noise. `pieces`: the tokens' texts, whose sum is the observation;
    `known`: the names that the context and the action hold.
    """
    said = set(known)
    spans = []
    for found in _NAME.finditer("".join(pieces)):
        if found[0] not in said:
            spans.append(found.span())
            said.add(found[0])
    marks, end = [], 0
    for piece in pieces:
        start, end = end, end + len(piece)
        marks.append(any(first < end and start < last for first, last in spans))
    return marks
