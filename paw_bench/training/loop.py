"""A TRL trainer with the world-model term, driven update by update; what the algorithms share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
)
from trl.trainer.utils import pad

from paw_bench.config.schema import RunConfig
from paw_bench.errors import UserError
from paw_bench.rollout.episode import Episode
from paw_bench.rollout.provenance import Provenance
from paw_bench.rollout.rows import Row, rows_of
from paw_bench.store.checkpoints import CHECKPOINT_FILE
from paw_bench.training import random_state
from paw_bench.training.arguments import TrlConfig, arguments_of, steps_per_update
from paw_bench.training.columns import world_model_columns
from paw_bench.training.gradient_parts import NO_PARTS, GradientParts
from paw_bench.training.health import ProvenanceViolated, TrainingDiverged
from paw_bench.training.lora import lora_of
from paw_bench.training.mixin import Batch, WorldModelMixin
from paw_bench.training.ranks import Ranks, set_aside
from paw_bench.training.record import Measured, Rollout, update_record

if TYPE_CHECKING:
    from transformers import Trainer as _Trainer
else:
    _Trainer = object

Collect = Callable[[int], list[Episode]]
"""The episodes (`groups` x `group_size`) of an update (1-based), sampled with the current weights."""
OnUpdate = Callable[[dict[str, Any], "UpdateLoop"], None]
"""Called after each update with its `metrics` record (docs/architecture.md) and the trainer."""

Part = tuple[Batch, Sequence[int]]
"""A batch and the numbers of its rows in the update."""


class UpdateLoop(WorldModelMixin, _Trainer):
    """Goes before a TRL trainer: feeds it our episodes and drives it from update to update.

    One HF epoch is one update, so HF's loop can be left and entered again between any two updates. An algorithm says
    how TRL gets the rows (`_trl_options`, `_score`) and which losses a token it adds to TRL's (`_token_losses`).
    """

    model: PreTrainedModel
    ref_model: PreTrainedModel | None
    optimizer: torch.optim.Optimizer
    lr_scheduler: torch.optim.lr_scheduler.LambdaLR
    args: TrlConfig
    loss_type: str
    """TRL's name of the normaliser of its RL loss."""
    _metrics: Any
    _tokenizer: PreTrainedTokenizerBase

    def __init__(
        self,
        config: RunConfig,
        *,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        collect: Collect,
        on_update: OnUpdate,
        output_dir: Path,
    ) -> None:
        self.run = config
        self.ranks = Ranks.of(config.execution)
        self.world_model = config.experiment.world_model
        self.collect = collect
        self.on_update = on_update
        self._provenance = Provenance(tokenizer)
        self.updates_done = 0
        self._target = 0
        self._step_logs: list[dict[str, float]] = []
        self._parts: GradientParts | None = None
        self._steps_per_update = steps_per_update(config.experiment.algorithm)
        self.reset_measurements()
        adapters = lora_of(config.experiment.model)
        if adapters:
            torch.manual_seed(config.experiment.seed)
        if config.experiment.algorithm.kl_coefficient and not adapters and not model.config._name_or_path:
            raise UserError(
                "algorithm.kl_coefficient > 0 needs the initial policy on disk, and this model was not loaded from one",
                "load the model with from_pretrained, or set kl_coefficient to 0",
            )
        arguments = arguments_of(config, output_dir)
        if arguments.bf16:
            # A step of 1e-6 is below the precision of bfloat16: weights stay float32 and passes are autocast.
            model.float()
        super().__init__(  # type: ignore[call-arg]
            model=model,
            reward_funcs=[returns_of_episodes],
            args=arguments,
            train_dataset=_placeholder(arguments),
            processing_class=tokenizer,
            callbacks=[_UpdateEnd(self)],
            peft_config=adapters,
            **self._trl_options(),
        )
        self.remove_callback(PrinterCallback)
        # With adapters TRL's model is a wrapper around the one it was given.
        self._prepare_policy(model)
        set_aside(self.model, self.outside_ddp)
        # Made here rather than in `train`, which would start a schedule of its own each time it is entered; and so the
        # first rollout is autocast as the later ones are.
        self.model_wrapped, self.optimizer = self.accelerator.prepare(self.model, self.create_optimizer())
        self.create_scheduler(num_training_steps=arguments.max_steps)
        self._created_lr_scheduler = False
        # One for all ranks, which then deal and shuffle alike; TRL gave each a seed of its own.
        self._random = self.ranks.from_main(random_state.capture)

    # The update loop

    def train_to(self, update: int) -> None:
        """Train until `update` updates are done (1-based, at most `training.updates`).

        The trainer keeps its own state of the global random number generators, so what runs between two calls
        changes nothing. Raises `TrainingDiverged` when loss or gradients stop being finite.
        """
        self._target = min(update, self.run.experiment.training.updates)
        if self.updates_done < self._target:
            with random_state.kept_apart(self._random):
                self.train()

    def save_checkpoint(self, folder: Path) -> None:
        """Write everything that the next updates depend on into `folder`; to be called between updates.

        All ranks hold the same (`check_weights`): call it on the main one. Raises `TrainingDiverged` instead where a
        weight is not finite.
        """
        self._check_finite()
        state = {
            "updates": self.updates_done,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.lr_scheduler.state_dict(),
            "random": self._random,
        }
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / CHECKPOINT_FILE)

    def check_weights(self) -> None:
        """Raise `TrainingDiverged` where a weight is not finite, RuntimeError unless all ranks go on from one state.

        A checkpoint holds that of the main one.
        """
        self._check_finite()
        weights = [parameter.detach().double().sum().item() for parameter in self.model.parameters()]
        state = (weights, self._random["torch"].tolist(), self._random["python"], self.updates_done)
        if any(other != state for other in self.ranks.gather(state)):
            raise RuntimeError(f"the processes have grown apart by update {self.updates_done}")

    def _check_finite(self) -> None:
        if not all(torch.isfinite(parameter).all() for parameter in self.model.parameters()):
            raise TrainingDiverged(
                f"update {self.updates_done}: its last optimizer step left weights that are not finite"
            )

    def load_checkpoint(self, folder: Path) -> None:
        """Go on from `save_checkpoint(folder)`: the following updates are bit-identical to an unbroken run's."""
        state = torch.load(folder / CHECKPOINT_FILE, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.lr_scheduler.load_state_dict(state["scheduler"])
        self._random = state["random"]
        self.updates_done = state["updates"]

    def _init_training_state(self, max_steps: int, num_update_steps_per_epoch: int, *args: Any) -> tuple[int, int]:
        """HF starts its state afresh whenever training is entered; go on after the updates that are done."""
        super()._init_training_state(max_steps, num_update_steps_per_epoch, *args)
        self.state.global_step = self.updates_done * num_update_steps_per_epoch
        return self.updates_done, 0

    def finish_update(self) -> bool:
        """Count the update that just ended, report it, and say whether training may stop here."""
        if self.part == "separate":
            self.train_world_model_alone(self._batches_of_steps())
        self.updates_done += 1
        own = Measured(self._step_logs, self.diagnostics, sum(self.rl_losses), self.logprob_gap, *self._filled)
        record = update_record(
            update=self.updates_done,
            rollout=self._rollout_done,
            columns=self._columns,
            measured=Measured.of_all_ranks(self.ranks.gather(own)),
            steps=self._steps_per_update,
            enabled=self.part != "none",
            gradients=self._parts.measured(self.accelerator) if self._parts else NO_PARTS,
            end_id=self._tokenizer.eos_token_id,
        )
        self._step_logs, self._parts, self.gradient_parts = [], None, None
        self.on_update(record, self)
        return self.updates_done >= self._target

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep TRL's metrics of each optimizer step for the update's record."""
        super().log(logs, start_time)
        if "grad_norm" in logs:
            self._step_logs.append(logs)

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm)  # type: ignore[no-untyped-call]
        # All ranks have to stop at one place, also where the loss is bad on one of them alone.
        loss = self._tr_loss if self.ranks.count == 1 else self.accelerator.reduce(self._tr_loss, reduction="mean")
        if not torch.isfinite(torch.as_tensor(norm)) or not torch.isfinite(loss):
            raise TrainingDiverged(
                f"update {self.updates_done + 1}, optimizer step {self.state.global_step + 1}: "
                f"loss {loss.item():g}, gradient norm {float(norm):g}",
                untouched=self.state.global_step % self._steps_per_update == 0,
            )
        return norm

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """TRL's, told whether this is the update's first pass (diagnostics see every row once), or its first step."""
        step = self.state.global_step % self._steps_per_update
        self.measuring = step < self.run.experiment.algorithm.optimizer_steps
        self.gradient_parts = self._parts if step == 0 else None
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        return loss

    # Episodes into TRL's batch

    def collect_rows(self) -> list[Row]:
        """The next update's episodes as rows; starts the update's measurements.

        Raises `ProvenanceViolated` where a token is not what engine or environment gave.
        """
        started = time.monotonic()
        self.begin_update(self.updates_done + 1)
        if self._measures_parts():
            self._parts = self.gradient_parts = GradientParts(self.model.parameters())
        # In train mode, gradient checkpointing would take the KV cache from the engine.
        self.model.eval()
        episodes = sorted(self.collect(self.updates_done + 1), key=lambda episode: (episode.group, episode.index))
        self.model.train()
        rows = rows_of(episodes, self.run.experiment.context.mode)
        violation = self._provenance.violation(rows, episodes)
        if violation:
            raise ProvenanceViolated(f"update {self.updates_done + 1}: {violation.words}", episode=violation.episode)
        self._rollout_done = Rollout(episodes, rows, started=started, seconds=time.monotonic() - started)
        return rows

    def _measures_parts(self) -> bool:
        """Whether the update that begins measures the gradients of RL and world model apart, in its first step."""
        every = self.run.execution.gradient_parts_every
        joint = self.part == "joint" and self.world_model.schedule.rl_term
        return joint and every > 0 and (self.updates_done + 1) % every == 0

    def _batches_of_steps(self) -> list[list[Batch]]:
        """The update's micro-batches, by the optimizer step of a pass that they belong to."""
        batches: list[Batch] = self._buffered_inputs  # type: ignore[attr-defined]
        size = self.args.gradient_accumulation_steps
        return [batches[first : first + size] for first in range(0, len(batches), size)]

    def _prepare_policy(self, policy: PreTrainedModel) -> None:
        """Change the model after TRL has, and before its optimizer is made."""

    def _trl_options(self) -> dict[str, Any]:
        """What else TRL's trainer is made with."""
        return {}

    def _generate_and_score_completions(self, inputs: list[Batch]) -> Batch:
        """TRL's batch of an update's full rows, with what our losses need beside it."""
        batch = self._batch_of_update(inputs)
        self._score([(batch, range(len(self._rollout_done.rows)))])
        self._filled = filled([batch])
        return batch

    def _batch_of_update(self, inputs: list[Batch]) -> Batch:
        """TRL's batch with the world-model columns and the share of a token in the losses a token."""
        batch = self._trl_batch(inputs)
        rollout = self._rollout_done
        self._columns = world_model_columns(rollout.rows, rollout.episodes, self.run.experiment, self.updates_done + 1)
        for name, column in self._columns.by_row().items():
            padded = pad([torch.from_numpy(values) for values in column], padding_value=0, padding_side="right")
            batch[name] = padded.to(batch["completion_ids"].device)
        batch["token_weight"] = self.run.experiment.algorithm.optimizer_steps / action_mask(batch).sum()
        return batch

    def _trl_batch(self, inputs: list[Batch]) -> Batch:
        """The batch that TRL makes of the update's rows: token ids, masks, advantages, log-probabilities."""
        batch: Batch = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        return batch

    def _score(self, parts: Sequence[Part]) -> None:
        """Complete the update's batches with what takes all of its rows to know. `parts`: this rank's batches and
        their rows."""

    # Losses

    def _compute_loss(self, model: torch.nn.Module, inputs: Batch) -> Tensor:
        with self.ranks.as_one():
            loss = super()._compute_loss(model, inputs)
        return self.of_all_ranks(loss)

    def _rl_loss(self, model: torch.nn.Module, inputs: Batch) -> Tensor:
        """TRL's loss, at its share of the optimizer step's (`rl_scale`), plus our own means over action tokens."""
        loss = super()._rl_loss(model, inputs)
        if "rl_scale" in inputs:
            loss = loss * inputs["rl_scale"]
        for per_token in self._token_losses(inputs):
            loss = loss + (per_token * action_mask(inputs)).sum() * inputs["token_weight"] * self._undo_scaling()
        return loss

    def _token_losses(self, inputs: Batch) -> list[Tensor]:
        """Losses a token (B, T) that the step averages over action tokens, as the split into micro-batches may not
        matter: a sum times `token_weight`, which is k / A of the update."""
        coefficient = self.run.experiment.algorithm.entropy_coefficient
        if not coefficient or getattr(self.args, "entropy_coef", None):
            return []
        return [-coefficient * inputs.get("entropy_scale", 1.0) * self._tapped[1]]

    @torch.no_grad()
    def _reference_logps(self, batch: Batch) -> Tensor:
        """Log-probabilities of the labels under the initial policy (B, T), for the KL term."""
        logps: Tensor
        if self.ref_model is not None:
            logps = self._score_pass(self.ref_model, batch)[0]
        else:
            with self.accelerator.unwrap_model(self.model).disable_adapter():
                logps = self._score_pass(self.model, batch)[0]
        return logps

    @torch.no_grad()
    def _score_pass(self, model: torch.nn.Module | None, batch: Batch) -> tuple[Any, ...]:
        """A pass over a batch without gradient, `execution.micro_batch_rows` rows at a time."""
        return self._pass(model, batch, self.run.execution.micro_batch_rows)


def action_mask(batch: Batch) -> Tensor:
    """1 on the action tokens of a batch (B, T)."""
    mask: Tensor = batch["completion_mask"] * batch["tool_mask"]
    return mask


def on_actions(batch: Batch, values: Sequence[Tensor]) -> Tensor:
    """Per row one value an action token -> (B, T), 0 elsewhere."""
    action = action_mask(batch).bool()
    spread = torch.zeros(action.shape, device=action.device)
    spread[action] = torch.cat(list(values)).float().to(action.device)
    return spread


def returns_of_episodes(episode_return: list[float | None], **_: Any) -> list[float | None]:
    """TRL's reward function: what `rollout` reports, the environment's return less the penalties."""
    return episode_return


def filled(batches: Sequence[Batch]) -> tuple[int, int]:
    """Positions of the batches that hold a token, and all of them."""
    masks = [batch[name] for batch in batches for name in ("prompt_mask", "completion_mask")]
    return sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)


class _UpdateEnd(TrainerCallback):
    """Reports the end of an update (HF's epoch) and leaves HF's loop when the target is reached."""

    def __init__(self, trainer: UpdateLoop) -> None:
        self.trainer = trainer

    def on_epoch_end(self, args: Any, state: Any, control: TrainerControl, **_: Any) -> None:
        control.should_training_stop |= self.trainer.finish_update()


def _placeholder(arguments: TrlConfig) -> Dataset:
    """TRL wants a dataset; tasks are the collector's business, so it only has the length of one update."""
    assert arguments.generation_batch_size is not None
    assert arguments.num_generations is not None
    prompts = arguments.generation_batch_size // arguments.num_generations
    return Dataset.from_dict({"prompt": [""] * prompts})
