"""Sampling whose noise depends on (seed, episode, turn, position) alone.

A token is drawn by inverting the cumulative distribution at a uniform number that is a hash of its key. So a redone
episode, another batch size or another order of episodes draws the same numbers.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def noise_key(*parts: object) -> int:
    """64-bit key of a named stream, e.g. `noise_key(seed, phase, task_id, index)`."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def keyed_uniforms(keys: list[int], position: int) -> np.ndarray:
    """Uniform numbers in [0, 1), one a key, for the `position`-th token of a reply (splitmix64). Shape (len(keys),)."""
    with np.errstate(over="ignore"):
        state = np.array(keys, dtype=np.uint64) + np.uint64(position + 1) * _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * _MIX_1
        state = (state ^ (state >> np.uint64(27))) * _MIX_2
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def sample(logits: torch.Tensor, uniforms: np.ndarray, temperature: float) -> torch.Tensor:
    """Token ids drawn from softmax(logits / temperature); temperature 0 is greedy.

    Args:
        logits: (B, V), float32.
        uniforms: (B,), one number in [0, 1) a row.
        temperature: >= 0.

    Returns:
        (B,) int64.
    """
    if temperature == 0.0:
        return logits.argmax(-1)
    probabilities = (logits.double() / temperature).softmax(-1)
    cumulative = probabilities.cumsum(-1)
    targets = torch.from_numpy(uniforms).to(cumulative) * cumulative[:, -1]
    drawn = torch.searchsorted(cumulative, targets[:, None], right=True)[:, 0]
    return drawn.clamp_(max=logits.shape[-1] - 1)
