"""`paw-bench games`: which games the panels hold, and ALFWorld's original ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paw_bench.cli_options import AsJson, Overrides, examples
from paw_bench.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

    from paw_bench.config.schema import EnvironmentConfig
    from paw_bench.envs.alfworld.fetch import Shown

_SHOWN = 16
"""Characters of a hash in the table; `--json` has all."""


app = typer.Typer(no_args_is_help=True, help="Panels of games, and ALFWorld's original ones.")


@app.command(
    "list",
    epilog=examples(
        "paw-bench games list alfworld --set environment.games.seed=1",
        "paw-bench games list webshop --json",
    ),
)
def games_list(
    environment: Annotated[str | None, typer.Argument(metavar="ENV", help="One environment; else all.")] = None,
    *,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """List the panels: version, number of tasks and SHA-256. Games that are not there yet are generated first."""
    _list_panels(environment, overrides=overrides or (), as_json=as_json)


@app.command(
    "download",
    epilog=examples(
        "ALFWORLD_DATA=~/alfworld paw-bench games download",
        "paw-bench games download --url https://mirror.example/alfworld",
    ),
)
def games_download(
    *,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="A folder with both archives, instead of the releases.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch ALFWorld's original games into $ALFWORLD_DATA. Interrupted, the same command goes on.

    The first download writes the archives' SHA-256 into paw-bench.lock.json there; later ones are checked against it.
    """
    _download(url=url, as_json=as_json)


def _list_panels(environment: str | None, *, overrides: Sequence[str], as_json: bool) -> None:
    import json

    from rich.console import Console
    from rich.table import Table

    from paw_bench.config.environments import names
    from paw_bench.envs.panels import load_panels

    if environment is not None and environment not in names():
        raise UserError(f"games list: there is no environment {environment!r}", f"give one of: {', '.join(names())}")
    found = []
    for name in [environment] if environment else names():
        config = _config(name, overrides)
        for panel in load_panels(config).values():
            row = {"environment": name, "source": config.source, "panel": panel.name, "version": panel.version}
            found.append(row | {"tasks": len(panel.tasks), "sha256": panel.sha256})
    if as_json:
        print(json.dumps({"panels": found}, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in found[0]:
        table.add_column(column, justify="right" if column in ("version", "tasks") else "left", no_wrap=True)
    for row in found:
        table.add_row(*(str(value)[:_SHOWN] for value in row.values()))
    Console().print(table)


def _download(*, url: str | None, as_json: bool) -> None:
    import json

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from paw_bench.envs.alfworld.download import download as fetch_games
    from paw_bench.envs.alfworld.files import VARIABLE

    given = os.environ.get(VARIABLE)
    if not given:
        raise UserError(f"games download: ${VARIABLE} is not set", f"export {VARIABLE}=FOLDER (with some GB free)")
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        done = fetch_games(Path(given).expanduser().absolute(), lambda name: _shown(bar, name), url=url)
    if as_json:
        print(json.dumps({**asdict(done), "root": str(done.root)}, indent=2))
        return
    for name, digest in done.archives.items():
        print(f"{name}  sha256 {digest}")
    counts = ", ".join(f"{split} {count}" for split, count in done.games.items())
    print(f"{done.root}: {counts} games; play them with --set environment.games.source=data")


def _config(name: str, overrides: Sequence[str]) -> EnvironmentConfig:
    from paw_bench.config.layers import resolve
    from paw_bench.config.overrides import parse_overrides
    from paw_bench.config.schema import ExperimentConfig

    # Every environment has a tune panel; the panel that a default config evaluates on is ALFWorld's.
    layers = parse_overrides([f"environment.name={name}", "evaluation.panel=tune", *overrides]).experiment
    return resolve(layers, ExperimentConfig).environment


def _shown(bar: Progress, name: str) -> Shown:
    task = bar.add_task(name, total=None)

    def shown(there: int, total: int | None) -> None:
        bar.update(task, completed=there, total=total)

    return shown
