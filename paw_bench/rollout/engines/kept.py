"""Keys and values of episodes, kept from one turn to the next, so that a turn's prompt is read from where it is new."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from paw_bench.rollout.engine import Request


@dataclass(frozen=True, slots=True)
class _Kept:
    ids: list[int]
    """The tokens that were read, without padding: T of them."""
    states: Tensor
    """Keys and values of all layers (L, 2, H, T, D)."""


class KeptCaches:
    """The caches of at most `limit` episodes, those that spoke last."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    def lengths(self, requests: Sequence[Request]) -> list[int]:
        """How many tokens of each prompt need not be read again; at least its last one always is."""
        return [self._length(request) for request in requests]

    def left_padded(self, requests: Sequence[Request], lengths: Sequence[int]) -> DynamicCache | None:
        """One cache whose row i ends in the first `lengths[i]` tokens of its prompt, after zeros. None: no row has any.

        Its length is the largest of `lengths`.
        """
        longest = max(lengths)
        if not longest:
            return None
        found = [self._of(request) for request in requests]
        some = next(kept.states for kept in found if kept)
        layers, both, heads, _, width = some.shape
        states = some.new_zeros(layers, both, len(requests), heads, longest, width)
        for row, (kept, length) in enumerate(zip(found, lengths, strict=True)):
            if kept:
                states[:, :, row, :, longest - length :] = kept.states[..., :length, :]
        return DynamicCache([(layer[0], layer[1]) for layer in states])

    def put(self, requests: Sequence[Request], replies: Sequence[list[int]], cache: DynamicCache, read: Tensor) -> None:
        """Keep what `cache` holds of each request's prompt and reply.

        `read` (B, T): the cache's columns that hold tokens of the prompt, or of a reply that was cut at its end. A
        reply's last token was sampled and not read. Models whose layers keep anything but keys and values of all
        tokens are left out.
        """
        layers: list[Any] = list(cache.layers)
        if not self._limit or any(type(layer) is not DynamicLayer for layer in layers):
            return
        states = torch.stack([torch.stack((layer.keys, layer.values)) for layer in layers])
        for row, (request, reply) in enumerate(zip(requests, replies, strict=True)):
            if request.conversation is None:
                continue
            ids = request.prompt + reply[:-1]
            columns = read[row].nonzero()[: len(ids), 0]
            self._kept[request.conversation] = _Kept(ids, states[:, :, row].index_select(-2, columns))
            self._kept.move_to_end(request.conversation)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def forget(self, conversations: Iterable[int]) -> None:
        """Drop these episodes."""
        for conversation in conversations:
            self._kept.pop(conversation, None)

    def clear(self) -> None:
        """Drop all: the weights are others."""
        self._kept.clear()

    def _of(self, request: Request) -> _Kept | None:
        return None if request.conversation is None else self._kept.get(request.conversation)

    def _length(self, request: Request) -> int:
        kept = self._of(request)
        if kept is None:
            return 0
        most = min(len(kept.ids), len(request.prompt) - 1)
        if kept.ids[:most] == request.prompt[:most]:
            return most
        return next(place for place in range(most) if kept.ids[place] != request.prompt[place])
