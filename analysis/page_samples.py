"""Sample episodes on the page: what was said, with the surprise of every token as a shade and as a number.

Text from the files is data: the template escapes it, and what a terminal or an editor would obey is replaced. How many
tokens a page shows is bounded, so that the report of a thousand runs still opens in a browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from analysis.files import check_file, one_line, printable_lines
from analysis.load import Results
from analysis.record_frames import TASK_TYPES
from analysis.shades import shade
from analysis.words import number
from paw_bench.errors import StoreError
from paw_bench.store import jsonl
from paw_bench.store.jsonl import Record
from paw_bench.store.sweep_directory import SweepDirectory

MOST_TOKENS = 100_000
"""Tokens that a page shows; about 5 MB."""
_NOT_RECORDED = "Sample episodes are not recorded by this run."
_PHASES = {"before": "Before training", "after": "After training"}


class Token(NamedTuple):
    """A piece of text, and how surprising (or how open) it was."""

    text: str
    nats: str
    """Two digits; empty where none was measured."""
    shade: int
    """0 to 5, by `analysis.shades.LEVELS`."""


class Turn(NamedTuple):
    """One exchange."""

    played: str
    """The action as it was played, where the reply holds more than that; else empty."""
    remarks: list[str]
    """What was wrong with the action, and rewards."""
    reply: list[Token]
    observation: list[Token]


class Sample(NamedTuple):
    """One episode."""

    title: str
    prompt: str
    turns: list[Turn]
    tokens: int


@dataclass(frozen=True, slots=True)
class Samples:
    """The sample episodes of a run, or a line on why there are none."""

    episodes: list[Sample]
    note: str


def read_samples(results: Results) -> dict[str, Samples]:
    """Run id -> its samples, for every planned run that has begun and whose files can be used.

    Seed by seed in the order of the plan, until the page is full.
    """
    planned = results.runs[results.runs["planned"]]
    usable = planned[~planned["status"].isin(["not started", "damaged", "unreadable"])]
    room, found = MOST_TOKENS, {}
    for run_id in usable.sort_values("seed", kind="stable")["run_id"]:
        samples = _of_run(results, str(run_id), room)
        room -= sum(sample.tokens for sample in samples.episodes)
        found[str(run_id)] = samples
    return found


def _of_run(results: Results, run_id: str, room: int) -> Samples:
    path = SweepDirectory(results.path).run_path(run_id) / "samples.jsonl"
    try:
        if not check_file(path, path.name):
            return Samples([], _NOT_RECORDED)
        episodes = [_sample(record) for record in jsonl.read(path)] if room > 0 else []
    except (StoreError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        problem = error.problem if isinstance(error, StoreError) else f"{path.name}: has not the form it should have"
        return Samples([], one_line(f"Sample episodes cannot be shown: {problem}".replace(f"{path.parent}/", "")))
    if sum(sample.tokens for sample in episodes) > room or room <= 0:
        return Samples([], f"The page is full: the sample episodes of this run are in runs/{run_id}/{path.name}.")
    return Samples(episodes, "" if episodes else _NOT_RECORDED)


def _sample(record: Record) -> Sample:
    turns = [_turn(turn) for turn in record["turns"]]
    kind = str(TASK_TYPES.get(record["task_type"], record["task_type"]))
    outcome = "won" if record["success"] else "lost"
    took = f"{outcome} in {len(turns)} turn{'' if len(turns) == 1 else 's'}"
    phase = str(_PHASES.get(record["phase"], record["phase"]))
    title = " · ".join([phase, record["chosen"], kind, took, record["task_id"]])
    tokens = sum(len(turn.reply) + len(turn.observation) for turn in turns)
    return Sample(one_line(title), printable_lines(record["prompt"]), turns, tokens)


def _turn(turn: Any) -> Turn:
    reply = _tokens(turn["reply"]["tokens"], turn["reply"]["entropy"])
    observation = _tokens(turn["observation"]["tokens"], turn["observation"]["surprise"])
    action = printable_lines(turn["action"])
    # A reply ends with its end token, which is no part of what is played.
    said = "".join(token.text for token in reply[:-1]).strip()
    remarks = [] if turn["valid"] else ["invalid"]
    remarks += [] if turn["accepted"] else ["not accepted"]
    remarks += [f"reward {number(turn['reward'], 1, sign='+')}"] if turn["reward"] else []
    remarks += [f"penalty {number(turn['penalty'], 2)}"] if turn["penalty"] else []
    return Turn("" if action == said else action, remarks, reply, observation)


def _tokens(texts: Sequence[str], nats: Sequence[float | None]) -> list[Token]:
    if not isinstance(texts, list) or not isinstance(nats, list):
        raise TypeError("tokens and their numbers are no lists")
    return [
        Token(printable_lines(text), "" if value is None else f"{value:.2f}", shade(value))
        for text, value in zip(texts, nats, strict=True)
    ]
