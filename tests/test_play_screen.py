"""What reaches the terminal, whatever a game or a model says."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from paw_bench.play.events import Ended, Played, Started, Weighed
from paw_bench.play.screen import Screen

HOSTILE = "\x1b[2J\x1b]0;title\x07\x08\x9b31m\x00\u202eback\r\nnext"


def shown(*events, colour):
    console = Console(
        file=io.StringIO(),
        force_terminal=colour,
        color_system="truecolor" if colour else None,
        width=60,
        highlight=False,
    )
    screen = Screen(console, model=True)
    for event in events:
        screen(event)
    return console.file.getvalue()


def started(observation):
    return Started("guess", "test", "task\x1b[1m", "kind", 0, "me", 5, observation, ())


@pytest.mark.parametrize("colour", [True, False])
def test_no_character_that_a_terminal_obeys_gets_through(colour):
    played = Played(
        1, HOSTILE, False, HOSTILE, 0.0, 0.0, Weighed([HOSTILE, "<end>"], [2.0, 0.0]), Weighed([HOSTILE], [9.0]), True
    )
    text = shown(
        started(HOSTILE), played, Played(2, HOSTILE, True, HOSTILE, 0.0), Ended(2, False, 0.0, None), colour=colour
    )
    assert not {"\x07", "\x08", "\x9b", "\x00", "\u202e", "\r"} & set(text)
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text
    assert ("\x1b" in text) == colour


def test_square_brackets_are_text_and_no_markup():
    text = shown(started("[red]WebShop [SEP] search[shoes]"), colour=False)
    assert "[red]WebShop [SEP] search[shoes]" in text


def test_without_colours_the_unsure_tokens_are_in_brackets():
    told = Weighed(["You see", " a", " red", " apple", ".\n"], [0.1, 0.2, 3.0, 1.7, 4.0])
    text = shown(Played(1, "look", True, "", 0.0, 0.0, Weighed(["look"], [0.0]), told), colour=False)
    assert "You see a ⟨red apple.⟩" in text
    assert text.splitlines()[1].endswith("1.80")


def test_tokens_are_shaded_by_their_nats():
    def styles(nats):
        played = Played(1, "a", True, "b", 0.0, 0.0, Weighed(["a"], [0.0]), Weighed(["b"], [nats]))
        return shown(played, colour=True)

    nats = (0.0, 0.2, 1.0, 2.0, 4.0, 6.0)
    assert len({styles(value).replace(f"{value:.2f}", "") for value in nats}) == len(nats)
    assert styles(None)  # an engine that takes no entropies


def test_the_end_says_what_happened():
    assert "won after 1 turn · reward 10" in shown(Ended(1, True, 10.0, None), colour=False)
    assert "lost after 2 turns · reward 0 · score 0.25" in shown(Ended(2, False, 0.0, 0.25), colour=False)
    assert "stopped after 0 turns" in shown(Ended(0, False, 0.0, None, stopped=True), colour=False)
