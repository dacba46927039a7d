"""The sections of the world-model term (docs/method.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from paw_bench.config.section import (
    Fraction,
    Positive,
    PositiveFraction,
    PositiveInt,
    Section,
    impossible,
)


class SelectionConfig(Section):
    """Which transitions the world-model loss covers (docs/method.md)."""

    score: Literal["entropy", "sampled", "surprisal", "random", "none"] = "entropy"
    alpha: PositiveFraction = 0.75
    """Fraction of the update's transitions that is kept; `score: none` keeps all and needs alpha = 1."""

    @model_validator(mode="after")
    def _none_keeps_all(self) -> SelectionConfig:
        if self.score == "none" and self.alpha != 1.0:
            raise impossible("alpha", "score 'none' keeps every transition", "set alpha to 1.0")
        return self


class TokenLossConfig(Section):
    """Loss of one observation token with probability p."""

    kind: Literal["cmae", "mae", "ce", "gce"] = "cmae"
    """`cmae`: 1[p <= rho] (1 - p); `mae`: 1 - p; `ce`: -log p; `gce`: (1 - p^q) / q."""
    rho: PositiveFraction = 0.2
    """Clipping threshold of `cmae`; the others do not read it."""
    q: PositiveFraction = 0.7
    """Exponent of `gce` (arXiv 1805.07836, whose default this is): towards 0 it is `ce`, at 1 it is `mae`."""
    normaliser: Literal["transition", "sequence"] = "transition"
    """Divide by the observation tokens of the transition (PaW) or of the whole episode (Echo)."""


class BalanceConfig(Section):
    """The weight lambda of the world-model loss."""

    kind: Literal["reward_adaptive", "constant", "linear", "cosine"] = "reward_adaptive"
    value: Fraction | None = None
    """lambda of `constant`; lambda of the first update of `linear` and `cosine`."""
    final: Fraction | None = None
    """lambda of the last update of `linear` and `cosine`."""
    max_return: Positive | None = None
    """R_max of `reward_adaptive`; None: the environment's success reward."""
    include_penalty: bool = False
    """Whether the invalid-action penalty counts in the return that sets lambda."""
    over: Literal["group", "update"] = "group"
    """Whose mean return sets the lambda of `reward_adaptive`: each group's own (the paper), or the whole update's."""

    @model_validator(mode="after")
    def _numbers_go_with_their_kind(self) -> BalanceConfig:
        adaptive, scheduled = self.kind == "reward_adaptive", self.kind in ("linear", "cosine")
        if not adaptive and self.value is None:
            raise impossible("value", f"kind {self.kind!r} needs a lambda", "give a number from 0 to 1")
        if adaptive and self.value is not None:
            raise impossible("value", "kind 'reward_adaptive' takes no fixed lambda", "set value to null")
        if scheduled and self.final is None:
            raise impossible("final", f"kind {self.kind!r} needs the last update's lambda", "give a number from 0 to 1")
        if not scheduled and self.final is not None:
            raise impossible("final", f"kind {self.kind!r} has no last lambda of its own", "set final to null")
        return self


class ScheduleConfig(Section):
    """Which updates the world-model term takes part in, and how."""

    every: PositiveInt = 1
    """The term takes part in every n-th update."""
    separate: bool = False
    """Not in the RL loss, but in optimizer steps of its own after those of the RL loss, on the same rows (TAPO)."""
    rl_term: bool = True
    """`false`: the world-model term alone is trained, without RL, KL and entropy terms (Echo's control)."""

    @model_validator(mode="after")
    def _every_update_trains_something_once(self) -> ScheduleConfig:
        if not self.rl_term and (self.separate or self.every > 1):
            raise impossible(
                "rl_term",
                "without the RL term the world-model term is all there is: no update can leave it out or split it off",
                "set every to 1 and separate to false",
            )
        return self


class WorldModelConfig(Section):
    """The world-model term. `enabled: false` is the plain RL algorithm."""

    enabled: bool = False
    selection: SelectionConfig = SelectionConfig()
    loss: TokenLossConfig = TokenLossConfig()
    balance: BalanceConfig = BalanceConfig()
    targets: Literal["true", "shuffled", "random_tokens"] = "true"
    """`shuffled` and `random_tokens` replace the appended observation, as input and as label: the controls."""
    admissible_in_target: bool = False
    """Whether the list of admissible actions belongs to the target observation."""
    max_target_tokens: PositiveInt | None = None
    """Only the first tokens of an observation are targets, at most so many (None: all of them)."""
    inverse_dynamics: bool = False
    """Also learn the action from both observations, by a row of its own a transition (EnvRL)."""
    schedule: ScheduleConfig = ScheduleConfig()
