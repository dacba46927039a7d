"""Plays episodes: environments and engine in step with each other, every token labelled as it is made."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from paw_bench.config.schema import ExperimentConfig
from paw_bench.envs.definition import definition
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.envs.protocol import StepResult, Task
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.engine import Engine, Reply, Request
from paw_bench.rollout.episode import Episode, Turn
from paw_bench.rollout.prompts import Dialogue, action_of, admissible_suffix
from paw_bench.rollout.sampling import noise_key


@dataclass(frozen=True, slots=True)
class Assignment:
    """One episode to play. `noise` names the sampling noise: equal names, equal noise."""

    task: Task
    group: int
    index: int
    seed: int
    noise: str


@dataclass(slots=True)
class Timing:
    """Where the time of a collection went, in seconds."""

    generate: float = 0.0
    environment: float = 0.0


@dataclass(slots=True)
class _Live:
    """An episode that is being played."""

    episode: Episode
    dialogue: Dialogue
    noise: str
    prompt_ids: list[int]
    tokens: list[int] = field(default_factory=list)
    """Full context: everything after the prompt so far."""


class Collector:
    """Plays lists of assignments on one pool with one engine."""

    def __init__(self, config: ExperimentConfig, pool: EnvironmentPool, engine: Engine, codec: TurnCodec) -> None:
        self.config = config
        self.pool = pool
        self.engine = engine
        self.codec = codec
        self.words = definition(config.environment.name).words
        self.timing = Timing()

    def collect(self, assignments: list[Assignment], temperature: float) -> list[Episode]:
        """Play all assignments to their end, in lock-step.

        The batch of every turn is the episodes still running, in the order of `assignments`: with equal weights the
        same call gives the same tokens.
        """
        self.timing = Timing()
        clock = time.monotonic()
        openings = self.pool.reset([(assignment.task, assignment.seed) for assignment in assignments])
        self.timing.environment += time.monotonic() - clock
        lives = [self._begin(assignment, opening) for assignment, opening in zip(assignments, openings, strict=True)]
        running = list(range(len(lives)))
        while running:
            clock = time.monotonic()
            requests = [self._request(lives[slot], slot) for slot in running]
            replies = self.engine.generate(requests, temperature)
            self.timing.generate += time.monotonic() - clock
            clock = time.monotonic()
            actions = [action_of(self.codec.decode(reply.ids), self.config.prompt, self.words) for reply in replies]
            results = self.pool.step({slot: action for slot, (action, _) in zip(running, actions, strict=True)})
            self.timing.environment += time.monotonic() - clock
            for slot, request, reply, action in zip(running, requests, replies, actions, strict=True):
                self._record(lives[slot], request.prompt, reply, *action, result=results[slot])
            self.engine.forget(slot for slot in running if results[slot].done)
            running = [slot for slot in running if not results[slot].done]
        return [live.episode for live in lives]

    def _begin(self, assignment: Assignment, opening: StepResult) -> _Live:
        task = assignment.task
        dialogue = Dialogue(opening.observation, opening.admissible, words=self.words)
        episode = Episode(task.task_id, task.task_type, assignment.group, assignment.index, assignment.seed)
        prompt = self.codec.opening_ids(dialogue) if self.config.context.mode == "full" else []
        return _Live(episode, dialogue, assignment.noise, prompt)

    def _request(self, live: _Live, slot: int) -> Request:
        return Request(self._context(live), noise_key(live.noise, len(live.episode.turns)), conversation=slot)

    def _context(self, live: _Live) -> list[int]:
        """Tokens that the policy reads before its next action."""
        if self.config.context.mode == "full":
            return live.prompt_ids + live.tokens
        return self.codec.fitted_ids(live.dialogue)

    def _record(
        self, live: _Live, prompt: list[int], reply: Reply, action: str, formed: bool, *, result: StepResult
    ) -> None:
        environment = self.config.environment
        valid = formed if environment.invalid_action == "format" else formed and result.accepted
        separator = self.codec.separator(ended=reply.ids[-1] == self.codec.end_id)
        live.dialogue.answer(action, result.observation, result.admissible)
        observation = self.codec.observation_ids(result.observation + self._listed(live.dialogue, done=result.done))
        live.episode.turns.append(
            Turn(
                context_ids=prompt,
                action_ids=reply.ids,
                action_logprobs=reply.logprobs,
                action_entropies=reply.entropies,
                action_text=action,
                observation_text=result.observation,
                observation_ids=observation,
                separator_ids=separator,
                reward=result.reward,
                penalty=0.0 if valid else environment.invalid_action_penalty,
                valid=valid,
                accepted=result.accepted,
            )
        )
        live.episode.success = result.success
        live.episode.score = result.score
        if self.config.context.mode == "full":
            live.tokens = prompt[len(live.prompt_ids) :] + reply.ids + separator + observation
            if not result.done:
                live.tokens += self.codec.turn_opening(live.dialogue, listed=self._lists_in_target)

    @property
    def _lists_in_target(self) -> bool:
        return self.config.world_model.enabled and self.config.world_model.admissible_in_target

    def _listed(self, dialogue: Dialogue, *, done: bool) -> str:
        """The admissible actions as the next prompt lists them, where they belong to the target observation."""
        return admissible_suffix(dialogue, self.config.prompt) if self._lists_in_target and not done else ""
