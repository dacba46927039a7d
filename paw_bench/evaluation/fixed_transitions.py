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
from typing import Any

import torch
from transformers import PreTrainedModel

from paw_bench.config.schema import ExperimentConfig
from paw_bench.envs.definition import definition, random_action
from paw_bench.envs.panels import Panel
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.episode import Episode, Source
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
    digest = hashlib.sha256()
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
            context = codec.window_ids(dialogue) if config.context.mode == "window" else contexts[slot]
            reply = said_as(actions[slot], config.prompt, kind.words)
            turn = codec.told_turn(context, reply, result.observation, action=actions[slot])
            episodes[slot].turns.append(turn)
            digest.update(f"{tasks[slot].task_id}\0{actions[slot]}\0{result.observation}\n".encode())
            players[slot].read(actions[slot], result.observation)
            dialogue.answer(actions[slot], result.observation, result.admissible)
            told = contexts[slot] + turn.action_ids + turn.separator_ids + turn.observation_ids
            contexts[slot] = told + codec.turn_opening(dialogue)
        running = [slot for slot in running if not results[slot].done]
    transitions = sum(len(episode.turns) for episode in episodes)
    return FixedTransitions(rows_of(episodes, config.context.mode), transitions, digest.hexdigest())


@torch.no_grad()
def measure(model: PreTrainedModel, fixed: FixedTransitions, batch: int) -> dict[str, Any]:
    """Mean negative log-likelihood (nats), perplexity, top-1 accuracy and mean 1 - p over the observation tokens."""
    was_training = model.training
    model.eval()
    nll = missed = hits = 0.0
    tokens = 0
    ordered = sorted(fixed.rows, key=lambda row: len(row.prompt_ids) + len(row.completion_ids))
    for start in range(0, len(ordered), batch):
        logits, labels = _observation_logits(model, ordered[start : start + batch])
        logps = logits.float().log_softmax(-1)
        chosen = logps.gather(-1, labels[:, None])[:, 0].double()
        nll -= chosen.sum().item()
        missed += (1.0 - chosen.exp()).sum().item()
        hits += (logps.argmax(-1) == labels).sum().item()
        tokens += labels.numel()
    model.train(was_training)
    return {
        "set_hash": fixed.sha256,
        "transitions": fixed.transitions,
        "tokens": tokens,
        "nll": nll / tokens,
        "perplexity": math.exp(nll / tokens),
        "accuracy": hits / tokens,
        "loss_mae": missed / tokens,
    }


def _observation_logits(model: PreTrainedModel, rows: list[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, V) and labels (N,) at the observation tokens of right-padded rows; no (B, T, V) tensor is made."""
    longest = max(len(row.prompt_ids) + len(row.completion_ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    attention = torch.zeros_like(ids)
    target = torch.zeros(len(rows), longest, dtype=torch.bool)
    for index, row in enumerate(rows):
        tokens = row.prompt_ids + row.completion_ids
        ids[index, : len(tokens)] = torch.tensor(tokens)
        attention[index, : len(tokens)] = 1
        start = len(row.prompt_ids)
        target[index, start : len(tokens)] = torch.tensor([source == Source.OBSERVATION for source in row.sources])
    ids, attention, target = ids.to(model.device), attention.to(model.device), target.to(model.device)
    hidden = model.base_model(input_ids=ids, attention_mask=attention).last_hidden_state[:, :-1]
    kept = target[:, 1:]
    return model.get_output_embeddings()(hidden[kept]), ids[:, 1:][kept]
