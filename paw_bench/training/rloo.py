"""RLOO on TRL's RLOOTrainer: one ratio a row, and returns against those of the group's other episodes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from trl.trainer.rloo_trainer import RLOOTrainer
from trl.trainer.utils import pad

from paw_bench.training.loop import UpdateLoop, action_mask
from paw_bench.training.mixin import Batch


class PawRLOOTrainer(UpdateLoop, RLOOTrainer):
    """TRL's RLOOTrainer fed with our episodes; to the bit TRL's where a row is one action.

    TRL knows no turns there: it sums the log-probabilities of the whole completion. Those of other tokens than actions
    are set to 0 where they come from (after the world-model term has seen them). The KL to the initial policy is the
    k3 estimate in the loss, as for the other algorithms (verl-agent); TRL would take a k1 estimate off the rewards.
    """

    beta: float
    loss_type = "grpo"
    """TRL's RLOO loss is a mean over rows, as its GRPO loss of this name is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._actions: Tensor | None = None
        super().__init__(*args, **kwargs)
        # It had to be positive until now, so that TRL loads the initial policy.
        self.beta = 0.0

    def _trl_batch(self, inputs: list[Batch]) -> Batch:
        rows = self.collect_rows()
        returns = [episode.env_return - episode.penalty for episode in self._rollout_done.episodes]
        self._actions = _padded([row.action_mask for row in rows]).to(self.args.device)
        batch = super()._trl_batch(
            [{**row, "episode_return": value} for row, value in zip(inputs, returns, strict=True)]
        )
        batch["tool_mask"] = self._actions
        batch["sampling_per_token_logps"] = _padded([row.logprobs for row in rows]).to(self.args.device)
        if self.run.experiment.algorithm.kl_coefficient:
            batch["ref_per_token_logps"] = self._reference_logps(batch)
        return batch

    def _generate(self, prompts: list[Any]) -> tuple[list[list[int]], list[list[int]], list[str]]:
        """TRL's step that samples: the rows are there already. It reads the texts for its own log only."""
        rows = self._rollout_done.rows
        return [row.prompt_ids for row in rows], [row.completion_ids for row in rows], [""] * len(rows)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        logps, *rest = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        return (logps if self._actions is None else logps * self._actions, *rest)

    def _pass(self, model: torch.nn.Module | None, batch: Batch, rows: int | None = None) -> tuple[Any, ...]:
        self._actions = None
        return super()._pass(model, batch, rows)

    def _rl_loss(self, model: torch.nn.Module, inputs: Batch) -> Tensor:
        self._actions = action_mask(inputs)
        loss = super()._rl_loss(model, inputs)
        # TRL's is the mean over the completion, observations included.
        entropy = (self._tapped[1].detach() * self._actions).sum() / self._actions.sum()
        self._metrics["train"]["entropy"][-1] = entropy.item()
        return loss

    def _token_losses(self, inputs: Batch) -> list[Tensor]:
        losses = super()._token_losses(inputs)
        coefficient = self.run.experiment.algorithm.kl_coefficient
        if not coefficient:
            return losses
        away = inputs["ref_per_token_logps"] - self._tapped[0]
        k3 = away.exp() - away - 1
        action = action_mask(inputs)
        self._metrics["train"]["kl"].append(((k3.detach() * action).sum() / action.sum()).item())
        return [*losses, coefficient * k3]


def _padded(rows: list[list[Any]]) -> Tensor:
    """Lists of different lengths as one tensor (B, T), filled with 0 on the right."""
    tensor: Tensor = pad([torch.tensor(row) for row in rows], padding_value=0, padding_side="right")
    return tensor
