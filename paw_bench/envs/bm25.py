"""BM25 over texts in memory, for environments with a search box.

Own code because it is 40 lines over numpy: `bm25s` would bring its own tokenizer, corpus store and optional backends,
and `rank-bm25` scores every document for every word. k1 and b are Anserini's defaults.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

K1 = 0.9
B = 0.4
MAX_QUERY = 400
"""Characters of a query that are read: a policy can write anything."""

_WORD = re.compile(r"[^\W_]+(?:\.\d+)?")


def words(text: str) -> list[str]:
    """Lower-case words and numbers of a text."""
    return _WORD.findall(text.lower())


class Index:
    """Finds the documents that fit a query best. Ties go to the earlier document."""

    def __init__(self, documents: Sequence[str]) -> None:
        postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        lengths = np.zeros(len(documents))
        for number, document in enumerate(documents):
            counts = Counter(words(document))
            lengths[number] = sum(counts.values())
            for word, count in counts.items():
                postings[word].append((number, count))
        longer = K1 * (1 - B + B * lengths / max(1.0, lengths.mean())) if len(documents) else lengths
        self._size = len(documents)
        self._postings: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for word, found in postings.items():
            where, counts_there = np.array(found, dtype=np.int64).T
            rarity = np.log1p((self._size - len(found) + 0.5) / (len(found) + 0.5))
            self._postings[word] = where, rarity * counts_there / (counts_there + longer[where])

    def top(self, query: str, count: int) -> list[int]:
        """Numbers of at most `count` documents that share a word with the query, best first."""
        scores = np.zeros(self._size)
        for word, times in Counter(words(query[:MAX_QUERY])).items():
            if word in self._postings:
                where, weights = self._postings[word]
                scores[where] += times * weights
        found = np.flatnonzero(scores)
        if len(found) > count:
            bound = np.partition(scores, -count)[-count]
            found = np.flatnonzero((scores >= bound) & (scores > 0))
        return [int(number) for number in found[np.argsort(-scores[found], kind="stable")][:count]]
