"""Full contexts on several processes: TRL's batch of the update, dealt to the ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from trl.trainer.utils import shuffle_sequence_dict

from paw_bench.training.batch import rl_scale, split
from paw_bench.training.loop import Part, action_mask, filled
from paw_bench.training.mixin import Batch
from paw_bench.training.steps import OwnMicroBatches


class FullShares(OwnMicroBatches):
    """Goes before a trainer on full contexts.

    Every rank lets TRL make the batch of the whole update and shuffles it, as one process does. TRL's passes without
    gradient, over all rows, are left out of that: each rank makes them for its own micro-batches.
    """

    _leave_out = False

    def _collect_steps(self) -> tuple[list[list[Batch]], list[list[Batch]]]:
        algorithm = self.run.experiment.algorithm
        count, steps = algorithm.groups * algorithm.group_size, algorithm.optimizer_steps
        with self.ranks.as_one(), self._passes_left_out():
            whole = self._batch_of_update([{"prompt": ""} for _ in range(count)])
        numbered: dict[str, Any] = {**whole, "row": torch.arange(count)}
        shuffled = shuffle_sequence_dict(numbered)
        dealt = [self._own_parts(shuffled, step) for step in torch.arange(count).split(count // steps)]
        parts: list[Part] = [(batch, batch.pop("row").tolist()) for batches in dealt for batch in batches]
        for batch, _ in parts:
            self._make_passes(batch)
        self._score(parts)
        self._filled = filled([batch for batch, _ in parts])
        return dealt, [[] for _ in dealt]

    def _own_parts(self, update: Batch, step: Tensor) -> list[Batch]:
        """This rank's micro-batches of the rows `step` of the update's shuffled batch."""
        algorithm = self.run.experiment.algorithm
        parts = split(step.numpy(), self.run.execution.micro_batch_rows, self.ranks.count)
        step_tokens = action_mask(update)[step].sum()
        found = []
        for part in self.ranks.share(parts):
            batch: Batch = {
                name: value[torch.from_numpy(part)] if isinstance(value, Tensor) and value.ndim else value
                for name, value in update.items()
            }
            tokens = action_mask(batch).sum()
            batch["rl_scale"] = rl_scale(
                self.loss_type,
                rows=len(part),
                tokens=int(tokens),
                update_rows=len(update["row"]),
                step_tokens=int(step_tokens),
                steps=algorithm.optimizer_steps,
            )
            if algorithm.name == "grpo":
                # TRL's bonus is a mean over the step, where ours is a mean over the update.
                batch["entropy_scale"] = 1.0 / (step_tokens * update["token_weight"])
            found.append(batch)
        return found

    @contextmanager
    def _passes_left_out(self) -> Iterator[None]:
        self._leave_out = True
        try:
            yield
        finally:
            self._leave_out = False

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> tuple[Any, ...]:
        if self._leave_out:
            nothing = torch.zeros(len(input_ids), logits_to_keep, device=input_ids.device)
            return nothing, nothing, None
        return super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, logits_to_keep, *args, **kwargs
        )

    def _make_passes(self, batch: Batch) -> None:
        """Put in what TRL's passes would have given: log-probabilities of the old policy and of the initial one."""
        if {"old_per_token_logps", "old_logps"} & batch.keys():
            logps = self._score_pass(self.model, batch)[0]
            if "old_logps" in batch:
                batch["old_logps"] = (logps * action_mask(batch)).sum(1)
            else:
                batch["old_per_token_logps"] = logps
        if "ref_per_token_logps" in batch:
            batch["ref_per_token_logps"] = self._reference_logps(batch)
