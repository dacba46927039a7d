"""Windowed contexts: a row a transition, so the number of rows varies from update to update."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import trl.trainer.utils
from torch import Tensor

from paw_bench.rollout.rows import Row
from paw_bench.training.advantages.rows import row_advantages
from paw_bench.training.batch import Columns, micro_batch, plan_steps, rl_scale
from paw_bench.training.columns import inverse_rows, replace_targets, world_model_columns
from paw_bench.training.loop import filled
from paw_bench.training.mixin import Batch
from paw_bench.training.steps import OwnMicroBatches


class WindowRows(OwnMicroBatches):
    """Goes before a trainer of `UpdateLoop`: its rows are transitions.

    The engine's log-probabilities stand for the old policy's, so an update costs no pass of its own for them.
    """

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        with _completions_only():
            return super()._get_per_token_logps_and_entropies(*args, **kwargs)

    def _collect_steps(self) -> tuple[list[list[Batch]], list[list[Batch]]]:
        """A new update: per optimizer step of one pass its micro-batches, and those of inverse-dynamics rows."""
        experiment, update = self.run.experiment, self.updates_done + 1
        world_model = experiment.world_model
        rows = self.collect_rows()
        if world_model.enabled:
            rows = replace_targets(
                rows,
                world_model.targets,
                limit=world_model.max_target_tokens,
                vocabulary=self._plain_vocabulary(),
                seed=experiment.seed,
                update=update,
            )
        rollout = self._rollout_done
        self._columns = world_model_columns(rows, rollout.episodes, experiment, update)
        advantages = row_advantages(rows, rollout.episodes, experiment.algorithm)
        plan = self._plan(rows)
        steps = self._micro_batches(plan, rows, self._columns.by_row(), advantages)
        self._scale(steps, plan, rows)
        self._score(
            [
                (batch, part.tolist())
                for batches, parts in zip(steps, plan, strict=True)
                for batch, part in zip(batches, self.ranks.share(parts), strict=True)
            ]
        )
        return steps, self._inverse_steps(rows)

    def _inverse_steps(self, rows: list[Row]) -> list[list[Batch]]:
        """Per optimizer step, this rank's micro-batches of the rows that only the world-model term is trained on."""
        weights = self._columns.inverse
        nothing = [np.zeros_like(weight) for weight in weights]
        columns = {"wm_weights": weights, "wm_measure": nothing, "wm_observed": nothing}
        extra = inverse_rows(rows) if weights else []
        steps = self._micro_batches(self._plan(extra), extra, columns, torch.zeros(len(extra)))
        return [[self._on_device(batch | {"wm_alone": True}) for batch in batches] for batches in steps]

    def _plan(self, rows: list[Row]) -> list[list[Tensor]]:
        """Row numbers of all micro-batches of the pass's optimizer steps, of which each rank has its share."""
        experiment = self.run.experiment
        return plan_steps(
            rows,
            steps=experiment.algorithm.optimizer_steps,
            micro_batch_rows=self.run.execution.micro_batch_rows,
            seed=experiment.seed,
            update=self.updates_done + 1,
            ranks=self.ranks.count,
        )

    def _micro_batches(
        self, plan: list[list[Tensor]], rows: list[Row], columns: Columns, advantages: Tensor
    ) -> list[list[Batch]]:
        """This rank's micro-batches of each optimizer step."""
        return [
            [
                micro_batch(
                    [rows[index] for index in part],
                    {name: [column[index] for index in part] for name, column in columns.items()},
                    advantages[part],
                    pad_id=self._tokenizer.pad_token_id,
                )
                for part in self.ranks.share(parts)
            ]
            for parts in plan
        ]

    def _on_device(self, batch: Batch) -> Batch:
        return {name: v.to(self.args.device) if isinstance(v, Tensor) else v for name, v in batch.items()}

    def _scale(self, steps: list[list[Batch]], plan: list[list[Tensor]], rows: list[Row]) -> None:
        """Give every micro-batch its share of the losses, and put it on the device."""
        actions = torch.tensor([sum(row.action_mask) for row in rows])
        tokens = [int(actions[torch.cat(parts)].sum()) for parts in plan]
        for batches, step_tokens in zip(steps, tokens, strict=True):
            for batch in batches:
                batch["num_items_in_batch"] = torch.tensor(sum(tokens))
                batch["token_weight"] = len(steps) / sum(tokens)
                batch["rl_scale"] = rl_scale(
                    self.loss_type,
                    rows=len(batch["advantages"]),
                    tokens=int(batch["tool_mask"].sum()),
                    update_rows=len(rows),
                    step_tokens=step_tokens,
                    steps=len(steps),
                )
                batch.update(self._on_device(batch))
                if self.run.experiment.algorithm.kl_coefficient:
                    batch["ref_per_token_logps"] = self._reference_logps(batch)
        self._filled = filled([batch for batches in steps for batch in batches])

    def _plain_vocabulary(self) -> list[int]:
        """Token ids without the special ones."""
        special = set(self._tokenizer.all_special_ids)
        return [index for index in range(len(self._tokenizer)) if index not in special]


@contextmanager
def _completions_only() -> Iterator[None]:
    """Make TRL's fused head score labelled positions only, as it does on GPUs; elsewhere it scores prompts too.

    TRL keeps shapes constant there for compilers that we do not use. On a CPU the head over a prompt and its padding
    is about a sixth of a training step of the embedded model.
    """
    trl_utils: Any = trl.trainer.utils
    original = trl_utils._use_triton
    trl_utils._use_triton = lambda device: True
    try:
        yield
    finally:
        trl_utils._use_triton = original
