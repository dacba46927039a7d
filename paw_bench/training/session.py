"""One attempt's work, in order: load or resume, evaluate, train, evaluate, publish.

Several processes (ranks) do it together: each plays its share of the episodes and trains on its share of the rows; the
main one writes every file.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch

from paw_bench import models
from paw_bench.envs.panels import Panel
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.evaluation import samples
from paw_bench.evaluation.fixed_transitions import measure, play_fixed_transitions
from paw_bench.evaluation.play import play_panel, records, summary
from paw_bench.rollout.build import build_collector
from paw_bench.rollout.collector import Assignment
from paw_bench.rollout.engines.choose import choose
from paw_bench.rollout.episode import Episode
from paw_bench.store import jsonl
from paw_bench.store.run_directory import RunDirectory
from paw_bench.training import token_record
from paw_bench.training.build import build_trainer
from paw_bench.training.entropies import fill_entropies
from paw_bench.training.health import PolicyCollapsed, ProvenanceViolated, TrainingDiverged, TrainingStopped, decline
from paw_bench.training.loop import UpdateLoop
from paw_bench.training.ranks import Ranks
from paw_bench.training.sync import WeightSync
from paw_bench.training.tasks import assignments_of_update


class Session:
    """Model, environments and trainer of a run, and what is left to do."""

    def __init__(self, directory: RunDirectory, panels: dict[str, Panel], pool: EnvironmentPool) -> None:
        self.directory = directory
        self.ranks = Ranks.of(directory.config.execution)
        self.ranks.meet(directory.config.execution.device)
        self.config = directory.config
        self.experiment = self.config.experiment
        execution = self.config.execution
        torch.set_num_threads(execution.threads)
        if self.experiment.rollout.deterministic:
            torch.use_deterministic_algorithms(True)
        self.panels = panels
        self.panel = panels[self.experiment.evaluation.panel]
        self.pool = pool
        device = torch.cuda.get_device_name() if execution.device == "cuda" else "cpu"
        if self.ranks.main:
            directory.record_provenance(
                panels={name: panel.sha256 for name, panel in panels.items()},
                device=device,
                engine=asdict(choose(self.config)),
            )
        model, tokenizer = models.load(self.experiment.model, execution.device)
        self.model = model
        self.collector = build_collector(self.config, pool, model, tokenizer)
        if self.ranks.main:
            self.fixed = play_fixed_transitions(self.experiment, pool, panels["tune"], self.collector.codec)
        probes = self.ranks.from_main(lambda: [row.prompt_ids for row in self.fixed.rows])
        self.sync = WeightSync(self.config, self.collector.engine, probes, self.ranks)
        self.redone = pool.redone
        self.failures = 0
        self.tokens_recorded = False
        self.trainer = build_trainer(
            self.config,
            model=model,
            tokenizer=tokenizer,
            collect=self._collect,
            on_update=self._on_update,
            output_dir=directory.path / "checkpoints",
        )

    def finish(self) -> None:
        """Do what is left of the run and publish its result."""
        try:
            self._resume()
            self._evaluate_if_due()
            while self.trainer.updates_done < self.experiment.training.updates:
                self._train_to(self._next_stop())
                self._evaluate_if_due()
        finally:
            self.collector.engine.close()
        if self.ranks.main:
            self.directory.publish_result(self._result())

    def _resume(self) -> None:
        """Go back to the last checkpoint; what was recorded after it is dropped and will be computed again."""
        latest = self.ranks.from_main(self.directory.latest_checkpoint)
        update = 0
        if latest:
            update, folder = latest
            self.trainer.load_checkpoint(folder)
        if self.ranks.main:
            if latest:
                self.directory.journal("resumed", update=update)
            self.directory.rewind(update)
        self.metrics = self.ranks.from_main(self.directory.metrics)
        self.decline = decline(self.metrics, self.config.execution.collapse)

    def _next_stop(self) -> int:
        """The next update after which there is something to do: a checkpoint, an evaluation, or the end."""
        done = self.trainer.updates_done
        periods = [self.config.execution.checkpoint_every, self.experiment.evaluation.every]
        stops = [(done // period + 1) * period for period in periods if period]
        return min(*stops, self.experiment.training.updates)

    def _train_to(self, update: int) -> None:
        """Train, then take a checkpoint. Raises `TrainingStopped`, which says what the next attempt begins with."""
        try:
            self.trainer.train_to(update)
            self._checkpoint()
        except TrainingStopped as stop:
            if isinstance(stop, ProvenanceViolated) and stop.episode:
                self._record_tokens([stop.episode], self.trainer.updates_done + 1, why=stop.reason)
            diverged = isinstance(stop, TrainingDiverged) and stop.untouched
            left = self.ranks.from_main(lambda: self._what_is_left(discard=diverged))
            raise type(stop)(f"{stop.reason}; {left}") from stop

    def _what_is_left(self, *, discard: bool) -> str:
        """What the next attempt begins with, in words. `discard`: the weights of now fail."""
        if discard:
            self.directory.discard_checkpoint(self.trainer.updates_done)
        latest = self.directory.latest_checkpoint()
        return f"the last good checkpoint is that of update {latest[0]}" if latest else "there is no checkpoint"

    def _checkpoint(self) -> None:
        if self.decline:
            # If the next updates confirm it, an attempt has to begin from before.
            return
        started = time.monotonic()
        update = self.trainer.updates_done
        self.trainer.check_weights()
        if not self.ranks.main:
            return
        with self.directory.checkpoint_writer(update) as folder:
            self.trainer.save_checkpoint(folder)
        self.directory.journal("checkpoint", update=update, seconds=time.monotonic() - started)

    # -- training --------------------------------------------------------------------------------------------------

    def _collect(self, update: int) -> list[Episode]:
        assignments = assignments_of_update(
            self.panels["train"].tasks, self.experiment.algorithm, seed=self.experiment.seed, update=update
        )
        episodes = self._play(assignments, self.experiment.rollout.temperature)
        self._take_entropies(episodes)
        if not self.tokens_recorded:
            self._record_tokens(episodes, update)
            self.tokens_recorded = True
        return episodes

    def _record_tokens(self, episodes: list[Episode], update: int, why: str | None = None) -> None:
        """Leave episodes of an update with the attempt, token by token."""
        if self.ranks.main and self.directory.attempt:
            codec, mode = self.collector.codec, self.experiment.context.mode
            found = token_record.records(episodes, update=update, codec=codec, mode=mode, why=why)
            jsonl.append(self.directory.attempt.tokens, found)

    def _play(self, assignments: list[Assignment], temperature: float) -> list[Episode]:
        """All episodes of `assignments`, of which each rank plays its share, by the policy as it is now."""
        self.sync.to(self.model, self.trainer.updates_done)
        return self.ranks.gather_shares(self.collector.collect(list(self.ranks.share(assignments)), temperature))

    def _take_entropies(self, episodes: list[Episode]) -> None:
        """Those that selection scores by, where the engine took none."""
        if self.experiment.world_model.selection.score == "entropy":
            batch, mode = self.config.execution.micro_batch_rows, self.experiment.context.mode
            fill_entropies(episodes, self.model, mode=mode, batch=batch)

    def _on_update(self, record: dict[str, Any], _: UpdateLoop) -> None:
        redone = sum(self.ranks.gather(self.pool.redone - self.redone))
        self.redone = self.pool.redone
        record["redone_episodes"] = redone
        self._note_failures()
        if self.ranks.main:
            self._write_update(record)
        self.metrics.append(record)
        self._stop_if_collapsed()

    def _write_update(self, record: dict[str, Any]) -> None:
        timing = self.collector.timing
        record["seconds"] |= {
            "generate": timing.generate,
            "environment": timing.environment,
            "workers": timing.worked,
            "sync": self.sync.last.seconds,
        }
        record["sync_gap"] = self.sync.last.gap
        record["device_seconds"] = record["seconds"]["total"] * self.config.execution.ranks
        self.directory.append_metrics(record)
        print(
            f"update {record['update']}/{self.experiment.training.updates}: success {record['success']:.1%}, "
            f"return {record['reward'] - record['penalty']:.2f}, loss {record['loss']:.4f}, "
            f"{record['seconds']['total']:.1f} s",
            flush=True,
        )

    def _stop_if_collapsed(self) -> None:
        limits = self.config.execution.collapse
        self.decline = found = decline(self.metrics, limits)
        if found and found.updates >= limits.updates:
            raise PolicyCollapsed(
                f"no success in updates {found.first} to {self.trainer.updates_done}, and {found.symptom} "
                "(execution.collapse.updates: 0 trains on)"
            )

    def _note_failures(self) -> None:
        """Journal what the engine failed with, and the episodes that the environments gave up, since the last call."""
        for reasons in self.ranks.gather(self.collector.engine_failures):
            for reason in reasons if self.ranks.main else ():
                self.directory.journal("engine_failed", reason=reason, retried=True)
        self.collector.engine_failures.clear()
        for own in self.ranks.gather(self.pool.failures[self.failures :]):
            for failure in own if self.ranks.main else ():
                self.directory.journal("episode_given_up", **asdict(failure))
        self.failures = len(self.pool.failures)

    # -- evaluation ------------------------------------------------------------------------------------------------

    def _evaluate_if_due(self) -> None:
        """Evaluate what is due after the updates done so far and is not on record yet."""
        phase = self._phase()
        if phase and not self.ranks.from_main(lambda: self._evaluated(phase)):
            self._evaluate(phase)

    def _phase(self) -> str | None:
        """Name of the evaluation that belongs to the updates done so far, or None."""
        done, evaluation = self.trainer.updates_done, self.experiment.evaluation
        if done == 0:
            return "before" if evaluation.before else None
        if done == self.experiment.training.updates:
            return "after"
        return f"update-{done:06d}" if evaluation.every and done % evaluation.every == 0 else None

    def _evaluate(self, phase: str) -> None:
        """Play the panel and measure the fixed transitions, on record as one phase."""
        started = time.monotonic()
        evaluation = self.experiment.evaluation
        if self.ranks.main:
            self.directory.journal("evaluation_started", phase=phase)
        episodes = play_panel(self._play, self.panel, evaluation, seed=self.experiment.seed)
        self._note_failures()
        if not self.ranks.main:
            return
        batch, mode = self.config.execution.micro_batch_rows, self.experiment.context.mode
        diagnostics = measure(self.model, self.fixed, batch, rho=self.experiment.world_model.loss.rho)
        sampled: list[dict[str, Any]] = []
        if phase in samples.PHASES:
            self._take_entropies([episode for _, episode in samples.choose(episodes)])
            sampled = samples.records(
                episodes, phase, model=self.model, codec=self.collector.codec, mode=mode, batch=batch
            )
        outcome = summary(episodes, self.panel)
        seconds = time.monotonic() - started
        self.directory.append_fixed_transitions({"phase": phase, **diagnostics})
        self.directory.append_samples(sampled)
        self.directory.journal(
            "evaluation", phase=phase, seconds=seconds, summary=outcome, episodes=len(episodes), samples=len(sampled)
        )
        # The episodes go last: a phase that has them is complete.
        self.directory.append_episodes(records(episodes, self.panel, phase, evaluation, mode))
        print(f"evaluation {phase}: success {outcome['success']:.1%} on {outcome['games']} games, {seconds:.1f} s")

    def _evaluated(self, phase: str) -> bool:
        """Whether the phase is complete on record: its episodes are written last, all at once."""
        return any(record["phase"] == phase for record in self.directory.episodes())

    def _result(self) -> dict[str, Any]:
        evaluations = {event["phase"]: event for event in self.directory.events() if event["event"] == "evaluation"}
        fixed = {
            record["phase"]: {name: value for name, value in record.items() if name != "probabilities"}
            for record in self.directory.fixed_transitions()
        }
        phases = [phase for phase in ("before", "after") if phase in evaluations]
        training = sum(record["seconds"]["total"] for record in self.directory.metrics())
        evaluating = sum(event["seconds"] for event in evaluations.values())
        return {
            "updates": self.trainer.updates_done,
            "evaluation": {phase: evaluations[phase]["summary"] for phase in phases},
            "fixed_transitions": {phase: fixed[phase] for phase in phases},
            "seconds": {"training": training, "evaluation": evaluating, "total": training + evaluating},
        }
