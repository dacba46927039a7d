"""Plays episodes: the engine says what each of them does next, the environments' processes answer.

Two ways, chosen by `rollout.deterministic`. In lock-step, every batch is all episodes that still run, in one order, and
environments wait while the engine generates, as it waits for them: a repeated call gives the same bits. In flight, each
episode goes its own way: the engine works on those that wait for it while the environments work on the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from paw_bench.config.schema import ExperimentConfig
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.envs.protocol import StepResult
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.engine import Engine, EngineFailed, Reply, Request
from paw_bench.rollout.episode import Episode
from paw_bench.rollout.pace import Pace
from paw_bench.rollout.scribe import Assignment, Live, Said, Scribe

__all__ = ["Assignment", "Collector", "Timing"]


@dataclass(slots=True)
class Timing:
    """Where the time of a collection went, in seconds."""

    workers: int = 1
    total: float = 0.0
    generate: float = 0.0
    """The engine was at work."""
    environment: float = 0.0
    """The engine had nothing to do but wait for environments."""
    worked: float = 0.0
    """The environments' workers were at work, summed over them."""

    @property
    def idle(self) -> dict[str, float]:
        """Shares of the collection in which the engine, and the mean environment worker, did nothing."""
        engine, workers = self.generate / self.total, self.worked / self.total / self.workers
        return {"engine": 1.0 - engine, "environments": max(0.0, 1.0 - workers)}

    @contextmanager
    def taken(self, what: str) -> Iterator[None]:
        """Add the block's seconds to `what`."""
        started = time.monotonic()
        try:
            yield
        finally:
            setattr(self, what, getattr(self, what) + time.monotonic() - started)


@dataclass(slots=True)
class _Flight:
    """What a collection in flight knows of its episodes, by slot: the number of the assignment."""

    lives: dict[int, Live] = field(default_factory=dict)
    said: dict[int, Said] = field(default_factory=dict)
    """Said last, and under way to the environments."""
    ready: list[int] = field(default_factory=list)
    """Those that wait for the engine, longest first."""
    playing: int = 0


class Collector:
    """Plays lists of assignments on one pool with one engine."""

    def __init__(
        self,
        config: ExperimentConfig,
        pool: EnvironmentPool,
        engine: Engine,
        codec: TurnCodec,
        *,
        batch: int,
        longest: int | None = None,
    ) -> None:
        """
        Args:
            config: the run's; `rollout.deterministic` alone decides how episodes are played.
            pool: environments of the config's kind.
            engine: the policy.
            codec: text to tokens for the engine's model.
            batch: prompts that the engine gets together in flight, at most. Twice as many episodes are begun at most:
                while one half is with the engine, the other is with the environments.
            longest: tokens that the model can read at once (None: any number).
        """
        self.config = config
        self.pool = pool
        self.engine = engine
        self.codec = codec
        self.batch = batch
        self.scribe = Scribe(config, codec, longest=longest)
        self.timing = Timing()
        self._pace = Pace()
        self.engine_failures: list[str] = []
        """What the engine failed with and went on after, in all collections."""

    def collect(self, assignments: Sequence[Assignment], temperature: float) -> list[Episode]:
        """Play all assignments to their end; their episodes, in the same order.

        The engine may fail once, and is then asked again for the same: what was played stands. Raises EngineFailed the
        second time, and like the pool.
        """
        self.timing = Timing(workers=self.pool.workers)
        self._temperature, self._failures_left = temperature, 1
        worked = self.pool.worked
        play = self._in_lock_step if self.config.rollout.deterministic else self._in_flight
        try:
            with self.timing.taken("total"):
                lives = play(assignments)
        finally:
            self.engine.forget(range(len(assignments)))
        self.timing.worked = self.pool.worked - worked
        return [live.episode for live in lives]

    def _in_lock_step(self, assignments: Sequence[Assignment]) -> list[Live]:
        with self.timing.taken("environment"):
            openings = self.pool.reset([(assignment.task, assignment.seed) for assignment in assignments])
        lives = [self.scribe.begin(*pair) for pair in zip(assignments, openings, strict=True)]
        running = list(range(len(lives)))
        while running:
            said = self._generate({slot: lives[slot] for slot in running})
            lost = {slot: live.lost for slot in running if (live := lives[slot]).lost}
            with self.timing.taken("environment"):
                results = self.pool.step({slot: one.action for slot, one in said.items() if slot not in lost})
            for slot, result in (results | lost).items():
                self._write(slot, lives[slot], said[slot], result)
            running = [slot for slot in running if not lives[slot].done]
        return lives

    def _in_flight(self, assignments: Sequence[Assignment]) -> list[Live]:
        """A batch is due once as many episodes wait for it as `Pace` says: half of them, where that is faster."""
        self.pool.clear()
        flight, waiting = _Flight(), iter(enumerate(assignments))
        while True:
            begun = dict(islice(waiting, 2 * self.batch - flight.playing))
            self.pool.begin({slot: (assignment.task, assignment.seed) for slot, assignment in begun.items()})
            flight.playing += len(begun)
            if not flight.playing:
                return [flight.lives[slot] for slot in range(len(assignments))]
            due = min(self.batch, self._pace.due(flight.playing, self._seconds_an_answer()))
            if len(flight.ready) < due:
                with self.timing.taken("environment"):
                    arrived = self.pool.poll(None)
            else:
                arrived = self.pool.poll(0.0)
            for slot, result in arrived.items():
                self._arrived(flight, slot, assignments[slot], result)
            if len(flight.ready) >= due:
                batch, flight.ready = flight.ready[:due], flight.ready[due:]
                said = self._generate({slot: flight.lives[slot] for slot in batch})
                flight.said |= said
                lost = {slot: live.lost for slot in batch if (live := flight.lives[slot]).lost}
                self.pool.act({slot: one.action for slot, one in said.items() if slot not in lost})
                for slot, result in lost.items():
                    self._arrived(flight, slot, assignments[slot], result)

    def _seconds_an_answer(self) -> float:
        return self.pool.worked / max(1, self.pool.answered) / self.pool.workers

    def _arrived(self, flight: _Flight, slot: int, assignment: Assignment, result: StepResult) -> None:
        live = flight.lives.get(slot)
        if live is None:
            flight.lives[slot] = self.scribe.begin(assignment, result)
        else:
            self._write(slot, live, flight.said.pop(slot), result)
        if flight.lives[slot].done:
            flight.playing -= 1
        else:
            flight.ready.append(slot)

    def _write(self, slot: int, live: Live, said: Said, result: StepResult) -> None:
        self.scribe.write(live, said, result)
        if live.done:
            self.engine.forget([slot])
            if not result.done:
                self.pool.drop(slot)

    def _generate(self, lives: dict[int, Live]) -> dict[int, Said]:
        """What the policy does next in each of these episodes, by slot."""
        with self.timing.taken("generate"):
            prompts = {slot: self.scribe.prompt(live) for slot, live in lives.items()}
            requests = [self.scribe.request(live, prompts[slot], slot) for slot, live in lives.items()]
            started = time.monotonic()
            replies = self._replies(requests)
            self._pace.generated(len(replies), time.monotonic() - started)
            return {slot: self.scribe.said(prompts[slot], reply) for slot, reply in zip(lives, replies, strict=True)}

    def _replies(self, requests: list[Request]) -> list[Reply]:
        try:
            return self._asked(requests)
        except EngineFailed as failure:
            if not self._failures_left:
                raise
            self._failures_left -= 1
            self.engine_failures.append(str(failure))
            self.engine.forget(request.conversation for request in requests if request.conversation is not None)
            return self._asked(requests)

    def _asked(self, requests: list[Request]) -> list[Reply]:
        replies = self.engine.generate(requests, self._temperature)
        if len(replies) != len(requests) or not all(reply.ids for reply in replies):
            raise EngineFailed(f"{len(requests)} requests got {sum(bool(reply.ids) for reply in replies)} replies")
        return replies
