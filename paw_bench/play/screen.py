"""An episode in the terminal: a table of turns, tokens shaded by entropy and surprise.

What comes from a game, a model or a file is data: characters that a terminal would obey are replaced. Without colours
(a file, a pipe, NO_COLOR) the tokens that the darker shades would have are in brackets instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from analysis.files import printable, printable_lines
from analysis.shades import LEVELS, SCALE, shade
from paw_bench.play.events import Ended, Event, Group, Played, Started, Weighed

_WIDEST = 100
"""Longer lines are hard to read."""
_ENTROPY = (
    "",
    "#000000 on #d6eaf8",
    "#000000 on #a9cce3",
    "#000000 on #5dade2",
    "#ffffff on #21618c",
    "#ffffff on #0b2a45",
)
_SURPRISE = (
    "",
    "#000000 on #fdebd0",
    "#000000 on #f8c471",
    "#000000 on #eb984e",
    "#ffffff on #ba4a00",
    "#ffffff on #641e16",
)
"""Blues and oranges: told apart by the colour-blind, on dark and on light terminals. Sure tokens have no colour."""
_DARK = 3
"""The first shade in brackets where there are no colours: 1.6 nats and more, p below .2."""
_SELECTED = "◆"


class Screen:
    """Shows events on `console`, one after the other. `model`: tokens come with their numbers."""

    def __init__(self, console: Console, *, model: bool) -> None:
        self._console = console
        self._model = model
        self._coloured = console.color_system is not None and not console.no_color

    def __call__(self, event: Event) -> None:
        """Show the event."""
        if isinstance(event, Started):
            self._started(event)
        elif isinstance(event, Played):
            self._played(event)
        else:
            self._ended(event)

    def _started(self, event: Started) -> None:
        self._print(Text(printable(f"{event.environment} · {event.panel} · {event.task_type}"), "bold"))
        self._note(f"{event.task_id}\npolicy {event.policy} · seed {event.seed} · at most {event.max_turns} turns")
        if self._model:
            self._legend()
        self._print(Padding(_plain(event.observation), (1, 0, 1, 6)))

    def _legend(self) -> None:
        if self._coloured:
            bounds = [f"< {level:.1f}" for level in LEVELS] + ["more"]
            rows = Table.grid(padding=(0, 1))
            rows.add_row("action: entropy, nats", *map(Text, bounds, _ENTROPY))
            rows.add_row("observation: surprise", *map(Text, SCALE, _SURPRISE))
            self._print(rows)
        else:
            self._note(
                f"⟨...⟩ an action's token of entropy, or an observation's of surprise, over {LEVELS[2]:.1f} nats"
            )
        self._note(f"right: nats a token; {_SELECTED} a transition that PaW's selection takes")

    def _played(self, event: Played) -> None:
        action = _plain(event.action, "bold") if event.reply is None else self._shaded(event.reply, _ENTROPY, "bold")
        if event.reply is not None and event.action not in _said(event.reply.tokens):
            action.append("\nplayed: ", "dim").append(printable(event.action), "bold")
        if not event.accepted:
            action.append("  not listed", "red")
        answer = _plain(event.observation) if event.told is None else self._shaded(event.told, _SURPRISE)
        if event.reward:
            answer.append(f"  reward {event.reward:+g}", "green")
        if event.penalty:
            answer.append(f"  penalty {event.penalty:g}", "red")
        rows = Table.grid(padding=(0, 1), expand=True)
        rows.add_column(width=3, justify="right")
        rows.add_column(width=1)
        rows.add_column(ratio=1)
        rows.add_column(width=4, justify="right", style="dim")
        rows.add_row(str(event.turn), _SELECTED if event.selected else ">", action, _mean(event.reply))
        rows.add_row("", "", answer, _mean(event.told))
        self._print(rows)

    def _ended(self, event: Ended) -> None:
        how = "stopped" if event.stopped else "won" if event.success else "lost"
        score = "" if event.score is None else f" · score {event.score:.2f}"
        turns = f"{event.turns} turn{'s' * (event.turns != 1)}"
        self._print(Text(f"\n{how} after {turns} · reward {event.reward:g}{score}", "bold"))
        if event.group:
            self._note(_of(event.group))

    def _shaded(self, weighed: Weighed, styles: Sequence[str], style: str = "") -> Text:
        text = Text(style=style)
        if self._coloured:
            for token, nats in zip(weighed.tokens, weighed.nats, strict=True):
                text.append(printable_lines(token), styles[shade(nats)])
            return text
        pairs = zip(weighed.tokens, (shade(nats) >= _DARK for nats in weighed.nats), strict=True)
        for dark, run in groupby(pairs, key=lambda pair: pair[1]):
            words = printable_lines("".join(token for token, _ in run))
            bare = words.strip()
            text.append(words.replace(bare, f"⟨{bare}⟩", 1) if dark and bare else words)
        return text

    def _note(self, words: str) -> None:
        self._print(Text(printable_lines(words), "dim"))

    def _print(self, what: Text | Table | Padding) -> None:
        self._console.print(what, width=min(self._console.width, _WIDEST))


def _plain(text: str, style: str = "") -> Text:
    return Text(printable_lines(text), style)


def _said(tokens: Sequence[str]) -> tuple[str, str]:
    """A reply with and without its last token, which is the one that ends it unless the reply was cut."""
    return "".join(tokens).strip(), "".join(tokens[:-1]).strip()


def _mean(weighed: Weighed | None) -> str:
    return "" if weighed is None or math.isnan(weighed.mean) else f"{weighed.mean:.2f}"


def _of(group: Group) -> str:
    """What PaW makes of the episodes, in words."""
    share = f"{group.selected} of the group's {group.transitions} transitions (alpha {group.alpha:g})"
    weight = f"lambda {group.weight:.2f}" + ("" if group.enabled else ", if this run trained a world model")
    wins = f"{group.successes} of {group.episodes} won, mean return {group.mean_return:.2f}"
    return f"The group of this episode: {wins}: {weight}.\n{_SELECTED} Selected: {share}."
