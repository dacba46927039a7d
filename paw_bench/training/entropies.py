"""The entropies of action tokens where the engine gave none (vLLM): one scoring pass over what it sampled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice

import torch
from transformers import PreTrainedModel

from paw_bench.evaluation.scoring import score_actions
from paw_bench.rollout.episode import Episode
from paw_bench.rollout.rows import rows_of


def fill_entropies(episodes: Sequence[Episode], model: PreTrainedModel, *, mode: str, batch: int) -> None:
    """Put the full-vocabulary entropies (nats) under `model` where they are NaN. `mode`: the context's; `batch`: rows.

    `model` has the weights that the episodes were sampled with. Does nothing where the engine took them itself.
    """
    missing = [episode for episode in episodes if math.isnan(episode.turns[0].action_entropies[0])]
    if not missing:
        return
    ordered = sorted(missing, key=lambda episode: (episode.group, episode.index))
    scored = score_actions(model, rows_of(ordered, mode), batch)
    values = iter(torch.cat([part.entropies for part in scored]).tolist())
    for episode in ordered:
        for turn in episode.turns:
            turn.action_entropies = list(islice(values, len(turn.action_ids)))
