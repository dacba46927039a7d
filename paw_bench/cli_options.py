"""Options and texts that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; may be given again.")
]


def examples(*lines: str) -> str:
    """Lines of a command's help that show how it is called."""
    return "\n\n".join(["[bold]Examples:[/bold]", *(line.replace("[", r"\[") for line in lines)])
