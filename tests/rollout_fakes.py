"""An engine and a pool that say what their keys and slots say, in any order: for tests of the collector."""

import random

from paw_bench.config.schema import ContextConfig, EnvironmentConfig, ExperimentConfig, PromptConfig, RolloutConfig
from paw_bench.envs.protocol import StepResult, Task
from paw_bench.rollout.collector import Assignment
from paw_bench.rollout.engine import EngineFailed, Reply
from paw_bench.warm_start.tokenizer import build_tokenizer

PLACES = [f"shelf {number}" for number in range(1, 7)]
MAX_TURNS = 6


def config_of(mode="window", *, deterministic=False, **context) -> ExperimentConfig:
    return ExperimentConfig(
        environment=EnvironmentConfig(max_turns=MAX_TURNS, invalid_action="admissible"),
        prompt=PromptConfig(style="compact"),
        context=ContextConfig(mode=mode, **{"max_response_tokens": 8} | context),
        rollout=RolloutConfig(deterministic=deterministic),
    )


class Pool:
    """Answers in any order. An episode of task n ends after n actions, and is lost with its reset where n is 0."""

    workers, worked, answered = 1, 0.0, 0

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.asked, self.played, self.lengths, self.begun = chance, {}, {}, {}, []
        self.most = 0

    def clear(self):
        assert not self.asked

    def begin(self, assignments):
        for slot, (task, _) in assignments.items():
            assert slot not in self.played
            self.begun.append(slot)
            self.played[slot], self.lengths[slot] = [], int(task.location)
            self.asked[slot] = None
        unfinished = sum(slot in self.asked or len(one) < self.lengths[slot] for slot, one in self.played.items())
        self.most = max(self.most, unfinished)

    def act(self, actions):
        for slot, action in actions.items():
            assert slot not in self.asked
            assert len(self.played[slot]) < self.lengths[slot]
            self.asked[slot] = action

    def poll(self, timeout):
        assert timeout == 0.0 or self.asked, "waits for an answer that cannot come"
        few = self.chance.randint(0 if timeout == 0.0 else 1, len(self.asked)) if self.asked else 0
        return {slot: self._answer(slot) for slot in self.chance.sample(sorted(self.asked), few)}

    def reset(self, assignments):
        self.begin(dict(enumerate(assignments)))
        return [self._answer(slot) for slot in range(len(assignments))]

    def step(self, actions):
        self.act(actions)
        return {slot: self._answer(slot) for slot in actions}

    def drop(self, slot):
        self.lengths[slot] = len(self.played[slot])

    def _answer(self, slot):
        action = self.asked.pop(slot)
        if action is not None:
            self.played[slot].append(action)
        done = len(self.played[slot]) == self.lengths[slot]
        listed = tuple(f"go to {place}" for place in PLACES)
        return StepResult(told(slot, self.played[slot]), listed, 0.0, done, done, action in (None, *listed))


def told(slot: int, played: list[str]) -> str:
    return f"You arrive at shelf {1 + (slot + len(played)) % 6}." + " Nothing happens." * len(played)


class Engine:
    """What it says follows from the key of the noise alone."""

    def __init__(self, codec, fail_at=()) -> None:
        self.codec, self.fail_at, self.calls, self.largest, self.kept = codec, set(fail_at), 0, 0, set()

    def reply(self, key):
        ids = self.codec.encode(f"go to {PLACES[key % 6]}") + [self.codec.end_id] * (key % 3 > 0)
        ids = [self.codec.end_id] if key % 7 == 0 else ids
        return Reply(ids, [-(key % 11) / 7.0 - place for place in range(len(ids))], [0.5] * len(ids))

    def generate(self, requests, temperature):
        self.calls += 1
        self.largest = max(self.largest, len(requests))
        if self.calls in self.fail_at:
            raise EngineFailed("gone")
        self.kept |= {request.conversation for request in requests}
        return [self.reply(request.key) for request in requests]

    def forget(self, conversations):
        self.kept -= set(conversations)


def assignments_of(lengths) -> list[Assignment]:
    tasks = [Task(f"task-{number}", "pick", str(length)) for number, length in enumerate(lengths)]
    return [Assignment(task, number // 2, number % 2, 0, f"n{number}") for number, task in enumerate(tasks)]


def small_tokenizer():
    return build_tokenizer(["You arrive at shelf 1.", "go to shelf 1", "Nothing happens."], {"shelf": 6}, size=450)
