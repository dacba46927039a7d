"""Training episodes token by token, each in the colour of its source: for a terminal, and as a page of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from rich.text import Text

from analysis.files import printable, printable_lines
from paw_bench.store.jsonl import Record

SOURCES = {
    "prompt": ("dim", "instructions, task, history: read, never trained on"),
    "action": ("bold green", "sampled by the policy: the RL loss"),
    "observation": ("cyan", "written by the environment: the world-model loss, where the transition is selected"),
    "template": ("magenta", "glue of the chat template, lists, marks of cuts: never trained on"),
}
"""Source -> (style in a terminal, what it means)."""
_INDENT = 16
"""Columns before the text of a span in a terminal."""
_STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.6 ui-monospace, monospace; max-width: 110ch; margin: 2em auto; padding: 0 1em; }
h1, h2, h3, dl { font-family: system-ui, sans-serif; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
dt { float: left; clear: left; width: 9em; }
.t { border-left: 1px solid #8886; }
.prompt { color: light-dark(#555, #aaa); }
.action { background: light-dark(#c8efcf, #14532d); font-weight: bold; }
.observation { background: light-dark(#cfe3fb, #1e3a5f); }
.template { background: light-dark(#f3d9ef, #4c1d4a); }
"""


def as_text(records: Sequence[Record]) -> Iterator[Text]:
    """Lines for a terminal. Sources are named as well as coloured: a pipe has no colours."""
    for record in records:
        yield Text(_title(record), style="bold")
        for row in record["rows"]:
            yield Text(f"row of turn {row['turn'] + 1}" if row["turn"] >= 0 else "row of the whole episode")
            for span in row["spans"]:
                if span["tokens"]:
                    said = _shown("".join(span["tokens"]), indent=_INDENT)
                    yield Text(f"  {span['source']:<12}| ") + Text(said, style=SOURCES[span["source"]][0])
        yield Text()


def as_html(records: Sequence[Record], title: str) -> str:
    """A page that needs nothing else; a token's turn and log-probability show where the pointer rests."""
    legend = "".join(f'<dt class="{name}">{name}</dt><dd>{escape(what)}</dd>' for name, (_, what) in SOURCES.items())
    episodes = "".join(_episode(record) for record in records)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1><dl>{legend}</dl>{episodes}</html>\n"
    )


def _episode(record: Record) -> str:
    rows = []
    for row in record["rows"]:
        name = f"Row of turn {row['turn'] + 1}" if row["turn"] >= 0 else "Row of the whole episode"
        tokens = "".join(token for span in row["spans"] for token in _tokens(span))
        rows.append(f"<h3>{name}</h3><pre>{tokens}</pre>")
    return f"<section><h2>{escape(_title(record))}</h2>{''.join(rows)}</section>"


def _tokens(span: Record) -> Iterator[str]:
    logprobs = span.get("logprobs") or [math.nan] * len(span["tokens"])
    for token, logprob in zip(span["tokens"], logprobs, strict=True):
        told = f"{span['source']}, turn {span['turn'] + 1}"
        told += "" if math.isnan(logprob) else f", log p {logprob:g}"
        yield f'<span class="t {span["source"]}" title="{told}">{escape(_shown(token))}</span>'


def _shown(text: str, indent: int = 0) -> str:
    """The text with its line ends made visible, and nothing that a terminal would obey."""
    return printable_lines(text).replace("\n", "⏎\n" + " " * indent)


def _title(record: Record) -> str:
    won = "won" if record["success"] else "lost"
    return printable(
        f"Update {record['update']}, episode {record['group']}/{record['index']} ({record['chosen']}), "
        f"task {record['task_id']}: {won}, reward {record['reward']:g}"
    )
