"""Long lists in parts, each worked on by a process of its own, where the machine has cores to spare.

The parts are forked: they see what the process has loaded, and only what they give back is copied.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import pairwise
from typing import Any, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")

_MOST = 8
"""Processes: beyond these, giving the parts back takes longer than what is saved."""


class _Inherited:
    """What a forked process works with; it is never pickled."""

    function: Callable[[Any], Any]


def in_parts(function: Callable[[Sequence[Item]], Found], items: Sequence[Item], *, least: int) -> list[Found]:
    """`function` of each of the parts that `items` fall into, in their order.

    There is one part, worked on right here, unless several would have at least `least` items each. What `function`
    returns is pickled; an error that it raises is raised here.
    """
    parts = _split(items, min(_cores(), _MOST, len(items) // least))
    if len(parts) > 1:
        try:
            with ProcessPoolExecutor(
                len(parts), multiprocessing.get_context("fork"), initializer=_begin, initargs=(function,)
            ) as pool:
                return list(pool.map(_call, parts))
        except BrokenProcessPool:
            # One was killed, for want of memory most likely: one at a time needs the least of it.
            pass
    return [function(part) for part in parts]


def _split(items: Sequence[Item], parts: int) -> list[Sequence[Item]]:
    parts = max(parts, 1)
    ends = [len(items) * number // parts for number in range(parts + 1)]
    return [items[start:end] for start, end in pairwise(ends)]


def _cores() -> int:
    """Those that this process may use; one where a process cannot be forked safely."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def _begin(function: Callable[[Any], Any]) -> None:
    _Inherited.function = function
    # Ctrl-C is the parent's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _call(part: Sequence[Any]) -> Any:
    return _Inherited.function(part)
