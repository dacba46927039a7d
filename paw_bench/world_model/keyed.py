"""Random numbers that depend on a name, the run's seed and the update, and on nothing that ran before."""

from __future__ import annotations

import zlib

import numpy as np


def keyed_generator(name: str, *, seed: int, update: int) -> np.random.Generator:
    """A generator for one purpose (`name`) in one update of the run with `seed` (ours: no formula of a paper)."""
    return np.random.default_rng(np.random.SeedSequence([seed, update, zlib.crc32(name.encode())]))
