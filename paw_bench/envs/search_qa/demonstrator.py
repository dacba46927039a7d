"""A researcher who reads documents, where the `Reader` knows what to look up.

It understands the questions of the generated library, follows them from document to document, and answers with what
the last one says; on its last turn it answers with what it has. What it needs stands in the last two documents, which
is what a window of one turn shows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_NAME = r"[A-Z][a-z]+(?: [A-Z][a-z]+)?"
_SAID = {
    "born": rf"[Bb]orn (?:\d+ )?in ({_NAME})",
    "works": rf"(?:works for|is employed by) ({_NAME})",
    "based": rf"(?:based|seat) in ({_NAME})",
    "country": rf"(?:is a city in|larger cities of) ({_NAME})",
    "capital": rf"(?:capital is|governed from) ({_NAME})",
    "river": rf"(the {_NAME})(?=\.| that)",
    "year": r"\b(?:born|in) (\d{4})\b",
}
"""What a document says -> where it says so."""
_ASKED = (
    (rf"In which city was ({_NAME}) born", ("born",)),
    (rf"For which company does ({_NAME}) work", ("works",)),
    (rf"In which country was ({_NAME}) born", ("born", "country")),
    (rf"In which city is the company based that ({_NAME}) works for", ("works", "based")),
    (rf"What is the capital of the country where ({_NAME}) was born", ("born", "country", "capital")),
    (rf"In which country is the company based that ({_NAME}) works for", ("works", "based", "country")),
    (rf"Which river flows through the country where ({_NAME}) was born", ("born", "country", "river")),
)
"""Question -> what to read in one document after the other."""
_EARLIER = re.compile(rf"Who was born earlier, ({_NAME}) or ({_NAME})\?")


@dataclass(slots=True)
class Researcher:
    """Answers one question in `left` turns."""

    left: int
    wanted: list[str]
    """What is still to be read, in order."""
    known: str
    """The name to look up next, or the answer."""
    others: list[str] = field(default_factory=list)
    """Comparison: who is still to be looked up."""
    earliest: tuple[int, str] | None = None
    """Comparison: (year, name) of the first born so far."""

    @classmethod
    def start(cls, question: str, turns: int) -> Researcher:
        """Understand a question of the generated library; ValueError for another one."""
        if pair := _EARLIER.fullmatch(question):
            return cls(turns, ["year", "year"], pair[1], [pair[2]])
        for pattern, wanted in _ASKED:
            if found := re.match(pattern, question):
                return cls(turns, list(wanted), found[1])
        raise ValueError(f"no question of the generated library: {question!r}")

    def choices(self, admissible: Sequence[str]) -> tuple[str, ...]:
        """The next search, or the answer."""
        if self.wanted and self.left > 1:
            return (f"search[{self.known}]",)
        return (f"answer[{self.earliest[1] if self.earliest else self.known}]",)

    def read(self, action: str, observation: str) -> None:
        """Take from the document of the name that was looked up what the question wants of it."""
        self.left -= 1
        document = re.search(rf"\(Title: {re.escape(self.known)}\) (.*)", observation)
        said = re.search(_SAID[self.wanted[0]], document[1]) if document and self.wanted else None
        if said is None:
            return
        if self.wanted.pop(0) != "year":
            self.known = said[1]
            return
        born = (int(said[1]), self.known)
        self.earliest = min(self.earliest or born, born)
        self.known = self.others.pop() if self.others else self.known

    def slips(self, rng: random.Random) -> tuple[str, ...]:
        """A name without saying what to do with it, and half a search."""
        return (self.known, f"search {self.known}", f"search[{rng.choice(self.known.split())}")
