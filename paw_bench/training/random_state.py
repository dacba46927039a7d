"""The state of the global random number generators, as something torch can save and load safely."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch

RandomState = dict[str, Any]


def capture() -> RandomState:
    """State of python's, numpy's and torch's global generators."""
    name, keys, *rest = cast(tuple[str, np.ndarray, int, int, float], np.random.get_state(legacy=True))
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore(state: RandomState) -> None:
    """Set the global generators to a captured state."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def kept_apart(state: RandomState) -> Iterator[RandomState]:
    """Run a block on `state`, update `state` in place at its end, and leave the outer generators as they were.

    So training does not depend on what runs between its updates (evaluation), nor the other way round.
    """
    outer = capture()
    restore(state)
    try:
        yield state
    finally:
        state.update(capture())
        restore(outer)
