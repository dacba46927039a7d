"""`paw-bench play` and `paw-bench warm-start`: a model at play, and where an embedded one comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from paw_bench.cli_options import AsJson, Overrides, Scale, examples
from paw_bench.errors import UserError

app = typer.Typer()


@app.command(
    epilog=examples(
        "paw-bench play alfworld",
        "paw-bench play alfworld --policy embedded --task pick_heat_then_place_in_recep --seed 1",
        "paw-bench play webshop --policy oracle --json",
        "paw-bench play alfworld --policy results/runs/quickstart-embedded/runs/0123456789ab",
    )
)
def play(
    environment: Annotated[str, typer.Argument(metavar="ENV", help="An installed environment, such as alfworld.")],
    *,
    task: Annotated[
        str | None, typer.Option(metavar="T", help="A task's id or its beginning, or a task type (default: any).")
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            metavar="P",
            help="human, oracle, random, handcoded (alfworld), or a model: embedded, a folder, id, run, checkpoint.",
        ),
    ] = "human",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Another task that fits, and other noise.")] = 0,
    scale: Scale = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show an episode turn by turn; where a model plays, how sure it was and how the world surprised it.

    A model plays a group of episodes, as in training, of which the first is shown.
    """
    from paw_bench import cli_play

    asked: dict[str, Any] = {"task": task, "policy": policy, "seed": seed, "scale": scale}
    raise typer.Exit(cli_play.play(environment, **asked, overrides=overrides or (), as_json=as_json))


@app.command(
    "warm-start",
    epilog=examples(
        "paw-bench warm-start embedded --output my-embedded", "paw-bench warm-start embedded-small --output my-small"
    ),
)
def warm_start(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="embedded, or embedded-SUFFIX: small, search-qa, textworld, webshop.")
    ],
    *,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make; its name then works as model.name.")],
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Training steps, at most.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", min=0, help="Seed of weights and batches.")] = None,
    expert: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whom to clone instead; ALFWorld has: handcoded.")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that play games.")] = 2,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="CPU threads of torch.")] = 1,
) -> None:
    """Make an embedded model: play demonstrations, clone them, choose a checkpoint by the rule in its config."""
    from paw_bench.config.schema import ExecutionConfig
    from paw_bench.envs.definition import definition
    from paw_bench.sweep.environment import ensure_environment
    from paw_bench.warm_start import main as warm
    from paw_bench.warm_start.presets import PRESETS

    if model not in PRESETS:
        raise UserError(f"warm-start: there is no model {model!r}", f"give one of: {', '.join(PRESETS)}")
    ensure_environment(ExecutionConfig(threads=threads))
    preset = PRESETS[model]
    first = preset.training.candidates_from
    if steps is not None and steps < first:
        raise UserError(f"warm-start: --steps {steps} ends before the first candidate", f"give at least {first}")
    experts = definition(preset.demonstrations.environment).experts()
    if expert is not None and expert not in experts:
        known = ", ".join(experts) or "there are none"
        raise UserError(f"warm-start: no expert {expert!r} plays the games of {model}", f"known: {known}")
    asked = {key: value for key, value in (("steps", steps), ("seed", seed)) if value is not None}
    changed = {
        "training": preset.training.model_copy(update=asked),
        "demonstrations": preset.demonstrations.model_copy(update={"expert": expert}),
    }
    config = preset.model_copy(update=changed)
    warm.warm_start(config, output, workers=workers, threads=threads)
    print(f"made {output}; use it with: --set model.name={output}")
