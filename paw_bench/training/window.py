"""Windowed contexts: a row a transition, so the number of rows varies from update to update."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import trl.trainer.utils
from torch import Tensor

from paw_bench.rollout.rows import Row
from paw_bench.training.advantages.rows import row_advantages
from paw_bench.training.batch import micro_batch, plan_steps, rl_scale
from paw_bench.training.columns import replace_targets, world_model_columns
from paw_bench.training.loop import UpdateLoop, padding_share
from paw_bench.training.mixin import Batch


class WindowRows(UpdateLoop):
    """Goes before a trainer of `UpdateLoop`: its rows are transitions.

    HF sees one batch an optimizer step; `training_step` runs the step's own micro-batches, as many as its rows need.
    The engine's log-probabilities stand for the old policy's, so an update costs no pass of its own for them.
    """

    def training_step(self, model: torch.nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward over the micro-batches of one optimizer step; returns the step's loss."""
        step = self.state.global_step % self._steps_per_update
        if step == 0:
            self._steps = self._collect_steps()
        losses = []
        for batch in self._steps[step % len(self._steps)]:
            losses.append(super().training_step(model, batch, num_items_in_batch))
        return torch.stack(losses).sum()

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        with _completions_only():
            return super()._get_per_token_logps_and_entropies(*args, **kwargs)

    def _prepare_inputs(self, inputs: Any) -> Any:
        """Micro-batches are ready: TRL would collect and split here."""
        return inputs

    def _collect_steps(self) -> list[list[Batch]]:
        """A new update: per optimizer step of one pass, its micro-batches."""
        experiment, update = self.run.experiment, self.updates_done + 1
        algorithm = experiment.algorithm
        rows = replace_targets(
            self.collect_rows(),
            experiment.world_model.targets if experiment.world_model.enabled else "true",
            vocabulary=self._plain_vocabulary(),
            seed=experiment.seed,
            update=update,
        )
        rollout = self._rollout_done
        self._columns = world_model_columns(rows, rollout.episodes, experiment, update)
        columns = self._columns.by_row()
        advantages = row_advantages(rows, rollout.episodes, algorithm)
        plan = plan_steps(
            rows,
            steps=algorithm.optimizer_steps,
            micro_batch_rows=self.run.execution.micro_batch_rows,
            seed=experiment.seed,
            update=update,
        )
        steps = [
            [
                micro_batch(
                    [rows[index] for index in part],
                    {name: [column[index] for index in part] for name, column in columns.items()},
                    advantages[part],
                    pad_id=self._tokenizer.pad_token_id,
                )
                for part in parts
            ]
            for parts in plan
        ]
        self._scale(steps, rows)
        self._score(
            [
                (batch, part.tolist())
                for batches, parts in zip(steps, plan, strict=True)
                for batch, part in zip(batches, parts, strict=True)
            ]
        )
        return steps

    def _scale(self, steps: list[list[Batch]], rows: list[Row]) -> None:
        """Give every micro-batch its share of the losses, and put it on the device."""
        tokens = [[int(batch["tool_mask"].sum()) for batch in batches] for batches in steps]
        total = sum(map(sum, tokens))
        for batches, counts in zip(steps, tokens, strict=True):
            for batch, count in zip(batches, counts, strict=True):
                batch["num_items_in_batch"] = torch.tensor(total)
                batch["token_weight"] = len(steps) / total
                batch["rl_scale"] = rl_scale(
                    self.loss_type,
                    rows=len(batch["advantages"]),
                    tokens=count,
                    update_rows=len(rows),
                    step_tokens=sum(counts),
                    steps=len(steps),
                )
                batch.update({k: v.to(self.args.device) for k, v in batch.items() if isinstance(v, Tensor)})
                if self.ref_model is not None:
                    batch["ref_per_token_logps"] = self._reference_logps(batch)
        self._padding_share = padding_share([batch for batches in steps for batch in batches], rows)

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
