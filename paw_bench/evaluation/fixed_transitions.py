"""What the policy knows about its world: next-observation loss on one fixed set of transitions, the same for all arms.

The set is played by the environment's own player (no policy takes part) on the first games of the tune panel, which
no run trains on. Accuracy and perplexity are over the environment's own tokens, with the context that the policy would
have.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from paw_bench.config.schema import ExperimentConfig
from paw_bench.envs.definition import definition, random_action
from paw_bench.envs.panels import Panel
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.evaluation.noisy_tokens import names, noisy
from paw_bench.evaluation.probabilities import histogram
from paw_bench.evaluation.scoring import score
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.episode import Episode, Source
from paw_bench.rollout.fitting import Room
from paw_bench.rollout.prompts import Dialogue, said_as
from paw_bench.rollout.rows import Row, rows_of

GAMES = 24
"""Games of the fixed set."""
MISTAKES = 0.15
"""Share of the player's actions that are replaced by a random admissible one."""


@dataclass(frozen=True, slots=True)
class FixedTransitions:
    """The set, as rows of the run's own context form."""

    rows: list[Row]
    noisy: list[list[bool]]
    """Row by row, whether each observation token is noise (`paw_bench.evaluation.noisy_tokens`)."""
    transitions: int
    sha256: str


def play_fixed_transitions(
    config: ExperimentConfig, pool: EnvironmentPool, panel: Panel, codec: TurnCodec
) -> FixedTransitions:
    """Play the set. It depends on the panel, the environment and the prompt form, not on the policy or the seed."""
    tasks = panel.tasks[:GAMES]
    openings = pool.reset([(task, 0) for task in tasks])
    kind = definition(config.environment.name)
    dialogues = [Dialogue(opening.observation, opening.admissible, words=kind.words) for opening in openings]
    rngs = [random.Random(f"fixed/{task.task_id}") for task in tasks]
    players = [kind.player(config.environment, *pair) for pair in zip(tasks, openings, strict=True)]
    episodes = [Episode(task.task_id, task.task_type, number, 0, 0) for number, task in enumerate(tasks)]
    contexts = [codec.opening_ids(dialogue) for dialogue in dialogues]
    known = [names(codec.decode(context)) for context in contexts]
    marks: list[list[list[bool]]] = [[] for _ in tasks]
    digest = hashlib.sha256()
    room = Room(codec, longest=None)
    running = list(range(len(tasks)))
    while running:
        actions = {}
        for slot in running:
            dialogue, rng = dialogues[slot], rngs[slot]
            mistake = rng.random() < MISTAKES
            choices = dialogue.admissible if mistake else players[slot].choices(dialogue.admissible)
            actions[slot] = random_action(rng, choices, dialogue.task)
        results = pool.step(actions)
        for slot in running:
            result, dialogue = results[slot], dialogues[slot]
            context = room.window(dialogue).ids if config.context.mode == "window" else contexts[slot]
            reply = said_as(actions[slot], config.prompt, kind.words)
            turn = codec.told_turn(context, reply, result.observation, action=actions[slot])
            episodes[slot].turns.append(turn)
            if config.context.mode == "window":
                known[slot] = names(codec.decode(context))
            marks[slot].append(noisy(codec.pieces(turn.observation_ids), known[slot] | names(actions[slot])))
            digest.update(f"{tasks[slot].task_id}\0{actions[slot]}\0{result.observation}\n".encode())
            players[slot].read(actions[slot], result.observation)
            dialogue.answer(actions[slot], result.observation, result.admissible)
            told = turn.action_ids + turn.separator_ids + turn.observation_ids + codec.turn_opening(dialogue)
            contexts[slot] = contexts[slot] + told
            known[slot] |= names(codec.decode(told))
        running = [slot for slot in running if not results[slot].done]
    transitions = sum(len(episode.turns) for episode in episodes)
    if config.context.mode == "full":
        marks = [[list(chain.from_iterable(turns))] for turns in marks]
    by_row = [row for turns in marks for row in turns]
    return FixedTransitions(rows_of(episodes, config.context.mode), by_row, transitions, digest.hexdigest())


def measure(model: PreTrainedModel, fixed: FixedTransitions, batch: int, *, rho: float) -> dict[str, Any]:
    """Mean negative log-likelihood (nats), perplexity, top-1 accuracy and mean 1 - p over the observation tokens.

    `probabilities` is their histogram (`paw_bench.evaluation.probabilities`) with the clipping threshold `rho`; a token
    weighs 1 / (transitions |o|), as in PaW's loss over this set with nothing selected and lambda 1.
    """
    nll = missed = 0.0
    hits = tokens = 0
    ordered = sorted(range(len(fixed.rows)), key=lambda place: _length(fixed.rows[place]))
    scored = score(model, [fixed.rows[place] for place in ordered], batch)
    for part in scored:
        nll -= part.logps.sum().item()
        missed += (1.0 - part.logps.exp()).sum().item()
        hits += int(part.hits.sum().item())
        tokens += part.hits.numel()
    return {
        "set_hash": fixed.sha256,
        "transitions": fixed.transitions,
        "tokens": tokens,
        "nll": nll / tokens,
        "perplexity": math.exp(nll / tokens),
        "accuracy": hits / tokens,
        "loss_mae": missed / tokens,
        "probabilities": histogram(
            np.concatenate([part.logps.exp().cpu().numpy() for part in scored]),
            np.concatenate([_weights(fixed.rows[place]) for place in ordered]) / fixed.transitions,
            np.concatenate([np.array(fixed.noisy[place], dtype=bool) for place in ordered]),
            rho=rho,
        ),
    }


def _length(row: Row) -> int:
    return len(row.prompt_ids) + len(row.completion_ids)


def _weights(row: Row) -> np.ndarray:
    """1 / |o| for every observation token of the row."""
    turns = [turn for turn, source in zip(row.segments, row.sources, strict=True) if source == Source.OBSERVATION]
    _, place, counts = np.unique(turns, return_inverse=True, return_counts=True)
    weights: np.ndarray = 1.0 / counts[place]
    return weights
