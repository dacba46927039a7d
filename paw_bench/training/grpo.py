"""GRPO on TRL's GRPOTrainer (full contexts: a row an episode)."""

from __future__ import annotations

from typing import Any

from trl.trainer.grpo_trainer import GRPOTrainer

from paw_bench.training.loop import UpdateLoop


class PawGRPOTrainer(UpdateLoop, GRPOTrainer):
    """TRL's GRPOTrainer fed with our episodes through its own `rollout_func`.

    With the world-model term disabled the parameters are those of TRL's plain trainer, to the bit.
    """

    def _trl_options(self) -> dict[str, Any]:
        return {"rollout_func": lambda prompts, trainer: self.rollout()}

    def rollout(self) -> dict[str, list[Any]]:
        """TRL's `rollout_func`: prompt and completion ids, the mask of action tokens, and each episode's return."""
        rows = self.collect_rows()
        return {
            "prompt_ids": [row.prompt_ids for row in rows],
            "completion_ids": [row.completion_ids for row in rows],
            "logprobs": [row.logprobs for row in rows],
            "env_mask": [row.action_mask for row in rows],
            "episode_return": [e.env_return - e.penalty for e in self._rollout_done.episodes],
        }
