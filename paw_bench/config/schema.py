"""The typed schema of one run: `experiment` (hashed into the run id) and `execution` (recorded, may change).

Every key a user can write in an experiment file is a field here. Unknown keys, wrong types and impossible
combinations are refused; `load.py` turns the refusals into messages with file, key, value and remedy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from paw_bench.config.algorithm import AlgorithmConfig
from paw_bench.config.environments import complete_options, find
from paw_bench.config.section import (
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveFraction,
    PositiveInt,
    Section,
    impossible,
)
from paw_bench.config.world_model import WorldModelConfig

SCHEMA_VERSION = 1
"""Version of every file that this package writes; a reader refuses any other."""


class ModelConfig(Section):
    """The policy that is trained."""

    name: str = "embedded"
    """A model shipped with the package (`embedded`, `embedded-small`, ...), a Hugging Face model id, or a folder."""
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

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "alfworld"
    """An installed environment: `alfworld`, or another of `docs/environments.md`."""
    games: GamesConfig = GamesConfig()
    """Read by `alfworld` only."""
    options: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    """The keys of any other environment; each has its own (`docs/environments.md`). Defaults are filled in."""
    max_turns: PositiveInt = 50
    success_reward: Positive = 10.0
    """Reward of the winning step; every other step gives 0 (the paper's). Also R_max by default."""
    invalid_action: Literal["format", "admissible"] = "format"
    """`format`: an action is valid when its tags are there (the paper); `admissible`: when the environment lists it."""
    invalid_action_penalty: NonNegative = 0.1

    @field_validator("options")
    @classmethod
    def _complete(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return complete_options(info.data["name"], options) if "name" in info.data else options

    def __hash__(self) -> int:
        # The options are a dict, which has no hash of its own; equal configs still have equal hashes.
        return hash((self.name, self.games, self.max_turns, self.success_reward, len(self.options)))

    @property
    def panel_sizes(self) -> dict[str, int]:
        """Panel -> how many tasks are asked for; empty where the environment is not installed."""
        kind = find(self.name)
        return kind.sizes(self) if kind else {}

    @property
    def source(self) -> str:
        """Where the tasks come from: `procedural` (ALFWorld-format games), `data` (original files), `generated`."""
        return self.games.source if self.name == "alfworld" else str(self.options.get("source", "generated"))


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


class TrainingConfig(Section):
    """How long to train."""

    updates: PositiveInt = 150


class EvaluationConfig(Section):
    """Evaluation on a held-out panel; the final one is the run's result."""

    panel: str = "valid_seen"
    """A panel of the environment that is not trained on."""
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
    # A factory: making one looks the environment up, whose module imports this one.
    environment: EnvironmentConfig = Field(default_factory=EnvironmentConfig)
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
        self._check_panel()
        return self

    def _check_panel(self) -> None:
        panels = {name: games for name, games in self.environment.panel_sizes.items() if name != "train"}
        if not panels:
            return  # the environment is not installed: a result is read here, not made
        panel, games = self.evaluation.panel, self.evaluation.games
        if panel not in panels:
            raise impossible(
                "evaluation.panel",
                f"the environment {self.environment.name!r} has no panel {panel!r} to evaluate on",
                f"give one of {', '.join(panels)}",
            )
        if games is not None and games > panels[panel]:
            raise impossible(
                "evaluation.games",
                f"the panel {panel!r} has only {panels[panel]} games",
                f"give at most {panels[panel]}, or null for all of them",
            )


class CollapseConfig(Section):
    """When a run whose policy has collapsed is stopped (`training/health.py`, `decline`)."""

    updates: NonNegativeInt = 5
    """After so many updates in a row without a success and with one of the two symptoms below (0: never)."""
    invalid_share: PositiveFraction = 0.95
    """Share of invalid actions that is a symptom."""
    entropy: NonNegative = 0.01
    """Entropy of the action tokens (nats) below which repeating itself is a symptom."""
    repeated_share: PositiveFraction = 0.5
    """Share of turns that repeat an earlier one of their episode (action and answer) that then is."""


class VllmConfig(Section):
    """Read by the vLLM engines only."""

    memory_share: PositiveFraction = 0.3
    """`vllm_colocate`: share of the GPU's memory for its weights and KV cache, beside the trainer's."""
    server: str | None = None
    """`vllm_server`: its address, e.g. http://node7:8000."""


class ExecutionConfig(Section):
    """How a run is executed. Recorded with each attempt; not part of the run id."""

    engine: Literal["auto", "transformers", "vllm_colocate", "vllm_server"] = "auto"
    """What samples the actions (docs/rollouts.md). `auto`: vLLM in the trainer's process where it is installed, on one
    GPU, for runs that are not deterministic; else transformers. Each attempt records which."""
    vllm: VllmConfig = VllmConfig()
    logprob_gap: Positive | None = None
    """The run stops when the engine's log-probabilities part from the trainer's by more than this after a sync (mean
    over tokens, nats). None: 0.001 for a float32 model, 0.1 for bfloat16."""
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
    processes: PositiveInt | None = None
    """Processes that train a run together, each on its share of the rows. None: one for each GPU, at least one."""
    checkpoint_every: PositiveInt = 5
    """Updates between checkpoints."""
    gradient_parts_every: NonNegativeInt = 10
    """Every n-th update measures the gradients of the RL and of the world-model term apart (0: none does)."""
    collapse: CollapseConfig = CollapseConfig()
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
        if self.device == "cuda" and self.ranks != self.gpus:
            problem = (
                f"{self.ranks} processes cannot share {self.gpus} GPU{'s' * (self.gpus > 1)}: each has one of its own"
            )
            raise impossible("processes", problem, f"set processes to null or {self.gpus}, or gpus to {self.ranks}")
        return self

    @property
    def ranks(self) -> int:
        """How many processes train a run."""
        return self.processes or max(1, self.gpus)


class RunConfig(Section):
    """One run: what it computes and how it is executed."""

    experiment: ExperimentConfig
    execution: ExecutionConfig = ExecutionConfig()

    @model_validator(mode="after")
    def _engine_fits(self) -> RunConfig:
        engine = self.execution.engine
        if engine.startswith("vllm") and self.experiment.rollout.deterministic:
            raise impossible(
                "execution.engine",
                f"{engine!r} does not repeat to the bit, as rollout.deterministic asks",
                "set execution.engine to 'transformers', or rollout.deterministic to false",
            )
        if engine.startswith("vllm") and self.execution.ranks > 1:
            raise impossible(
                "execution.engine",
                f"{engine!r} samples for one process, and the run has {self.execution.ranks}",
                "set execution.engine to 'transformers', or execution.processes to 1",
            )
        if engine == "vllm_server" and self.execution.vllm.server is None:
            raise impossible(
                "execution.vllm.server",
                "the engine 'vllm_server' needs an address",
                "set execution.vllm.server, e.g. to http://localhost:8000",
            )
        return self

    @model_validator(mode="after")
    def _every_process_has_rows(self) -> RunConfig:
        ranks, algorithm = self.execution.ranks, self.experiment.algorithm
        rows = algorithm.groups * algorithm.group_size // algorithm.optimizer_steps
        if ranks > max(1, rows):
            raise impossible(
                "execution.processes",
                f"an optimizer step has as few as {rows} rows, which {ranks} processes cannot share",
                f"set it to at most {max(1, rows)}, or algorithm.optimizer_steps lower",
            )
        return self
