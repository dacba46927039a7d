"""Pieces of work timed in turns, and the ratio of two's times with an interval.

Each runs in a thread of its own, from the beginning of one of its turns to that of the next, while the others wait: so
what a machine does meanwhile (clocks, caches, neighbours) falls on all alike, turn by turn, and nothing starts anew.
On a CPU a turn's time is that of its own thread on the processor, with one thread for torch: neither waiting nor what
other processes do is in it. On a GPU it is the clock's, once the device has finished.

The ratio is a trimmed mean of the pairs' log ratios (a fifth off at each end), with Yuen's 95 % t interval for it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

TRIMMED = 0.2
"""Share of the pairs that is left out at each end: those that something else disturbed."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one turn took."""

    seconds: float
    """Of processor time on a CPU, of the clock on a GPU."""
    peak_mb: float


class Lane:
    """Work in a thread of its own that goes on for one turn whenever it is told to.

    `work(begin)` has to call `begin()` where a turn of it begins; the turn lasts until it calls it again, or returns.
    """

    def __init__(self, work: Callable[[Callable[[], None]], object], *, device: str) -> None:
        self._work = work
        self._device = device
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._began: float | None = None
        threading.Thread(target=self._run, daemon=True).start()
        self._wait()

    def turn(self) -> Cost:
        """Let the work go on until its next turn begins; what this one took. Raises what the work raised."""
        self._go.release()
        self._wait()
        return self._cost

    def _wait(self) -> None:
        self._stopped.acquire()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._work(self._begin)
            self._end()
        except BaseException as error:
            self._error = error
        self._stopped.release()

    def _begin(self) -> None:
        self._end()
        self._stopped.release()
        self._go.acquire()
        reset_peak(self._device)
        self._began = self._clock()

    def _end(self) -> None:
        synchronize(self._device)
        if self._began is not None:
            self._cost = Cost(self._clock() - self._began, peak_mb(self._device))

    def _clock(self) -> float:
        return time.thread_time() if self._device == "cpu" else time.perf_counter()


def take_turns(*lanes: Lane, rounds: int, prepare: Callable[[], None]) -> list[list[Cost]]:
    """The cost of each lane's turn in each of `rounds`; who goes first changes; `prepare` comes before each round.

    One more round, that warms up, is not counted.
    """
    found = []
    for number in range(rounds + 1):
        prepare()
        places = [(number + place) % len(lanes) for place in range(len(lanes))]
        costs = {place: lanes[place].turn() for place in places}
        found.append([costs[place] for place in range(len(lanes))])
    return found[1:]


def with_interval(ratios: Sequence[float]) -> str:
    """`1.012 [1.003, 1.021]`: the trimmed mean of paired ratios (of their logarithms) and its 95 % interval."""
    logs = np.log(ratios)
    centre = stats.trim_mean(logs, TRIMMED)
    low, high = stats.mstats.trimmed_mean_ci(logs, limits=(TRIMMED, TRIMMED), alpha=0.05)
    return f"{math.exp(centre):.4f} [{math.exp(low):.4f}, {math.exp(high):.4f}]"


def synchronize(device: str) -> None:
    """Wait for the GPU, so that a clock sees its work."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def reset_peak(device: str) -> None:
    """Start a new peak: of the allocator, or (Linux) of this process's resident memory."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb(device: str) -> float:
    """Peak memory in MB since `reset_peak`."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10
