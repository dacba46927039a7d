"""`paw-bench warm-start`: demonstrations, tokenizer, behaviour cloning, and the choice of a checkpoint by its rule.

The rule is part of the config and so fixed beforehand: the first checkpoint whose success on the tune panel lies in
`target_success`. Tasks of the panels to report on are neither demonstrated nor looked at.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from paw_bench.config.schema import EnvironmentConfig, EvaluationConfig, ExperimentConfig, RunConfig
from paw_bench.envs.panels import Panel, load_panels
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.errors import UserError
from paw_bench.store.atomic import write_json
from paw_bench.warm_start.config import WarmStartConfig


def warm_start(config: WarmStartConfig, output: Path, *, workers: int, threads: int) -> dict[str, Any]:
    """Make the model into `output` (which must not exist) and return its record (`warm_start.json`).

    Raises UserError when `output` exists, and when no checkpoint satisfies the rule.
    """
    if output.exists():
        raise UserError(f"{output} exists already", "choose another --output, or remove it")
    environment = config.demonstrations.played()
    panels = load_panels(environment)
    with EnvironmentPool(environment, workers=workers, timeout_s=60.0) as pool:
        return _make(config, environment, panels, pool, output=output, threads=threads)


def _make(
    config: WarmStartConfig,
    environment: EnvironmentConfig,
    panels: dict[str, Panel],
    pool: EnvironmentPool,
    *,
    output: Path,
    threads: int,
) -> dict[str, Any]:
    import torch

    from paw_bench.warm_start.demonstrations import places_of, play_demonstrations
    from paw_bench.warm_start.examples import examples_of, texts_of
    from paw_bench.warm_start.tokenizer import build_tokenizer
    from paw_bench.warm_start.train import Progress as TrainProgress
    from paw_bench.warm_start.train import build_model, train

    torch.set_num_threads(threads)
    experiment = ExperimentConfig(
        environment=environment,
        prompt=config.prompt,
        context=config.context,
        evaluation=EvaluationConfig(panel="tune"),
    )
    tasks = panels["train"].tasks
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("demonstrations", total=len(tasks) * config.demonstrations.episodes_per_game)
        demonstrations = play_demonstrations(
            pool, environment, tasks, config.demonstrations, lambda played: bars.update(bar, completed=played)
        )
    texts = [
        text for demonstration in demonstrations for text in texts_of(demonstration, config.prompt, config.context)
    ]
    tokenizer = build_tokenizer(texts, places_of(demonstrations), config.vocabulary, config.tokenizer)
    examples = [
        example
        for demonstration in demonstrations
        for example in examples_of(demonstration, tokenizer, config.prompt, config.context)
    ]
    model = build_model(config.size, tokenizer, config.training.seed)
    record: dict[str, Any] = {
        "config": config.model_dump(mode="json"),
        "panels": {name: panels[name].sha256 for name in ("train", "tune")},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": len(tokenizer),
        "demonstrations": {
            "episodes": len(demonstrations),
            "success": sum(demonstration.success for demonstration in demonstrations) / len(demonstrations),
            "examples": len(examples),
        },
        "training": [],
        "tune": [],
    }

    def note(progress: TrainProgress) -> None:
        record["training"].append(asdict(progress))
        print(
            f"step {progress.step}/{config.training.steps}: action loss {progress.action_loss:.3f}, observation loss "
            f"{progress.observation_loss:.3f}, {progress.seconds:.0f} s",
            flush=True,
        )

    def choose(step: int) -> bool:
        success = _tune_success(experiment, model, tokenizer, pool, panels["tune"])
        record["tune"].append([step, success])
        print(f"step {step}: success on the tune panel {success:.1%}", flush=True)
        low, high = config.target_success
        return low <= success <= high

    chosen = train(model, examples, config.training, note, choose)
    if not chosen:
        output = output.with_name(f"{output.name}-not-chosen")
    publish(model, tokenizer, record, output)
    if not chosen:
        raise UserError(
            f"no checkpoint's success on the tune panel lies in {config.target_success}: {record['tune']}; the last "
            f"weights are in {output}",
            "train longer (--steps)",
        )
    return record


def _tune_success(
    experiment: ExperimentConfig, model: Any, tokenizer: Any, pool: EnvironmentPool, panel: Panel
) -> float:
    from paw_bench.evaluation.play import play_panel
    from paw_bench.rollout.build import build_collector

    collector = build_collector(RunConfig(experiment=experiment), pool, model, tokenizer)
    episodes = play_panel(collector.collect, panel, experiment.evaluation, seed=0)
    return sum(episode.success for episode in episodes) / len(episodes)


def publish(model: Any, tokenizer: Any, record: dict[str, Any], output: Path) -> None:
    """Write model, tokenizer and record into the new folder `output`: complete or absent."""
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        write_json(temporary / "warm_start.json", record)
        temporary.chmod(0o755)
        temporary.rename(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
