"""A model's episodes of one task: how sure it was, how the world surprised it, and what PaW would train on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from paw_bench import models
from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.envs.protocol import Task
from paw_bench.errors import UserError
from paw_bench.evaluation.samples import word_by_word
from paw_bench.play.events import Ended, Group, Played, Weighed
from paw_bench.play.policies import ModelPolicy
from paw_bench.rollout.build import build_collector
from paw_bench.rollout.episode import Episode
from paw_bench.rollout.rows import rows_of
from paw_bench.rollout.scribe import Assignment
from paw_bench.store.checkpoints import CHECKPOINT_FILE
from paw_bench.training.columns import group_lambdas, world_model_columns
from paw_bench.training.lora import lora_of


def play_group(
    policy: ModelPolicy,
    task: Task,
    pool: EnvironmentPool,
    config: RunConfig,
    *,
    seed: int,
) -> tuple[list[Played], Ended]:
    """Play as many episodes of `task` as a group has, as training does; returns the turns and the end of the first.

    The same arguments give the same episodes. Raises UserError where the model or the checkpoint cannot be loaded.
    """
    experiment, execution = config.experiment, config.execution
    torch.set_num_threads(execution.threads)
    disable_progress_bar()
    if execution.device == "cuda" and not torch.cuda.is_available():
        cpu = "--set execution.device=cpu --set execution.gpus=0"
        raise UserError("execution.device is cuda, and torch finds no GPU", f"play on the CPU: {cpu}")
    model, tokenizer = load_policy(policy, experiment, execution.device)
    collector = build_collector(config, pool, model, tokenizer)
    paired = experiment.algorithm.episodes_per_task > 1
    assignments = [
        Assignment(task, 0 if paired else number, number if paired else 0, seed, f"play/{seed}/{task.task_id}/{number}")
        for number in range(experiment.algorithm.group_size)
    ]
    episodes = collector.collect(assignments, experiment.rollout.temperature)
    mode, batch = experiment.context.mode, execution.micro_batch_rows
    told = word_by_word(episodes[:1], model=model, codec=collector.codec, mode=mode, batch=batch)[0]
    selected, group = _selection(episodes, experiment)
    turns = [_played(number, turn, number in selected) for number, turn in enumerate(told["turns"])]
    first = episodes[0]
    return turns, Ended(len(turns), first.success, first.env_return, first.score, group=group)


def load_policy(
    policy: ModelPolicy, experiment: ExperimentConfig, device: str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer. Raises UserError where they cannot be loaded."""
    model, tokenizer = models.load(experiment.model, device)
    if policy.checkpoint is None:
        return model, tokenizer
    adapters = lora_of(experiment.model)
    if adapters:
        from peft import get_peft_model

        model = cast(PreTrainedModel, get_peft_model(model, adapters))
    path = policy.checkpoint / CHECKPOINT_FILE
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["model"]
        # PPO's critic is no part of the policy.
        model.load_state_dict({name: value for name, value in state.items() if not name.startswith("value_head.")})
    except (OSError, RuntimeError, KeyError) as error:
        raise UserError(
            f"{path}: cannot be loaded into {experiment.model.name!r}: {str(error).splitlines()[0]}",
            "a run that trains replaces its checkpoints: try again; its model.name must be what it was",
        ) from error
    return model, tokenizer


def _selection(episodes: Sequence[Episode], experiment: ExperimentConfig) -> tuple[set[int], Group]:
    """Turns of the first episode that PaW's selection takes out of the pool of all, and the group in numbers."""
    rows = rows_of(list(episodes), experiment.context.mode)
    columns = world_model_columns(rows, episodes, experiment, update=1)
    pool, selected = set(), set()
    for row, observed, measure in zip(rows, columns.observed, columns.measure, strict=True):
        for turn, target, weight in zip(row.segments, observed, measure, strict=True):
            pool |= {(row.episode, turn)} if target > 0 else set()
            selected |= {(row.episode, turn)} if weight > 0 else set()
    return {turn for episode, turn in selected if episode == 0}, Group(
        episodes=len(episodes),
        successes=sum(episode.success for episode in episodes),
        mean_return=sum(episode.env_return for episode in episodes) / len(episodes),
        weight=group_lambdas(episodes, experiment, update=1)[0].item(),
        enabled=experiment.world_model.enabled,
        alpha=experiment.world_model.selection.alpha,
        transitions=len(pool),
        selected=len(selected),
    )


def _played(number: int, turn: Mapping[str, Any], selected: bool) -> Played:
    reply, observation = turn["reply"], turn["observation"]
    return Played(
        turn=number + 1,
        action=turn["action"],
        accepted=turn["accepted"],
        observation="".join(observation["tokens"]),
        reward=turn["reward"],
        penalty=turn["penalty"],
        reply=Weighed(reply["tokens"], [None if math.isnan(nats) else nats for nats in reply["entropy"]]),
        told=Weighed(observation["tokens"], observation["surprise"]),
        selected=selected,
    )
