"""A human at the terminal: sees what can be done, numbered, and answers with a number or in words."""

from __future__ import annotations

import re

from rich.columns import Columns
from rich.console import Console
from rich.text import Text

from analysis.files import printable
from paw_bench.play.players import Left

_MOST = 24
"""Actions that are listed at every turn; `?` lists all of them."""
_FREE = re.compile(r"<[^>]*>")
"""Stands for free text in an admissible action."""
_HELP = "Answer with a number or in words; ? lists every action, Ctrl-D ends the episode."


class Human:
    """Asks at `console` and on standard input."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._listed: tuple[str, ...] | None = None

    def choices(self, admissible: tuple[str, ...]) -> tuple[str]:
        """What the human plays. Raises `Left` when the input ends."""
        if self._listed is None:
            self._console.print(_HELP, style="dim")
        if admissible != self._listed:
            self._list(admissible, _MOST)
            self._listed = admissible
        numbered = {str(number): action for number, action in enumerate(admissible, start=1)}
        while True:
            said = self._ask("> ")
            if said == "?":
                self._list(admissible, len(admissible))
            elif said and said not in numbered and said.isdecimal():
                self._console.print(f"the actions have the numbers 1 to {len(admissible)}", style="red")
            elif said:
                return (_FREE.sub(self._fill, numbered.get(said, said)),)

    def read(self, action: str, observation: str) -> None:
        """The human reads the screen."""

    def _fill(self, blank: re.Match[str]) -> str:
        return self._ask(f"{blank[0].strip('<>')}: ")

    def _ask(self, prompt: str) -> str:
        self._console.print(prompt, style="bold cyan", end="", markup=False, highlight=False)
        try:
            return input().strip()
        except EOFError:
            self._console.print()
            raise Left from None

    def _list(self, admissible: tuple[str, ...], most: int) -> None:
        width = len(str(len(admissible)))
        lines = [
            Text.assemble((f"{number:>{width}} ", "cyan"), printable(action))
            for number, action in enumerate(admissible[:most], start=1)
        ]
        self._console.print(Columns(lines, padding=(0, 3), column_first=True))
        if len(admissible) > most:
            self._console.print(f"and {len(admissible) - most} more: ? lists them", style="dim")
