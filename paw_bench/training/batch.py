"""Windowed rows as micro-batches: which rows go into which optimizer step, and with which masks and advantages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from paw_bench.rollout.rows import Row
from paw_bench.training.columns import FloatArray
from paw_bench.world_model.keyed import keyed_generator

Columns = dict[str, list[FloatArray]]
IntArray = np.ndarray[tuple[int], np.dtype[np.int64]]


def plan_steps(
    rows: Sequence[Row], *, steps: int, micro_batch_rows: int, seed: int, update: int, ranks: int = 1
) -> list[list[Tensor]]:
    """Row numbers of each micro-batch of each of the pass's `steps` optimizer steps.

    Rows are dealt to the steps at random (keyed by seed and update), so that every step's rows are an unbiased
    sample of the update's. Within a step, where the gradient is a sum and order does not matter, rows of similar
    length share a micro-batch; micro-batches hold at most `micro_batch_rows` rows and are equally large up to one.
    """
    order = keyed_generator("rows of steps", seed=seed, update=update).permutation(len(rows))
    lengths = np.array([len(row.prompt_ids) + len(row.completion_ids) for row in rows])
    plan = []
    for chunk in np.array_split(order, steps):
        by_length = chunk[np.argsort(lengths[chunk], kind="stable")]
        plan.append([torch.from_numpy(part) for part in split(by_length, micro_batch_rows, ranks)])
    return plan


def split(rows: IntArray, micro_batch_rows: int, ranks: int) -> list[IntArray]:
    """The rows of a step as the fewest micro-batches of at most `micro_batch_rows` rows that `ranks` divides.

    A step with fewer rows than that has a row a micro-batch.
    """
    count = min(len(rows), ranks * -(-len(rows) // (ranks * micro_batch_rows)))
    return np.array_split(rows, count) if count else []


def micro_batch(rows: Sequence[Row], columns: Columns, advantages: Tensor, *, pad_id: int) -> dict[str, Tensor]:
    """One micro-batch in the form of TRL's `_compute_loss`, padded to its own longest row.

    Sequences are left-aligned, so positions are those of the engine and the width is the longest row's. TRL wants
    prompt and completion apart: the cut is the shortest prompt of the micro-batch (at least one token lies before
    it), and the rest of longer prompts stands in the completion, attended to but masked out of every loss.
    `columns` hold one array a row over its own completion; `advantages` one value a row.
    """
    cut = min(len(row.prompt_ids) for row in rows)
    lengths = [len(row.prompt_ids) + len(row.completion_ids) for row in rows]
    shape = (len(rows), max(lengths) - cut)
    ids = torch.full((len(rows), max(lengths)), pad_id)
    batch = {
        "completion_mask": torch.zeros(shape, dtype=torch.long),
        "tool_mask": torch.zeros(shape, dtype=torch.long),
        "sampling_per_token_logps": torch.zeros(shape),
        **{name: torch.zeros(shape) for name in columns},
    }
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        ids[number, :length] = torch.tensor(row.prompt_ids + row.completion_ids)
        batch["completion_mask"][number, : length - cut] = 1
        completion = slice(len(row.prompt_ids) - cut, length - cut)
        batch["tool_mask"][number, completion] = torch.tensor(row.action_mask)
        batch["sampling_per_token_logps"][number, completion] = torch.tensor(row.logprobs)
        for name, column in columns.items():
            batch[name][number, completion] = torch.from_numpy(column[number])
    return {
        "prompt_ids": ids[:, :cut],
        "prompt_mask": torch.ones((len(rows), cut), dtype=torch.long),
        "completion_ids": ids[:, cut:],
        "advantages": advantages,
        "old_per_token_logps": batch["sampling_per_token_logps"],
        "old_logps": (batch["sampling_per_token_logps"] * batch["tool_mask"]).sum(1),
        **batch,
    }


def rl_scale(loss_type: str, *, rows: int, tokens: int, update_rows: int, step_tokens: int, steps: int) -> float:
    """What makes TRL's loss of a micro-batch its share of the optimizer step's, whatever the split.

    TRL divides by the micro-batch's `rows` (grpo, dr_grpo), by its action `tokens` (bnpo), or by the update's tokens
    per step (dapo, which is already independent of the split). Here rows count k / `update_rows` and bnpo's tokens
    1 / `step_tokens`, with k = `steps` of one pass.
    """
    if loss_type == "dapo":
        return 1.0
    if loss_type == "bnpo":
        return tokens / max(step_tokens, 1)
    return rows * steps / update_rows
