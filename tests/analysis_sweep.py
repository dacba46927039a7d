"""Builds sweep directories from plain JSON, exactly in the formats of docs/architecture.md, with plausible numbers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.evaluation.probabilities import histogram

TYPES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
EASE = (1.4, 0.3, 0.1, 0.0, 0.0, -1.6)
"""Log-odds of the six types against the mean."""
HASH = "5a" * 32
ARMS = ("grpo", "paw", "paw with shuffled observations")


def write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schema_version": 1, **document}, indent=2))


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in [{"schema_version": 1}, *records]))


class Sweep:
    """A synthetic sweep: `done`, `running` and `failed` add a run's folder; a run without one was never started."""

    def __init__(
        self,
        path: Path,
        *,
        arms: Sequence[str] = ARMS,
        seeds: Sequence[int] = (0, 1),
        axes: Sequence[Mapping[str, Any]] = ({},),
        updates: int = 12,
        games: int = 60,
        **plan: Any,
    ) -> None:
        self.path, self.updates, self.games = path, updates, games
        self.runs = [
            {"run_id": run_id(arm, point, seed), "arm": arm, "axes": dict(point), "seed": seed}
            for seed in seeds
            for point in axes
            for arm in arms
        ]
        self.arms = tuple(arms)
        planned = {
            "arms": list(arms),
            "reference": arms[0],
            "comparisons": [[arm, arms[0]] for arm in arms[1:]],
            "runs": self.runs,
            "changes": {
                arm: {"world_model.enabled": {"base": False, "arm": True}} if i else {} for i, arm in enumerate(arms)
            },
            "cost": {"run_seconds": dict.fromkeys(arms, 200.0), "total_seconds": 700.0, "parallel": 2},
            **plan,
        }
        document = {"name": "ablations", "scale": "embedded", "source": "experiments/ablations.yaml", "text": ""}
        document |= {"text_sha256": "", "created": 1.7e9, "plan": planned}
        write(path / "sweep.json", document)

    def folder(self, arm: str, seed: int, **axes: Any) -> Path:
        return self.path / "runs" / run_id(arm, axes, seed)

    def finish(self, *, skip: Iterable[tuple[str, int]] = ()) -> Sweep:
        for run in self.runs:
            if (run["arm"], run["seed"]) not in skip:
                self.done(run["arm"], run["seed"], axes=run["axes"])
        return self

    def done(
        self,
        arm: str,
        seed: int,
        *,
        axes: Mapping[str, Any] | None = None,
        wins: Mapping[str, Sequence[int]] | None = None,
        panel_hash: str = HASH,
        set_hash: str = HASH,
    ) -> Path:
        """A finished run. `wins`: phase -> successes (0 or 1) of the games, in the order of `TYPES`, cyclic."""
        folder = self._begin(arm, seed, axes or {})
        rng = np.random.default_rng([seed, self.arms.index(arm)])
        write_lines(folder / "metrics.jsonl", self._metrics(arm, rng, self.updates))
        write_lines(folder / "episodes.jsonl", self._episodes(arm, seed, rng, wins or {}, panel_hash))
        write_lines(folder / "fixed_transitions.jsonl", self._fixed(arm, rng, set_hash))
        self._journal(folder, "attempt_ended", 15.0 * self.updates + 77.0, outcome="done", reason="")
        publish(folder, self.updates)
        return folder

    def running(self, arm: str, seed: int, updates: int) -> Path:
        """A run whose process was killed after `updates` updates: no result, no last word."""
        folder = self._begin(arm, seed, {})
        write_lines(folder / "metrics.jsonl", self._metrics(arm, np.random.default_rng(seed), updates))
        return folder

    def failed(self, arm: str, seed: int, reason: str) -> Path:
        folder = self.running(arm, seed, 2)
        self._journal(folder, "attempt_ended", outcome="failed", reason=reason)
        return folder

    def _begin(self, arm: str, seed: int, axes: Mapping[str, Any]) -> Path:
        folder = self.folder(arm, seed, **axes)
        config = RunConfig(
            experiment=ExperimentConfig.model_validate(
                {
                    "seed": seed,
                    "training": {"updates": self.updates},
                    "world_model": {"enabled": not arm.startswith("grpo")},
                }
            )
        )
        info = {"run_id": folder.name, "experiment_name": "ablations", "arm": arm, "axes": dict(axes), "seed": seed}
        write(folder / "config.json", {**info, "config": config.model_dump(mode="json")})
        git = {"commit": "c0ffee" + "0" * 34, "dirty": False, "diff_sha256": None, "diff": "", "diff_truncated": False}
        write(folder / "attempts" / "1" / "provenance.json", {"git": git, "panels": {"valid_seen": HASH}})
        write_lines(folder / "journal.jsonl", [])
        self._journal(folder, "attempt_started", pid=1, hostname="somewhere", log="attempts/1/log.txt")
        return folder

    def _journal(self, folder: Path, event: str, after: float = 0.0, **fields: Any) -> None:
        with (folder / "journal.jsonl").open("a") as file:
            file.write(json.dumps({"event": event, "time": 1.7e9 + 60 + after, "attempt": 1, **fields}) + "\n")

    def _gain(self, arm: str) -> float:
        """Final log-odds against the start."""
        return 1.0 + 0.5 * math.sin(2.0 * self.arms.index(arm))

    def _metrics(self, arm: str, rng: np.random.Generator, updates: int) -> list[dict[str, Any]]:
        on, shuffled = not arm.startswith("grpo"), "shuffled" in arm
        start, gain = -0.9 + rng.normal(0, 0.15), self._gain(arm) + rng.normal(0, 0.25)
        records = []
        for update in range(1, updates + 1):
            share = update / self.updates
            success = float(rng.binomial(64, logistic(start + gain * share)) / 64)
            learned = share if on and not shuffled else 0.15 * share if not on else -0.3 * share
            loss = float(0.42 - 0.2 * learned + rng.normal(0, 0.01))
            records.append(
                {
                    "update": update,
                    "episodes": 64,
                    "success": success,
                    "reward": 10 * success,
                    "loss": float(rng.normal(0, 0.02)),
                    "kl": None,
                    "entropy": float(0.9 - 0.4 * share),
                    "tokens": {"prompt": 90000, "action": 8000, "observation": 21000, "template": 4000},
                    "rows": 1200,
                    "seconds": {"rollout": 9.0, "train": 6.0 if on else 5.0, "total": 15.25},
                    "peak_memory_mb": 2048.0 + 64.0 * on,
                    "device_seconds": 15.25,
                    "wm": {
                        "weight": 1 - success if on else 0.0,
                        "loss": loss,
                        "lambda_mean": 1 - success,
                        "selected_share": 0.75,
                        "clipped_share": float(0.55 + 0.3 * learned + rng.normal(0, 0.01)),
                        "perplexity": math.exp(4 * loss),
                    },
                    "time": 1.7e9 + 15.0 * update,
                }
            )
        return records

    def _episodes(
        self, arm: str, seed: int, rng: np.random.Generator, wins: Mapping[str, Sequence[int]], panel_hash: str
    ) -> list[dict[str, Any]]:
        first = np.random.default_rng([seed, 10_000])  # arms share the initial weights and the noise of a game
        shift = first.normal(0, 0.2)
        records = []
        for phase, gain in (("before", 0.0), ("after", self._gain(arm) + rng.normal(0, 0.1))):
            for game in range(self.games):
                kind = game % len(TYPES)
                drawn = (first if phase == "before" else rng).random() < logistic(-0.9 + shift + EASE[kind] + gain)
                success = bool(wins[phase][game]) if phase in wins else bool(drawn)
                records.append(
                    {
                        "phase": phase,
                        "panel": "valid_seen",
                        "panel_hash": panel_hash,
                        "task_id": f"game-{game:03d}",
                        "task_type": TYPES[kind],
                        "seed": seed,
                        "temperature": 0.4,
                        "reward": 10.0 * success,
                        "success": success,
                        "turns": 20,
                        "accepted_share": 0.8,
                        "tokens": {"prompt": 1500, "action": 130, "observation": 350, "template": 60},
                    }
                )
        return records

    def _fixed(self, arm: str, rng: np.random.Generator, set_hash: str) -> list[dict[str, Any]]:
        on, shuffled = not arm.startswith("grpo"), "shuffled" in arm
        records = []
        for phase in ("before", "after"):
            better = 0.0 if phase == "before" else -0.5 if shuffled else 0.7 if on else -0.1
            nll = float(1.6 - better + (rng.normal(0, 0.03) if phase == "after" else 0.0))
            accuracy = float(0.62 + 0.2 * better)
            record = {"phase": phase, "set_hash": set_hash, "transitions": 400, "tokens": 9000, "nll": nll}
            record |= {"perplexity": math.exp(nll), "accuracy": accuracy, "loss_mae": 1 - accuracy}
            records.append({**record, "probabilities": probabilities(phase, better)})
        return records


def probabilities(phase: str, better: float, tokens: int = 9000) -> dict[str, Any]:
    """A histogram of so many tokens; a tenth is noisy, which no training betters."""
    rng = np.random.default_rng([len(phase), round(1000 * (better + 1))])
    noisy = np.arange(tokens) < tokens // 10
    p = np.where(noisy, rng.beta(0.5, 2.0, tokens), rng.beta(3.0 + 2.0 * better, 0.3, tokens))
    return histogram(p, np.full(tokens, 1 / tokens), noisy, rho=0.2)


def publish(folder: Path, updates: int) -> None:
    """Write `result.json` for the files that are in the folder."""
    episodes = read_lines(folder / "episodes.jsonl")
    evaluation = {phase: summary([e for e in episodes if e["phase"] == phase]) for phase in ("before", "after")}
    names = ("config.json", "metrics.jsonl", "episodes.jsonl", "fixed_transitions.jsonl", "samples.jsonl")
    names = tuple(name for name in names if (folder / name).exists())
    document = {"run_id": folder.name, "status": "done", "updates": updates, "evaluation": evaluation}
    document |= {"seconds": {"training": 15.0 * updates, "evaluation": 40.0, "total": 15.0 * updates + 47.0}}
    document |= {"attempts": 1, "published": 1.7e9 + 15.0 * updates + 107.0}
    document |= {"files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}}
    write(folder / "result.json", document)


def summary(episodes: list[dict[str, Any]]) -> dict[str, Any]:
    groups = {kind: [e["success"] for e in episodes if e["task_type"] == kind] for kind in TYPES}
    return {
        "success": sum(e["success"] for e in episodes) / len(episodes),
        "reward": sum(e["reward"] for e in episodes) / len(episodes),
        "by_type": {k: {"success": sum(wins) / len(wins), "games": len(wins)} for k, wins in groups.items() if wins},
        "games": len(episodes),
        "panel_hash": episodes[0]["panel_hash"],
    }


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


def run_id(arm: str, axes: Mapping[str, Any], seed: int) -> str:
    return hashlib.sha256(json.dumps([arm, dict(axes), seed]).encode()).hexdigest()[:12]


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))
