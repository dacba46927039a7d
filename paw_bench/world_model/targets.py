"""Control targets: what stands in for the next observation. None is in the paper (arXiv 2606.02388).

Both replace the appended observation as input and as label, so they are for windowed rows, where nothing reads it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paw_bench.world_model.keyed import keyed_generator

Tokens = list[int]


def shuffled(observations: Sequence[Tokens], *, seed: int, update: int) -> list[Tokens]:
    """The pool's observations, permuted so that none lands on a transition whose own observation reads the same.

    Where more than half of the pool reads the same (M of N), exactly 2M - N must keep that text; no more do. The
    token count over the pool is unchanged. Keyed by seed and update. `observations`: one list of ids a transition.
    The control of arXiv 2607.21273; how clashes are mended is ours.
    """
    content = _content_ids(observations)
    generator = keyed_generator("shuffled targets", seed=seed, update=update)
    source = generator.permutation(len(observations))
    for place in np.flatnonzero(content[source] == content):
        # Swapping with `other` mends this place and breaks none: neither text then meets its own content. When no
        # such place is left, every place holds or gives this content, so the remaining clashes cannot be avoided.
        others = np.flatnonzero((content != content[place]) & (content[source] != content[place]))
        if content[source[place]] == content[place] and len(others):
            other = generator.choice(others)
            source[[place, other]] = source[[other, place]]
    return [list(observations[index]) for index in source]


def random_tokens(observations: Sequence[Tokens], vocabulary: Sequence[int], *, seed: int, update: int) -> list[Tokens]:
    """Token ids drawn uniformly from `vocabulary` (no special tokens), as many as each observation has (ours)."""
    generator = keyed_generator("random targets", seed=seed, update=update)
    ids = np.asarray(vocabulary)
    return [generator.choice(ids, size=len(observation)).tolist() for observation in observations]


def _content_ids(observations: Sequence[Tokens]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A number for each observation (N,), equal where the tokens are equal."""
    numbers: dict[tuple[int, ...], int] = {}
    return np.array([numbers.setdefault(tuple(tokens), len(numbers)) for tokens in observations], dtype=np.int64)
