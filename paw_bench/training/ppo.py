"""PPO: GRPO's clipped loss with GAE advantages a token, and a critic that learns beside the policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from paw_bench.rollout.episode import Episode
from paw_bench.rollout.rows import Row
from paw_bench.training.advantages.ppo import explained_variance, gae, value_loss, whitened
from paw_bench.training.critic import attach_value_head, run_value_head
from paw_bench.training.grpo import PawGRPOTrainer
from paw_bench.training.loop import Part, action_mask, on_actions
from paw_bench.training.mixin import Batch


class PawPPOTrainer(PawGRPOTrainer):
    """`PawGRPOTrainer` whose advantages come from a critic, so that an episode needs no others of its task."""

    def _prepare_policy(self, policy: PreTrainedModel) -> None:
        super()._prepare_policy(policy)
        self._seen: list[Tensor] = []
        attach_value_head(policy)
        run_value_head(policy, self._seen.append)
        # Where the world-model term is trained alone, no loss reaches it.
        head = policy.value_head
        assert isinstance(head, nn.Linear)
        self.outside_ddp = list(head.parameters())

    def create_optimizer(self, *args: Any) -> torch.optim.Optimizer:
        """HF's optimizer with the value head in a group of its own, at the critic's learning rate."""
        there_already = self.optimizer is not None
        optimizer: torch.optim.Optimizer = super().create_optimizer(*args)
        if there_already:
            return optimizer
        head = self.model.value_head
        assert isinstance(head, nn.Linear)
        own = set(head.parameters())
        for group in optimizer.param_groups:
            group["params"] = [parameter for parameter in group["params"] if parameter not in own]
        optimizer.add_param_group(
            {
                "params": list(head.parameters()),
                "lr": self.run.experiment.algorithm.ppo.critic_learning_rate,
                "weight_decay": self.args.weight_decay,
            }
        )
        return optimizer

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> tuple[Any, ...]:
        self._seen.clear()
        output = super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, logits_to_keep, *args, **kwargs
        )
        if self._seen:
            # The value before a token is that of the state after the token before it.
            self._values = torch.cat(self._seen)[:, -logits_to_keep - 1 : -1]
        return output

    def _score(self, parts: Sequence[Part]) -> None:
        """Values of the update's states under the policy that sampled them, advantages and value targets."""
        algorithm, rollout = self.run.experiment.algorithm, self._rollout_done
        values: dict[int, Tensor] = {}
        for batch, numbers in parts:
            self._score_pass(self.model, batch)
            batch["old_values"] = self._values
            for place, number in enumerate(numbers):
                values[number] = self._values[place][action_mask(batch)[place].bool()].cpu()
        values = {number: value for own in self.ranks.gather(values) for number, value in own.items()}
        known = [values[number] for number in range(len(rollout.rows))]
        advantages = advantages_of_rows(
            rollout.rows, rollout.episodes, known, discount=algorithm.ppo.discount, trace=algorithm.ppo.gae_lambda
        )
        targets = [advantage + value for advantage, value in zip(advantages, known, strict=True)]
        self._metrics["train"]["explained_variance"].append(explained_variance(torch.cat(known), torch.cat(targets)))
        if algorithm.scale_advantages == "batch":
            advantages = list(whitened(torch.cat(advantages)).split([len(row) for row in advantages]))
        for batch, numbers in parts:
            batch["advantages"] = on_actions(batch, [advantages[number] for number in numbers])
            batch["value_targets"] = on_actions(batch, [targets[number] for number in numbers])

    def _token_losses(self, inputs: Batch) -> list[Tensor]:
        critic = self.run.experiment.algorithm.ppo
        losses = value_loss(self._values, inputs["old_values"], inputs["value_targets"], clip=critic.value_clip)
        action = action_mask(inputs)
        self._metrics["train"]["value_loss"].append(((losses.detach() * action).sum() / action.sum()).item())
        return [*super()._token_losses(inputs), critic.value_coefficient * losses]


def advantages_of_rows(
    rows: Sequence[Row], episodes: Sequence[Episode], values: Sequence[Tensor], *, discount: float, trace: float
) -> list[Tensor]:
    """GAE of each row's action tokens; an episode's tokens are one sequence, whatever rows they lie in.

    `values`: per row, V before each action token. A turn's reward, less its penalty, comes with its last action token.
    """
    advantages: list[Tensor] = [torch.empty(0)] * len(rows)
    for number, episode in enumerate(episodes):
        own = [index for index, row in enumerate(rows) if row.episode == number]
        rewards = torch.cat([_rewards(rows[index], episode) for index in own])
        found = gae(rewards, torch.cat([values[index] for index in own]), discount=discount, trace=trace)
        for index, part in zip(own, found.split([len(values[index]) for index in own]), strict=True):
            advantages[index] = part
    return advantages


def _rewards(row: Row, episode: Episode) -> Tensor:
    """The reward that comes with each action token of a row (A,)."""
    turns = row.action_turns
    rewards = torch.zeros(len(turns))
    for place, turn in enumerate(turns):
        if place + 1 == len(turns) or turns[place + 1] != turn:
            rewards[place] = episode.turns[turn].reward - episode.turns[turn].penalty
    return rewards
