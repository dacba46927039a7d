"""What is searched and what is asked."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of the corpus."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what answers it."""

    name: str
    kind: str
    """The task type: the number of hops, or the data set."""
    text: str
    answers: tuple[str, ...]
    """Any of them is right."""
    hops: tuple[str, ...]
    """Queries that find, one after the other, what leads to the answer."""


@dataclass(frozen=True, slots=True)
class Library:
    """A corpus and the questions of every panel."""

    documents: tuple[Document, ...]
    questions: Mapping[str, tuple[Question, ...]]
    digest: str
    """SHA-256 over the documents."""


def normalised(answer: str) -> str:
    """An answer as exact match compares it: lower case, no punctuation, no articles, single spaces (SQuAD's rule)."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())
