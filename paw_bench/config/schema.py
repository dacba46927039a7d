"""The typed schema of one run: `experiment` (hashed into the run id) and `execution` (recorded, may change).

Every key a user can write in an experiment file is a field here. Unknown keys, wrong types and impossible
combinations are refused; `load.py` turns the refusals into messages with file, key, value and remedy.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

SCHEMA_VERSION = 1
"""Version of every file that this package writes; a reader refuses any other."""

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFraction = Annotated[float, Field(gt=0.0, le=1.0)]


IMPOSSIBLE = "impossible"
"""Error type of a combination of valid values that makes no sense together."""


def impossible(key: str, problem: str, remedy: str) -> PydanticCustomError:
    """The error of an impossible combination; `key` is dotted, relative to the section that raises it."""
    return PydanticCustomError(IMPOSSIBLE, "{problem}: {remedy}", {"key": key, "problem": problem, "remedy": remedy})


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, no silent coercion between types, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelConfig(Section):
    """The policy that is trained."""

    name: str = "embedded"
    """`embedded`, `embedded-small` (shipped with the package), a Hugging Face model id, or a folder."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    lora_rank: PositiveInt | None = None
    """Train adapters of this rank on all linear layers (peft); None: train all weights."""
    lora_alpha: PositiveInt = 32
    """Adapters are scaled by lora_alpha / lora_rank."""


class GamesConfig(Section):
    """Which ALFWorld games; see `docs/environments.md`."""

    source: Literal["procedural", "data"] = "procedural"
    """`procedural`: generated ALFWorld-format games; `data`: the original games under `$ALFWORLD_DATA`."""
    seed: NonNegativeInt = 0
    """Seed of the generator (procedural only)."""
    train: PositiveInt = 600
    tune: PositiveInt = 60
    valid_seen: PositiveInt = 140
    valid_unseen: PositiveInt = 134
    max_receptacles: PositiveInt | None = None
    """Procedural only: use floor plans with at most this many receptacles (None: all floor plans)."""


class EnvironmentConfig(Section):
    """Task distribution, rewards and limits."""

    name: Literal["alfworld"] = "alfworld"
    games: GamesConfig = GamesConfig()
    max_turns: PositiveInt = 50
    success_reward: Positive = 10.0
    """Reward of the winning step; every other step gives 0 (paw.md section 3). Also R_max by default."""
    invalid_action: Literal["format", "admissible"] = "format"
    """`format`: an action is valid when its tags are there (the paper); `admissible`: when the environment lists it."""
    invalid_action_penalty: NonNegative = 0.1


class PromptConfig(Section):
    """How a turn is put into words."""

    style: Literal["chat", "compact"] = "chat"
    """`chat`: the paper's instructions with think and action tags; `compact`: the few tokens a 1 M model reads."""
    admissible: bool = True
    """Show the admissible actions in the prompt."""


class ContextConfig(Section):
    """What the policy sees when it acts, and what one training row holds."""

    mode: Literal["full", "window"] = "window"
    """`full`: an episode is one sequence. `window`: one row a transition, with the last `turns` turns in its prompt."""
    turns: NonNegativeInt = 2
    """Length of the window. `full` does not read it: an arm that names it together with `full` is refused."""
    max_prompt_tokens: PositiveInt = 2048
    max_response_tokens: PositiveInt = 512


class RolloutConfig(Section):
    """How actions are sampled during training."""

    temperature: Positive = 1.0
    deterministic: bool = False
    """Fixed batch composition: a run repeats to the bit on one machine."""


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
    """Whose return an invalid action lowers: its whole episode's, or (windowed rows only) its own turn's."""
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
        if self.groups * self.group_size < 2:
            raise impossible("groups", "an update needs at least 2 episodes", "set groups to 2 or more")
        if self.scale_advantages not in _SCALES[self.name]:
            raise impossible(
                "scale_advantages",
                f"{self.scale_advantages!r} is impossible with algorithm {self.name!r}",
                f"set it to {' or '.join(map(repr, _SCALES[self.name]))}",
            )
        return self


class SelectionConfig(Section):
    """Which transitions the world-model loss covers (paw.md section 2)."""

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


class TrainingConfig(Section):
    """How long to train."""

    updates: PositiveInt = 150


class EvaluationConfig(Section):
    """Evaluation on a held-out panel; the final one is the run's result."""

    panel: Literal["tune", "valid_seen", "valid_unseen"] = "valid_seen"
    games: PositiveInt | None = None
    """Evaluate on the panel's first games only (None: all)."""
    temperature: NonNegative = 0.4
    before: bool = True
    """Also evaluate the initial policy, on the same games."""
    every: PositiveInt | None = None
    """Also evaluate after every n-th update."""


class ExperimentConfig(Section):
    """Everything that decides a run's numbers. Its canonical JSON is hashed into the run id."""

    seed: NonNegativeInt = 0
    model: ModelConfig = ModelConfig()
    environment: EnvironmentConfig = EnvironmentConfig()
    prompt: PromptConfig = PromptConfig()
    context: ContextConfig = ContextConfig()
    rollout: RolloutConfig = RolloutConfig()
    algorithm: AlgorithmConfig = AlgorithmConfig()
    world_model: WorldModelConfig = WorldModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _possible(self) -> ExperimentConfig:
        controls = self.world_model.enabled and self.world_model.targets != "true"
        if controls and self.context.mode == "full":
            raise impossible(
                "world_model.targets",
                f"targets {self.world_model.targets!r} are impossible with context.mode 'full', where a replaced "
                "observation would feed the next actions",
                "set context.mode to 'window'",
            )
        if self.world_model.enabled and self.world_model.inverse_dynamics and self.context.mode == "full":
            raise impossible(
                "world_model.inverse_dynamics",
                "inverse dynamics needs a row a transition, and with context.mode 'full' an episode is a row",
                "set context.mode to 'window'",
            )
        if self.world_model.admissible_in_target and not self.prompt.admissible:
            raise impossible(
                "world_model.admissible_in_target",
                "the admissible actions are no target where prompt.admissible is false",
                "set prompt.admissible to true",
            )
        if self.rollout.temperature != 1.0 and self.context.mode == "window":
            raise impossible(
                "rollout.temperature",
                "context.mode 'window' takes the engine's log-probabilities as the old policy's",
                "set rollout.temperature to 1.0",
            )
        if self.algorithm.penalty_credit == "turn" and self.context.mode == "full":
            raise impossible(
                "algorithm.penalty_credit",
                "'turn' is impossible with context.mode 'full', where all turns of an episode are one row",
                "set it to 'episode', or context.mode to 'window'",
            )
        panel_games = getattr(self.environment.games, self.evaluation.panel)
        if self.evaluation.games is not None and self.evaluation.games > panel_games:
            raise impossible(
                "evaluation.games",
                f"the panel {self.evaluation.panel!r} has only {panel_games} games",
                f"give at most {panel_games}, or null for all of them",
            )
        return self


class ExecutionConfig(Section):
    """How a run is executed. Recorded with each attempt; not part of the run id."""

    engine: Literal["transformers"] = "transformers"
    micro_batch_rows: PositiveInt = 64
    """Rows of one forward pass; gradients are accumulated to the optimizer step."""
    generation_batch: PositiveInt = 256
    """Prompts decoded together."""
    environment_workers: PositiveInt = 2
    gradient_checkpointing: bool | None = None
    """Recompute activations in the backward pass: a third more time for less memory. None: on GPUs only."""
    threads: PositiveInt = 1
    """CPU threads of torch."""
    device: Literal["cpu", "cuda"] = "cpu"
    gpus: NonNegativeInt = 0
    """GPUs that a run needs (checked before anything starts)."""
    checkpoint_every: PositiveInt = 5
    """Updates between checkpoints."""
    gradient_parts_every: NonNegativeInt = 10
    """Every n-th update measures the gradients of the RL and of the world-model term apart (0: none does)."""
    step_timeout_s: Positive = 60.0
    """An environment worker that is silent for longer is replaced."""
    max_attempts: PositiveInt = 3
    """Attempts a run gets before the sweep leaves it failed."""

    @model_validator(mode="after")
    def _device_has_gpus(self) -> ExecutionConfig:
        if self.device == "cuda" and self.gpus == 0:
            raise impossible("gpus", "device 'cuda' needs at least one GPU", "set gpus to 1 or more")
        if self.device == "cpu" and self.gpus > 0:
            raise impossible("gpus", "device 'cpu' uses no GPU", "set gpus to 0, or device to 'cuda'")
        return self


class RunConfig(Section):
    """One run: what it computes and how it is executed."""

    experiment: ExperimentConfig
    execution: ExecutionConfig = ExecutionConfig()
