"""Seconds and memory that a report of 1,000 runs takes, each stage apart; rendering the pictures is no part of it.

python benchmarks/report.py

Each sweep is written into a temporary folder, about 0.4 MB a run, and removed at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from paw_bench.config.schema import RunConfig
from paw_bench.evaluation.probabilities import histogram

ARMS, UPDATES, GAMES = 10, 150, 140
SHAPES = {"10 arms x 100 seeds": (1, 100), "10 arms x 10 values of an axis x 10 seeds": (10, 10)}
TYPES = ("pick_and_place_simple", "look_at_obj_in_light", "pick_clean_then_place_in_recep")
TYPES += ("pick_heat_then_place_in_recep", "pick_cool_then_place_in_recep", "pick_two_obj_and_place")
PANEL = "c8" * 32
Record = dict[str, Any]


def main() -> None:
    """Make each sweep, and print what each stage took in a process of its own."""
    for name, (points, seeds) in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), points, seeds)
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
            print(
                f"{name}: {ARMS * points * seeds} runs x {UPDATES} updates x 2 x {GAMES} episodes, {size / 1e6:.0f} MB"
            )
            for stages in (("load", "tables", "figure data"), ("load", "rendering one figure")):
                subprocess.run([sys.executable, __file__, "--measure", folder, *stages], check=True)


def measure(folder: Path, stages: Iterable[str]) -> None:
    """Print CPU (of every process) and wall seconds of each stage, and the peak memory of the processes."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    import matplotlib.style

    from analysis import figures, report
    from analysis.load import load
    from analysis.plotted import figure_data

    total_cpu = total_wall = 0.0

    def show(stage: str, start_cpu: float, start_wall: float) -> None:
        nonlocal total_cpu, total_wall
        used, passed = cpu_seconds() - start_cpu, time.perf_counter() - start_wall
        total_cpu, total_wall = total_cpu + used, total_wall + passed
        print(f"  {stage:22} {used:6.2f} CPU s {passed:7.2f} s")

    show("imports", 0.0, wall - cpu)
    for stage in stages:
        cpu, wall = cpu_seconds(), time.perf_counter()
        if stage == "load":
            results = load(folder)
            assert not results.problems, results.problems[:3]
        elif stage == "tables":
            report.table_data(results)
        elif stage == "figure data":
            drawn = sum(1 for _ in figure_data(results))
            assert drawn, "no figure has data"
        else:
            with tempfile.TemporaryDirectory() as out, matplotlib.style.context(figures.STYLE):
                figure = figures.make("learning_curves", results, results.conditions[0])
                assert figure is not None
                for ending in ("pdf", "png"):
                    figure.savefig(Path(out, f"figure.{ending}"))
        show(stage, cpu, wall)
    peak, other = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    processes = f"{peak:.0f} MB" + (f", each of the processes it forks {other:.0f} MB" if other else "")
    print(f"  {'all of it':22} {total_cpu:6.2f} CPU s {total_wall:7.2f} s, at most {processes}")


def cpu_seconds() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def make(folder: Path, points: int, seeds: int) -> None:
    """Write a finished sweep of `ARMS` arms in the formats of docs/architecture.md; one point is no axis."""
    arms = ["grpo", *(f"paw variant {number}" for number in range(1, ARMS))]
    axes = [{"world_model.loss.rho": round(0.1 * n, 1)} for n in range(points)] if points > 1 else [{}]
    places = [(arm, point, seed) for seed in range(seeds) for point in axes for arm in arms]
    planned = []
    for arm, point, seed in places:
        run_id = hashlib.sha256(json.dumps([arm, point, seed]).encode()).hexdigest()[:12]
        planned.append({"run_id": run_id, "arm": arm, "axes": point, "seed": seed})
    plan = {
        "arms": arms,
        "reference": "grpo",
        "comparisons": [[arm, "grpo"] for arm in arms[1:]],
        "runs": planned,
        "changes": {arm: {} for arm in arms},
        "cost": {"run_seconds": dict.fromkeys(arms, 200.0), "total_seconds": 700.0, "parallel": 2},
    }
    head = {
        "name": "large",
        "scale": "embedded",
        "source": "large.yaml",
        "text": "",
        "text_sha256": "",
        "created": 1.7e9,
    }
    document(folder / "sweep.json", {**head, "plan": plan})
    rng = np.random.default_rng(0)
    for number, run in enumerate(planned):
        make_run(folder / "runs" / run["run_id"], run, arms.index(run["arm"]), rng, 1.7e9 + 3000.0 * number)


def make_run(path: Path, run: Record, arm: int, rng: np.random.Generator, begin: float) -> None:
    """One finished run: training that gains a little, more so for later arms."""
    (path / "attempts" / "1").mkdir(parents=True)
    experiment = {"seed": run["seed"], "training": {"updates": UPDATES}, "world_model": {"enabled": arm > 0}}
    config = RunConfig.model_validate({"experiment": experiment})
    info = {key: run[key] for key in ("run_id", "arm", "axes", "seed")} | {"experiment_name": "large"}
    document(path / "config.json", {**info, "config": config.model_dump(mode="json")})
    git = {"commit": "c0ffee" + "0" * 34, "dirty": False, "diff_sha256": None, "diff": "", "diff_truncated": False}
    origin = {"git": git, "packages": {"torch": "2.13.0"}, "python": "3.11.7", "device": "cpu", "panels": {}}
    document(path / "attempts" / "1" / "provenance.json", origin)
    start = {"event": "attempt_started", "time": begin, "attempt": 1}
    end = {"event": "attempt_ended", "time": begin + 2500.0, "attempt": 1, "outcome": "done", "reason": ""}
    lines(path / "journal.jsonl", [start, end])
    lines(path / "metrics.jsonl", metrics(arm, rng, begin))
    fixed = {
        "set_hash": PANEL,
        "transitions": 337,
        "tokens": TOKENS,
        "perplexity": 1.47,
        "accuracy": 0.86,
        "loss_mae": 0.17,
    }
    measured = [{"nll": nll, "probabilities": probabilities(rng)} for nll in rng.uniform(0.3, 0.4, 2).tolist()]
    lines(path / "fixed_transitions.jsonl", [{"phase": p, **fixed, **m} for p, m in zip(PHASES, measured, strict=True)])
    lines(path / "samples.jsonl", [sample(phase, run) for phase in PHASES for _ in range(3)])
    wins = rng.random((2, GAMES)) < np.array([[0.2], [0.3 + 0.04 * arm]])
    lines(
        path / "episodes.jsonl",
        [record for phase, won in zip(PHASES, wins, strict=True) for record in episodes(phase, won, run)],
    )
    names = ("config.json", "metrics.jsonl", "episodes.jsonl", "fixed_transitions.jsonl", "samples.jsonl")
    files = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in names}
    seconds = {"training": 2250.0, "evaluation": 47.0, "total": 2300.0}
    result = {"run_id": run["run_id"], "status": "done", "updates": UPDATES, "seconds": seconds, "attempts": 1}
    evaluation = {phase: summary(won) for phase, won in zip(PHASES, wins, strict=True)}
    document(path / "result.json", {**result, "evaluation": evaluation, "files": files, "published": begin + 2400.0})


PHASES = ("before", "after")
TOKENS = 4518
"""Of the fixed transitions."""


def probabilities(rng: np.random.Generator) -> Record:
    """A histogram of the fixed transitions' tokens; a tenth is noisy."""
    noisy = np.arange(TOKENS) < TOKENS // 10
    p = np.where(noisy, rng.random(TOKENS) ** 2, rng.random(TOKENS) ** 0.2)
    return histogram(p, np.full(TOKENS, 1 / TOKENS), noisy, rho=0.2)


def sample(phase: str, run: Record) -> Record:
    """An episode word by word, as long as a real one."""
    reply = {"tokens": ["go to", " drawer 4", "<|end|>"], "entropy": [0.004, 3.123, 0.002]}
    observation = {"tokens": ["You arrive at", " drawer 4", ". ", "It", " is", " closed", "."], "surprise": [0.125] * 7}
    turn = {"action": "go to drawer 4", "valid": True, "accepted": True, "reward": 0.0, "penalty": 0.0}
    turns = [{**turn, "reply": reply, "observation": observation}] * 18
    head = {"phase": phase, "chosen": "first of the panel", "task_id": "game-0", "task_type": TYPES[0]}
    return {**head, "seed": run["seed"], "success": False, "reward": 0.0, "prompt": "put a vase", "turns": turns}


def metrics(arm: int, rng: np.random.Generator, begin: float) -> list[Record]:
    """One record an update, as wide as a real one."""
    names = ("success", "entropy", "valid_share", "accepted_share", "clip_ratio", "grad_norm", "turns", "rl_loss")
    drawn = rng.random((UPDATES, len(names) + 6)).tolist()
    part = ("weight", "loss", "lambda_mean", "selected_share", "clipped_share", "accuracy")
    tokens = {"prompt": 70907, "action": 4699, "observation": 11308, "template": 1232}
    common = {"episodes": 64, "reward": 1.7 + arm, "penalty": 0.5, "kl": None, "learning_rate": 7.5e-05, "loss": 0.2}
    common |= {"logprob_gap": 1.9e-06, "tokens": tokens, "rows": 1230, "peak_memory_mb": 1692.5, "redone_episodes": 0}
    seconds = {"rollout": 7.1899003319995245, "train": 7.024878575000912, "total": 15.214778907000436}
    seconds |= {"generate": 6.425487847001932, "environment": 0.7310606699957134}
    return [
        {
            "update": update,
            **common,
            **dict(zip(names, values, strict=False)),
            "seconds": seconds,
            "device_seconds": 15.2,
            "wm": {**dict(zip(part, values[len(names) :], strict=True)), "perplexity": 1.7346783023359362},
            "time": begin + 15.2 * update,
        }
        for update, values in enumerate(drawn, start=1)
    ]


def episodes(phase: str, won: np.ndarray, run: Record) -> Iterable[Record]:
    """One record a game."""
    common = {"phase": phase, "panel": "valid_seen", "panel_hash": PANEL, "seed": run["seed"], "temperature": 0.4}
    common |= {"turns": 18, "accepted_share": 0.7222222222222222}
    common |= {"tokens": {"prompt": 1066, "action": 70, "observation": 189, "template": 18}}
    for game, success in enumerate(won.tolist()):
        kind = TYPES[game % len(TYPES)]
        task = f"{kind}-Vase-None-DeskLamp-{game}/trial_P938114501873"
        yield {**common, "task_id": task, "task_type": kind, "reward": 10.0 * success, "success": success}


def summary(won: np.ndarray) -> Record:
    """What a result says of one phase."""
    by_type = {kind: won[place :: len(TYPES)] for place, kind in enumerate(TYPES)}
    return {
        "success": float(won.mean()),
        "reward": float(10 * won.mean()),
        "by_type": {kind: {"success": float(own.mean()), "games": len(own)} for kind, own in by_type.items()},
        "games": len(won),
        "panel_hash": PANEL,
    }


def document(path: Path, content: Record) -> None:
    """Write a JSON document with its schema version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps({"schema_version": 1, **content}))


def lines(path: Path, records: Iterable[Record]) -> None:
    """Write a record file with its head."""
    path.write_bytes(b"\n".join(map(orjson.dumps, [{"schema_version": 1}, *records])) + b"\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
