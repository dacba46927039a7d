"""Options and texts that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Folder that holds the sweeps.")]
RESULTS = Path("results/runs")
Scale = Annotated[str | None, typer.Option("--scale", metavar="S", help="How big; instead of the file's own scale.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; may be given again.")
]


def examples(*lines: str) -> str:
    """Lines of a command's help that show how it is called."""
    return "\n\n".join(["[bold]Examples:[/bold]", *(line.replace("[", r"\[") for line in lines)])
