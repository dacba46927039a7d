"""The sections of the RL algorithm."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from paw_bench.config.section import (
    Fraction,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveFraction,
    PositiveInt,
    Section,
    impossible,
)


class GigpoConfig(Section):
    """What only GiGPO reads (arXiv 2505.10978)."""

    step_weight: NonNegative = 1.0
    """omega, the weight of the step-level advantage."""
    discount: Fraction = 0.95
    """Discount a turn of the returns that the step level compares."""
    similarity: PositiveFraction = 1.0
    """States at least this similar (`difflib.SequenceMatcher`) count as one; 1: equal text."""


class PpoConfig(Section):
    """What only PPO reads."""

    critic_learning_rate: Positive = 1e-5
    """Learning rate of the value head."""
    value_coefficient: Positive = 0.5
    """Weight of the value loss, whose gradient reaches the policy's backbone too."""
    value_clip: Positive = 0.5
    """How far a value may move from the sampling policy's, in units of reward, before its loss is clipped."""
    discount: Fraction = 1.0
    """Discount an action token."""
    gae_lambda: Fraction = 1.0
    """lambda of GAE, an action token. 1: the return less the value."""


_SCALES = {
    "grpo": ("group", "batch", "none"),
    "rloo": ("none", "batch"),
    "gigpo": ("group", "none"),
    "ppo": ("batch", "none"),
}
"""What `scale_advantages` may be."""


class AlgorithmConfig(Section):
    """The RL algorithm. One update: `groups` x `group_size` episodes, then `epochs` x `optimizer_steps` steps."""

    name: Literal["grpo", "rloo", "gigpo", "ppo"] = "grpo"
    groups: PositiveInt = 16
    group_size: PositiveInt = 8
    """Episodes of one task. `ppo` compares none: each of `groups` x `group_size` episodes plays a task of its own."""
    optimizer_steps: PositiveInt = 4
    """Optimizer steps of one pass over the rows of an update."""
    epochs: PositiveInt = 1
    """Passes over the rows of an update."""
    learning_rate: Positive = 1e-6
    lr_schedule: Literal["constant", "linear"] = "constant"
    warmup_steps: NonNegativeInt = 0
    weight_decay: NonNegative = 0.0
    max_grad_norm: Positive = 1.0
    clip_low: Positive = 0.2
    clip_high: Positive = 0.2
    kl_coefficient: NonNegative = 0.0
    """Weight of the KL (k3) to the initial policy."""
    entropy_coefficient: NonNegative = 0.0
    scale_advantages: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by.

    `grpo`: the standard deviation of the group's, or of the update's, returns. `gigpo`: of the group's and the state's
    (`group`). `rloo`, `ppo`: of the update's advantages, of which the mean is taken off too (`batch`).
    """
    penalty_credit: Literal["episode", "turn"] = "episode"
    """Whose return an invalid action lowers: its whole episode's, or (windowed rows only) its own turn's.

    With `turn` returns are compared row by row: an episode counts once for each of its turns, as in verl-agent.
    """
    loss_type: Literal["grpo", "dapo", "dr_grpo", "bnpo"] = "dapo"
    """TRL's name of the token normaliser of the RL loss. `rloo` does not read it: its loss is a mean over rows."""
    gigpo: GigpoConfig = GigpoConfig()
    ppo: PpoConfig = PpoConfig()

    @property
    def tasks(self) -> int:
        """Different tasks of an update: the groups g of the world-model loss."""
        return self.groups if self.name != "ppo" else self.groups * self.group_size

    @property
    def episodes_per_task(self) -> int:
        """Episodes of each of the update's tasks."""
        return self.group_size if self.name != "ppo" else 1

    @model_validator(mode="after")
    def _fits_the_algorithm(self) -> AlgorithmConfig:
        if self.name != "ppo" and self.group_size < 2:
            raise impossible(
                "group_size",
                f"{self.name!r} compares the episodes of a group",
                "set group_size to 2 or more, or name to 'ppo'",
            )
        episodes = self.groups * self.group_size
        if episodes < 2:
            raise impossible("groups", "an update needs at least 2 episodes", "set groups to 2 or more")
        if self.optimizer_steps > episodes:
            raise impossible(
                "optimizer_steps",
                f"an update of {episodes} episodes may have no more rows than that to share among the steps",
                f"set it to at most {episodes}",
            )
        if self.scale_advantages not in _SCALES[self.name]:
            raise impossible(
                "scale_advantages",
                f"{self.scale_advantages!r} is impossible with algorithm {self.name!r}",
                f"set it to {' or '.join(map(repr, _SCALES[self.name]))}",
            )
        return self
