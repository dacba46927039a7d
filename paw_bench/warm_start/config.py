"""Settings of a warm start; recorded beside the model that it makes."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from paw_bench.config.schema import ContextConfig, EnvironmentConfig, GamesConfig, PromptConfig
from paw_bench.config.section import Section


class SizeConfig(Section):
    """Shape of a Qwen2 model."""

    hidden: int
    intermediate: int
    layers: int
    heads: int


class DemonstrationConfig(Section):
    """How demonstrations are played."""

    environment: str = "alfworld"
    games: GamesConfig = GamesConfig(max_receptacles=20)
    """ALFWorld's; other environments have `options`."""
    options: dict[str, Any] = Field(default_factory=dict)
    expert: str | None = None
    """One of the environment's `experts`, instead of its own demonstrator."""
    episodes_per_game: int = 3
    max_turns: int = 20
    noise: tuple[float, ...] = (0.0, 0.1, 0.2)
    """An episode's share of played mistakes is drawn from these; a third of them are actions that fail."""
    seed: int = 0

    def played(self) -> EnvironmentConfig:
        """The environment as it is played."""
        return EnvironmentConfig(
            name=self.environment,
            games=self.games,
            options=self.options,
            max_turns=self.max_turns,
            invalid_action="admissible",
        )


class TokenizerConfig(Section):
    """Which pieces of text can become tokens, beside words, numbers and punctuation."""

    phrases: tuple[str, ...] = (
        "go to",
        "You arrive at",
        "you see",
        "On the",
        "In it",
        "and a",
        "Nothing happens",
        "You pick up the",
    )
    """Whole phrases."""
    patterns: tuple[str, ...] = ()
    """Regular expressions of pieces; they come before phrases and words."""


class TrainConfig(Section):
    """Behaviour cloning."""

    steps: int = 1600
    batch: int = 32
    warmup: int = 50
    muon_lr: float = 0.02
    adamw_lr: float = 4e-3
    observation_weight: float = 0.3
    """Weight of the next-observation cross-entropy beside the action's."""
    prompt_weight: float = 0.3
    """Weight of the prompt's cross-entropy: its repetitions teach the model to copy."""
    log_every: int = 50
    candidates_from: int = 1400
    """First step at which the weights are a candidate: late, where the decayed learning rate keeps success steady."""
    candidates_every: int = 200
    seed: int = 0


class WarmStartConfig(Section):
    """Everything that makes an embedded model."""

    name: str
    size: SizeConfig
    vocabulary: int = 1200
    tokenizer: TokenizerConfig = TokenizerConfig()
    prompt: PromptConfig = PromptConfig(style="compact", admissible=True)
    context: ContextConfig = ContextConfig(mode="window", turns=1, max_prompt_tokens=256, max_response_tokens=8)
    demonstrations: DemonstrationConfig = DemonstrationConfig()
    training: TrainConfig = TrainConfig()
    target_success: tuple[float, float] = (0.25, 0.45)
    """The rule, fixed beforehand: the first checkpoint whose success on the tune panel lies in this interval."""
