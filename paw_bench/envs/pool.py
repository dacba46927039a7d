"""Environments in processes of their own, all slots in step. Lost workers are replaced and their episodes replayed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from types import TracebackType

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.messages import Act, Answer, Begin, Forget, Ready, Request
from paw_bench.envs.protocol import StepResult, Task
from paw_bench.envs.seat import START_SECONDS, Seat

_MAX_LOSSES = 2
"""Workers that one request may cost before its episode is given up."""
_MAX_GAMES_LOST = 3
"""Games that may be given up one after the other, without an answer in between: then it is not the games."""


class EnvironmentHung(RuntimeError):
    """Replacing workers does not help: new ones hang as well."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An episode that was given up because its step cost two workers."""

    task_id: str
    seed: int
    turn: int
    """Actions played before; 0 with `action` None: the reset."""
    action: str | None
    reason: str


@dataclass(slots=True)
class _Episode:
    task: Task
    seed: int
    seat: int
    actions: list[str] = field(default_factory=list)
    """Actions with known results."""
    last: StepResult | None = None
    losses: int = 0
    """Workers lost by the request that is waiting now."""


class EnvironmentPool:
    """`workers` processes that hold the environments of all slots.

    Results do not depend on the number of workers, nor on workers that are lost: an episode is a function of its task,
    seed and actions. A worker that dies, or does not answer a request within `timeout_s` seconds, is replaced; its
    running episodes are replayed on the new one and counted in `redone`. A request that costs a second worker ends
    its episode, without success; `failures` lists these. Three games given up in a row, or a replacement that does
    not start, and it is not the games: EnvironmentHung is raised.
    """

    def __init__(self, config: EnvironmentConfig, *, workers: int, timeout_s: float) -> None:
        self._config = config
        self._timeout_s = timeout_s
        self._seats = [Seat(config) for _ in range(workers)]
        self._episodes: dict[int, _Episode] = {}
        self.redone = 0
        self.failures: list[Failure] = []
        self._lost_games: set[str] = set()
        """Given up since the last answer."""
        self._started = False
        """Whether any worker ever did."""

    def reset(self, assignments: Sequence[tuple[Task, int]]) -> list[StepResult]:
        """Start an episode of (task, seed) in slot 0, 1, ... Episodes that were running are dropped.

        Raises RuntimeError when an environment refuses its task or a worker cannot start, EnvironmentHung when
        replacing workers does not help.
        """
        self._require_open()
        seats = self._seats_of_tasks([task.task_id for task, _ in assignments])
        self._episodes = {
            slot: _Episode(task, seed, seats[task.task_id]) for slot, (task, seed) in enumerate(assignments)
        }
        for seat in self._seats:
            seat.ask([Forget()])
        results = self._exchange([Begin(slot, task, seed) for slot, (task, seed) in enumerate(assignments)])
        return [results[slot] for slot in range(len(assignments))]

    def step(self, actions: Mapping[int, str]) -> dict[int, StepResult]:
        """Play one action in each of the given slots. Raises like `reset`."""
        return self._exchange([Act(slot, action) for slot, action in actions.items()])

    def close(self) -> None:
        """End the workers. Closing twice does no harm."""
        for seat in self._seats:
            seat.stop()
        self._seats = []

    def __enter__(self) -> EnvironmentPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _seats_of_tasks(self, task_ids: Sequence[str]) -> dict[str, int]:
        """All episodes of a task on one seat, which knows the game then; the largest groups first, seats balanced."""
        load = [0] * len(self._seats)
        seats: dict[str, int] = {}
        for task_id, episodes in Counter(task_ids).most_common():
            seats[task_id] = load.index(min(load))
            load[seats[task_id]] += episodes
        return seats

    def _require_open(self) -> None:
        if not self._seats:
            raise RuntimeError("the pool is closed")

    def _exchange(self, requests: Sequence[Begin | Act]) -> dict[int, StepResult]:
        self._require_open()
        try:
            results: dict[int, StepResult] = {}
            for number, seat in enumerate(self._seats):
                seat.ask([request for request in requests if self._episodes[request.slot].seat == number])
            while any(seat.unanswered for seat in self._seats):
                self._hear(results)
            return {request.slot: results[request.slot] for request in requests}
        except BaseException:
            self.close()  # answers that nobody waits for would be taken for the next step's
            raise

    def _hear(self, results: dict[int, StepResult]) -> None:
        """Take what the workers have to say, or replace those that stay silent."""
        busy = {number: seat for number, seat in enumerate(self._seats) if seat.unanswered}
        patience = min(self._patience(seat) for seat in busy.values())
        speaking = wait([seat.connection for seat in busy.values()], timeout=max(0.0, patience))
        for number, seat in busy.items():
            if seat.connection in speaking:
                try:
                    message = seat.connection.recv()
                except (EOFError, OSError):
                    self._replace(number, "its worker died", results)
                else:
                    self._take(seat, message, results)
            elif self._patience(seat) <= 0:
                self._replace(number, f"no answer within {self._timeout_s:g} s", results)

    def _patience(self, seat: Seat) -> float:
        return (self._timeout_s if seat.ready else START_SECONDS) - seat.silent_for()

    def _take(self, seat: Seat, message: Ready | Answer, results: dict[int, StepResult]) -> None:
        seat.heard = time.monotonic()
        if isinstance(message, Ready):
            seat.ready = self._started = True
            return
        request = seat.unanswered.popleft()
        episode = self._episodes[request.slot]
        if message.result is None:
            played = len(episode.actions)
            raise RuntimeError(f"task {episode.task.task_id} failed after {played} actions:\n{message.error}")
        if isinstance(request, Begin) and episode.last is not None:
            if message.result != episode.last:
                raise RuntimeError(f"task {episode.task.task_id}: a replay of {episode.actions} gave another result")
            return
        if isinstance(request, Act):
            episode.actions.append(request.action)
        episode.last = results[request.slot] = message.result
        episode.losses = 0
        self._lost_games.clear()

    def _replace(self, number: int, reason: str, results: dict[int, StepResult]) -> None:
        """Give a seat a new worker and have its running episodes replayed there."""
        lost = self._seats[number]
        lost.stop()
        if not lost.ready:
            error = EnvironmentHung if self._started else RuntimeError
            raise error(f"an environment worker could not start ({reason}); its own messages are above")
        blamed = lost.unanswered[0].slot
        asked = {
            request.slot: request
            for request in lost.unanswered
            if isinstance(request, Act) or self._episodes[request.slot].last is None
        }
        self._episodes[blamed].losses += 1
        if self._episodes[blamed].losses == _MAX_LOSSES:
            results[blamed] = self._give_up(self._episodes[blamed], asked.pop(blamed, None), reason)
        self._seats[number] = Seat(self._config)
        self._seats[number].ask(self._redo(number, blamed, asked))

    def _give_up(self, episode: _Episode, request: Begin | Act | None, reason: str) -> StepResult:
        action = request.action if isinstance(request, Act) else None
        self.failures.append(Failure(episode.task.task_id, episode.seed, len(episode.actions), action, reason))
        self._lost_games.add(episode.task.task_id)
        if len(self._lost_games) == _MAX_GAMES_LOST:
            games = ", ".join(sorted(self._lost_games))
            raise EnvironmentHung(f"{_MAX_GAMES_LOST} games in a row cost two workers each ({reason}): {games}")
        episode.last = StepResult("", (), 0.0, done=True, success=False, accepted=False)
        return episode.last

    def _redo(self, number: int, blamed: int, asked: Mapping[int, Begin | Act]) -> list[Request]:
        """The requests that bring a new worker to where the lost one was, and those that it left unanswered."""
        requests: list[Request] = []
        here = [slot for slot, episode in self._episodes.items() if episode.seat == number]
        # The blamed episode last: should it cost this worker too, the others have their answers.
        for slot in sorted(here, key=lambda slot: slot == blamed):
            episode = self._episodes[slot]
            running = episode.last is not None and not episode.last.done
            if running:
                requests.append(Begin(slot, episode.task, episode.seed, tuple(episode.actions)))
            if slot in asked:
                requests.append(asked[slot])
            self.redone += running or (slot == blamed and slot in asked)
        return requests
