"""Writes episodes down, token by token: what the policy reads next, and each turn once it was played."""

from __future__ import annotations

from dataclasses import dataclass, field

from paw_bench.config.schema import ExperimentConfig
from paw_bench.envs.definition import definition
from paw_bench.envs.protocol import StepResult, Task
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.engine import Reply, Request
from paw_bench.rollout.episode import Episode, Turn, receipt_of
from paw_bench.rollout.fitting import Prompt, Room
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
class Live:
    """An episode that is being played."""

    episode: Episode
    dialogue: Dialogue
    noise: str
    opening: Prompt
    """Full context: what comes before `tokens`."""
    tokens: list[int] = field(default_factory=list)
    """Full context: everything after the opening so far."""
    lost: StepResult | None = None
    """The environment was lost with its very first answer: this stands for the answer to the one action."""
    done: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What the policy said to a prompt, before its environment has answered."""

    prompt: Prompt
    reply: Reply
    receipt: int
    action: str
    formed: bool
    """Whether the reply has the form that is asked for."""


class Scribe:
    """Knows how turns are told; it plays nothing itself."""

    def __init__(self, config: ExperimentConfig, codec: TurnCodec, *, longest: int | None) -> None:
        """`longest`: tokens that the model can read at once (None: any number)."""
        self.config = config
        self.codec = codec
        self.room = Room(codec, longest)
        self.words = definition(config.environment.name).words
        self._full = config.context.mode == "full"

    def begin(self, assignment: Assignment, opening: StepResult) -> Live:
        """An episode whose environment has just answered its reset."""
        task = assignment.task
        dialogue = Dialogue(opening.observation, opening.admissible, words=self.words)
        episode = Episode(task.task_id, task.task_type, assignment.group, assignment.index, assignment.seed)
        prompt = self.room.opening(dialogue) if self._full else Prompt([])
        return Live(episode, dialogue, assignment.noise, prompt, lost=opening if opening.done else None)

    def prompt(self, live: Live) -> Prompt:
        """What the policy reads before its next action."""
        if not self._full:
            return self.room.window(live.dialogue)
        first = not live.episode.turns
        return Prompt(live.opening.ids + live.tokens, cut=live.opening.cut if first else 0)

    def request(self, live: Live, prompt: Prompt, conversation: int) -> Request:
        """The engine's request for the next reply."""
        return Request(prompt.ids, noise_key(live.noise, len(live.episode.turns)), conversation)

    def said(self, prompt: Prompt, reply: Reply) -> Said:
        """What a reply means to the environment."""
        action, formed = action_of(self.codec.decode(reply.ids), self.config.prompt, self.words)
        return Said(prompt, reply, receipt_of(reply.ids, reply.logprobs), action, formed)

    def write(self, live: Live, said: Said, result: StepResult) -> None:
        """Add the turn that ends with the environment's answer to `said`."""
        environment, reply = self.config.environment, said.reply
        valid = said.formed if environment.invalid_action == "format" else said.formed and result.accepted
        separator = self.codec.separator(ended=reply.ids[-1] == self.codec.end_id)
        live.dialogue.answer(said.action, result.observation, result.admissible)
        listed = self._listed(live.dialogue, done=result.done)
        observation, closing, unread = self.room.observation(
            len(said.prompt.ids) + len(reply.ids) + len(separator),
            self.codec.observation_ids(result.observation + listed),
        )
        live.episode.turns.append(
            Turn(
                context_ids=said.prompt.ids,
                action_ids=reply.ids,
                action_logprobs=reply.logprobs,
                action_entropies=reply.entropies,
                action_text=said.action,
                observation_text=result.observation,
                observation_ids=observation,
                separator_ids=separator,
                reward=result.reward,
                penalty=0.0 if valid else environment.invalid_action_penalty,
                valid=valid,
                accepted=result.accepted,
                receipt=said.receipt,
                listed_text=listed,
                closing_ids=closing,
                unread_tokens=unread,
                dropped_turns=said.prompt.dropped,
                cut_tokens=said.prompt.cut,
            )
        )
        live.episode.success = result.success
        live.episode.score = result.score
        live.done = result.done
        if self._full and not result.done:
            self._go_on(live, live.episode.turns[-1])

    def _go_on(self, live: Live, turn: Turn) -> None:
        """Full context: what was said since the opening, up to the next action. It may leave no room for one."""
        told = turn.context_ids[len(live.opening.ids) :] + turn.action_ids + turn.separator_ids
        told += turn.observation_ids + turn.closing_ids
        live.tokens = told + self.codec.turn_opening(live.dialogue, listed=self._lists_in_target)
        if not self.room.another_turn(live.opening.ids + live.tokens):
            live.done = live.episode.outgrown = True

    @property
    def _lists_in_target(self) -> bool:
        return self.config.world_model.enabled and self.config.world_model.admissible_in_target

    def _listed(self, dialogue: Dialogue, *, done: bool) -> str:
        """The admissible actions as the next prompt lists them, where they belong to the target observation."""
        return admissible_suffix(dialogue, self.config.prompt) if self._lists_in_target and not done else ""
