"""What the world-model term needs from an update's rows: selection, lambda and weights, fixed before any split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from paw_bench.config.schema import ExperimentConfig
from paw_bench.envs.definition import definition
from paw_bench.rollout.episode import Episode, Source
from paw_bench.rollout.rows import Row
from paw_bench.world_model.balance import constant, reward_adaptive, scheduled
from paw_bench.world_model.selection import select, transition_scores
from paw_bench.world_model.targets import random_tokens, shuffled
from paw_bench.world_model.weights import observation_weights

FloatArray = np.ndarray[tuple[int], np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class WorldModelColumns:
    """Per row, one value a completion token (0 off the observation tokens), and what they say of the update."""

    weights: list[FloatArray]
    """w of `world_model.weights.observation_weights`."""
    measure: list[FloatArray]
    """1 / (selected * |o|) on selected transitions: the diagnostics' weights, without lambda."""
    observed: list[FloatArray]
    """1 on every target: the observation tokens, or the first `max_target_tokens` of each observation."""
    inverse: list[FloatArray]
    """Per row of `inverse_rows`, the weight of each of its action tokens (`inverse_dynamics`; empty without)."""
    lambda_mean: float
    selected_share: float
    """Selected transitions of the pool P, the transitions that have an action and an observation."""

    def by_row(self) -> dict[str, list[FloatArray]]:
        """The columns under the names that `mixin.WorldModelMixin` reads from a batch."""
        return {"wm_weights": self.weights, "wm_measure": self.measure, "wm_observed": self.observed}


def world_model_columns(
    rows: Sequence[Row], episodes: Sequence[Episode], experiment: ExperimentConfig, update: int
) -> WorldModelColumns:
    """Columns of an update. `rows` are `rows_of(episodes)`; `episodes` are sorted by (group, index)."""
    config, algorithm = experiment.world_model, experiment.algorithm
    pool = _pool_of(rows, config.max_target_tokens)
    count = len(pool.group)
    scores = transition_scores(
        config.selection.score,
        logprobs=pool.logprobs,
        entropies=pool.entropies,
        transition=pool.token_transition,
        count=count,
        seed=experiment.seed,
        update=update,
    )
    selected = select(scores, config.selection.alpha)
    lambdas = group_lambdas(episodes, experiment, update)
    weights_of = partial(
        observation_weights,
        selected=selected,
        group=pool.group,
        episode=pool.episode,
        lambdas=lambdas,
        steps=algorithm.optimizer_steps,
        normaliser=config.loss.normaliser,
    )
    weights = weights_of(lengths=pool.lengths)
    inverse: list[FloatArray] = []
    if config.inverse_dynamics:
        actions = torch.bincount(pool.token_transition, minlength=count)
        pairs = zip(weights_of(lengths=actions).tolist(), actions.tolist(), strict=True)
        inverse = [np.full(n, w, dtype=np.float32) for w, n in pairs]
    measure = selected / (selected.sum().clamp(min=1) * pool.lengths)
    return WorldModelColumns(
        weights=pool.spread(weights),
        measure=pool.spread(measure),
        observed=pool.spread(torch.ones(count)),
        inverse=inverse,
        lambda_mean=lambdas.mean().item(),
        selected_share=selected.double().mean().item() if count else 0.0,
    )


def replace_targets(
    rows: Sequence[Row], kind: str, *, limit: int | None = None, vocabulary: Sequence[int], seed: int, update: int
) -> list[Row]:
    """Windowed rows with their observation cut to `limit` tokens and replaced, as input and as label.

    `kind` and `limit` are `world_model.targets` (`true`: the row's own) and `max_target_tokens`; `vocabulary` are the
    ids that `random_tokens` draws from.
    """
    if kind == "true" and limit is None:
        return list(rows)
    new = [_of(row, Source.OBSERVATION)[:limit] for row in rows]
    if kind == "shuffled":
        new = shuffled(new, seed=seed, update=update)
    elif kind == "random_tokens":
        new = random_tokens(new, vocabulary, seed=seed, update=update)
    return [_with_observation(row, observation) for row, observation in zip(rows, new, strict=True)]


def inverse_rows(rows: Sequence[Row]) -> list[Row]:
    """A row for each transition of windowed rows: its action, given the context and the next observation.

    (h_t, a_t, glue, o_{t+1}) becomes (h_t, o_{t+1}, glue | a_t): EnvRL's inverse dynamics (arXiv 2606.17680; the order
    within the prompt is ours). Such rows take no part in the RL loss.
    """
    found = []
    for row in rows:
        action, observation = _of(row, Source.ACTION), _of(row, Source.OBSERVATION)
        if action and observation:
            blank = [0.0] * len(action)
            found.append(
                replace(
                    row,
                    prompt_ids=row.prompt_ids + observation + _of(row, Source.TEMPLATE),
                    completion_ids=action,
                    sources=[Source.ACTION] * len(action),
                    segments=[row.turn] * len(action),
                    logprobs=blank,
                    entropies=blank,
                )
            )
    return found


@dataclass(frozen=True, slots=True)
class _Pool:
    """The pool P in the order of the rows: N transitions with A action tokens."""

    group: torch.Tensor
    episode: torch.Tensor
    lengths: torch.Tensor
    logprobs: torch.Tensor
    entropies: torch.Tensor
    token_transition: torch.Tensor
    """Transition of each action token (A,)."""
    row_transition: list[np.ndarray]
    """Per row, the transition whose observation each completion token belongs to, or -1."""

    def spread(self, values: torch.Tensor) -> list[FloatArray]:
        """One value a transition -> per row, one value a completion token (0 off the observations)."""
        padded = np.append(values.numpy().astype(np.float32), np.float32(0.0))
        return [padded[index] for index in self.row_transition]


def _pool_of(rows: Sequence[Row], limit: int | None) -> _Pool:
    """`limit`: only so many of an observation's tokens are targets."""
    group: list[int] = []
    episode: list[int] = []
    lengths: list[int] = []
    row_transition, logprobs, entropies, token_transition = [], [], [], []
    for row in rows:
        source, segment = np.array(row.sources, dtype=np.int64), np.array(row.segments, dtype=np.int64)
        action, observation = source == Source.ACTION, _first(source == Source.OBSERVATION, segment, limit)
        turns = int(segment.max()) + 1
        targets = np.bincount(segment[observation], minlength=turns)
        # An action without an answer, or an empty answer, has no target and is no transition of the pool.
        real = (np.bincount(segment[action], minlength=turns) > 0) & (targets > 0)
        number = np.where(real, len(group) + np.cumsum(real) - 1, -1)
        row_transition.append(np.where(observation, number[segment], -1))
        scored = action & real[segment]
        token_transition.append(number[segment[scored]])
        logprobs.append(np.array(row.logprobs, dtype=np.float64)[scored])
        entropies.append(np.array(row.entropies, dtype=np.float64)[scored])
        lengths += targets[real].tolist()
        group += [row.group] * int(real.sum())
        episode += [row.episode] * int(real.sum())
    return _Pool(
        group=torch.tensor(group, dtype=torch.long),
        episode=torch.tensor(episode, dtype=torch.long),
        lengths=torch.tensor(lengths, dtype=torch.long),
        logprobs=torch.from_numpy(np.concatenate(logprobs)),
        entropies=torch.from_numpy(np.concatenate(entropies)),
        token_transition=torch.from_numpy(np.concatenate(token_transition)),
        row_transition=row_transition,
    )


def group_lambdas(episodes: Sequence[Episode], experiment: ExperimentConfig, update: int) -> torch.Tensor:
    """lambda of each group (groups,) in an update (1-based)."""
    balance, groups = experiment.world_model.balance, experiment.algorithm.tasks
    if balance.kind == "constant":
        assert balance.value is not None
        return constant(balance.value, groups=groups)
    if balance.kind != "reward_adaptive":
        assert balance.value is not None
        assert balance.final is not None
        updates = experiment.training.updates
        value = scheduled(balance.kind, first=balance.value, last=balance.final, update=update, updates=updates)
        return constant(value, groups=groups)
    returns = torch.tensor([e.env_return - e.penalty * balance.include_penalty for e in episodes], dtype=torch.float64)
    group = torch.tensor([episode.group for episode in episodes])
    max_return = balance.max_return or definition(experiment.environment.name).max_return(experiment.environment)
    if balance.over == "update":
        return reward_adaptive(returns, torch.zeros_like(group), groups=1, max_return=max_return).expand(groups)
    return reward_adaptive(returns, group, groups=groups, max_return=max_return)


def _first(chosen: np.ndarray, segment: np.ndarray, limit: int | None) -> np.ndarray:
    """The mask `chosen` (T,), kept for the first `limit` chosen tokens of each segment."""
    places = np.flatnonzero(chosen)
    rank = np.arange(len(places)) - np.searchsorted(segment[places], segment[places])
    kept = np.zeros_like(chosen)
    kept[places if limit is None else places[rank < limit]] = True
    return kept


def _of(row: Row, source: Source) -> list[int]:
    """The completion's tokens from one source."""
    return [token for token, own in zip(row.completion_ids, row.sources, strict=True) if own == source]


def _with_observation(row: Row, observation: list[int]) -> Row:
    """A windowed row (action, separator, observation) that ends in another observation.

    The mark behind an observation that had no room goes with it.
    """
    kept = row.sources.index(Source.OBSERVATION) if Source.OBSERVATION in row.sources else len(row.sources)
    added = len(observation)
    return replace(
        row,
        completion_ids=row.completion_ids[:kept] + observation,
        sources=row.sources[:kept] + [Source.OBSERVATION] * added,
        segments=row.segments[:kept] + [row.turn] * added,
        logprobs=row.logprobs[:kept] + [0.0] * added,
        entropies=row.entropies[:kept] + [0.0] * added,
    )
