"""Environments in processes of their own. Lost workers are replaced and their episodes replayed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

    dropped: bool = False

    @property
    def ended(self) -> bool:
        return self.dropped or (self.last is not None and self.last.done)


class EnvironmentPool:
    """`workers` processes that hold the environments of all slots.

    Two ways to play: `reset` and `step` wait for all answers, so the slots are in step; `begin` and `act` only ask, and
    `poll` gives the answers as they come, so each slot goes its own way while the caller does other work.

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
        self._homes: dict[str, int] = {}
        """The seat of each task."""
        self._arrived: dict[int, StepResult] = {}
        """Answers that nobody has been given yet."""
        self.workers = workers
        self.worked = 0.0
        """Seconds that the workers have been at work, summed over them."""
        self.answered = 0
        """Requests that they have answered."""
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
        self.clear()
        self.begin(dict(enumerate(assignments)))
        return list(self._answers(range(len(assignments))).values())

    def step(self, actions: Mapping[int, str]) -> dict[int, StepResult]:
        """Play one action in each of the given slots. Raises like `reset`."""
        self.act(actions)
        return self._answers(actions)

    def begin(self, assignments: Mapping[int, tuple[Task, int]]) -> None:
        """Ask for an episode of (task, seed) in each of the given slots, none of which may be running.

        All episodes of a task go to one worker, which knows the game then; a new task goes to the least busy one.
        """
        self._require_open()
        for slot, (task, seed) in assignments.items():
            self._episodes[slot] = _Episode(task, seed, self._seat_of(task.task_id))
        self._ask([Begin(slot, task, seed) for slot, (task, seed) in assignments.items()])

    def act(self, actions: Mapping[int, str]) -> None:
        """Ask for one action in each of the given slots, whose last answers must have come."""
        self._require_open()
        self._ask([Act(slot, action) for slot, action in actions.items()])

    def poll(self, timeout: float | None) -> dict[int, StepResult]:
        """Answers that have come, by slot, each given once; waits up to `timeout` seconds for the first one.

        None waits until there is one. Empty also when nothing was asked. Raises like `reset`.
        """
        self._require_open()
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._closed_on_error():
            # What lies there already costs nothing to take: one answer a worker and look.
            while self._hear(0.0):
                pass
            while not self._arrived and any(seat.unanswered for seat in self._seats):
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._hear(left)
        arrived, self._arrived = self._arrived, {}
        return arrived

    def drop(self, slot: int) -> None:
        """End the episode in `slot`, whose last answer must have come, before its environment does."""
        episode = self._episodes[slot]
        episode.dropped = True
        self._seats[episode.seat].ask([Forget(slot)])

    def clear(self) -> None:
        """Drop all episodes. Waits for answers that are under way, which nobody wants any more."""
        self._require_open()
        with self._closed_on_error():
            while any(seat.unanswered for seat in self._seats):
                self._hear(None)
        self._episodes, self._homes, self._arrived = {}, {}, {}
        for seat in self._seats:
            seat.ask([Forget()])

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

    def _seat_of(self, task_id: str) -> int:
        if task_id not in self._homes:
            running = [episode.seat for episode in self._episodes.values() if not episode.ended]
            self._homes[task_id] = min(range(len(self._seats)), key=running.count)
        return self._homes[task_id]

    def _require_open(self) -> None:
        if not self._seats:
            raise RuntimeError("the pool is closed")

    def _ask(self, requests: Sequence[Begin | Act]) -> None:
        for number, seat in enumerate(self._seats):
            own = [request for request in requests if self._episodes[request.slot].seat == number]
            if own:
                seat.ask(own)

    def _answers(self, slots: Iterable[int]) -> dict[int, StepResult]:
        """The answers of all of `slots`, in their order, once the last one is there."""
        with self._closed_on_error():
            while any(seat.unanswered for seat in self._seats):
                self._hear(None)
        return {slot: self._arrived.pop(slot) for slot in slots}

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        """Answers that nobody waits for any more would be taken for those of later requests."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _hear(self, timeout: float | None) -> bool:
        """Take what the workers have to say, or replace those that stay silent; wait for it up to `timeout` seconds.

        Returns whether something happened.
        """
        busy = {number: seat for number, seat in enumerate(self._seats) if seat.unanswered}
        if not busy:
            return False
        patience = max(0.0, min(self._patience(seat) for seat in busy.values()))
        waiting = patience if timeout is None else min(patience, timeout)
        speaking = wait([seat.connection for seat in busy.values()], timeout=waiting)
        happened = bool(speaking)
        for number, seat in busy.items():
            if seat.connection in speaking:
                try:
                    message = seat.connection.recv()
                except (EOFError, OSError):
                    self._replace(number, "its worker died")
                else:
                    self._take(seat, message)
            elif self._patience(seat) <= 0:
                self._replace(number, f"no answer within {self._timeout_s:g} s")
                happened = True
        return happened

    def _patience(self, seat: Seat) -> float:
        return (self._timeout_s if seat.ready else START_SECONDS) - seat.silent_for()

    def _take(self, seat: Seat, message: Ready | Answer) -> None:
        seat.heard = time.monotonic()
        if isinstance(message, Ready):
            seat.ready = self._started = True
            return
        request = seat.unanswered.popleft()
        self.worked += message.seconds
        self.answered += 1
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
        episode.last = self._arrived[request.slot] = message.result
        episode.losses = 0
        self._lost_games.clear()

    def _replace(self, number: int, reason: str) -> None:
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
            self._arrived[blamed] = self._give_up(self._episodes[blamed], asked.pop(blamed, None), reason)
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
            running = episode.last is not None and not episode.ended
            if running:
                requests.append(Begin(slot, episode.task, episode.seed, tuple(episode.actions)))
            if slot in asked:
                requests.append(asked[slot])
            self.redone += running or (slot == blamed and slot in asked)
        return requests
