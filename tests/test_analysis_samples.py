"""Sample episodes on the page: shades, numbers, hostile text, how much of it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium
import pytest
from analysis_sweep import Sweep, publish, write_lines

from analysis import page, page_samples, run_tables
from analysis.load import Results, load
from analysis.page_samples import read_samples

EVIL = "<script>window.pwned = 1</script>"
PROBABILITIES = (0.95, 0.6, 0.3, 0.1, 0.02, 0.001)


def record(phase: str = "after", **changes: Any) -> dict[str, Any]:
    """An episode of two turns: a refused action, and one that wins."""
    surprise = [2.0, 0.0, 0.05, 0.51, 1.2, 2.3, 3.91, 6.91]
    words = [EVIL, '" onmouseover="window.pwned = 1', *(f" p{p}" for p in PROBABILITIES)]
    refused = {
        "action": "look <b>",
        "valid": False,
        "accepted": False,
        "reward": 0.0,
        "penalty": 0.1,
        "reply": {"tokens": ["<think>", "hm</think>", "look <b>", "<|end|>"], "entropy": [0.0, 2.5, 0.7, None]},
        "observation": {"tokens": words, "surprise": surprise},
    }
    won = {
        "action": "go",
        "valid": True,
        "accepted": True,
        "reward": 10.0,
        "penalty": 0.0,
        "reply": {"tokens": ["go", "<|end|>"], "entropy": [0.2, 0.0]},
        "observation": {"tokens": ["Done\x1b[31m", "\n.\u202e"], "surprise": [0.1, 0.0]},
    }
    episode = {
        "phase": phase,
        "chosen": "first of the panel",
        "task_id": f"game-{EVIL}",
        "success": True,
        "reward": 10.0,
    }
    episode |= {
        "task_type": "pick_and_place_simple",
        "seed": 0,
        "prompt": f"Task {EVIL}</pre>",
        "turns": [refused, won],
    }
    return episode | changes


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Two arms with samples in the first seed's runs only."""
    made = Sweep(tmp_path_factory.mktemp("samples") / "sweep", arms=("grpo", "paw"), updates=2, games=6).finish()
    for arm in made.arms:
        write_lines(made.folder(arm, 0) / "samples.jsonl", [record("before"), record()])
        publish(made.folder(arm, 0), 2)
    return made


@pytest.fixture(scope="module")
def results(sweep: Sweep) -> Results:
    found = load(sweep.path)
    assert found.problems == ()
    return found


@pytest.fixture(scope="module")
def text(results: Results, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page.render(results, {"runs": run_tables.runs(results)}, [], tmp_path_factory.mktemp("figures"))


def test_a_run_shows_its_samples_and_one_without_says_so(sweep: Sweep, results: Results) -> None:
    found = read_samples(results)
    assert set(found) == set(results.runs["run_id"])
    before, after = found[sweep.folder("paw", 0).name].episodes
    assert before.title.startswith("Before training · first of the panel · pick · won in 2 turns · game-")
    assert after.title.startswith("After training")
    refused, won = after.turns
    assert refused.remarks == ["invalid", "not accepted", "penalty 0.10"]
    assert refused.played == "look <b>"
    assert (won.played, won.remarks) == ("", ["reward +10.0"])
    assert [token.shade for token in refused.observation[2:]] == [0, 1, 2, 3, 4, 5]
    assert refused.observation[-1].nats == "6.91"
    assert refused.reply[-1] == ("<|end|>", "", 0)
    assert "not recorded" in found[sweep.folder("paw", 1).name].note
    assert not found[sweep.folder("paw", 1).name].episodes


def test_what_was_said_stays_text(text: str) -> None:
    assert EVIL not in text
    assert "&lt;script&gt;window.pwned" in text
    assert not re.search(r"<[^>]*\sonmouseover", text)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "Done\N{REPLACEMENT CHARACTER}[31m</i>" in text


def test_a_full_page_names_the_file_and_takes_the_first_seeds_first(
    sweep: Sweep, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = 2 * (4 + 8 + 2 + 2)
    monkeypatch.setattr(page_samples, "MOST_TOKENS", tokens)
    found = read_samples(results)
    first, second = (sweep.folder(arm, 0).name for arm in sweep.arms)
    assert sum(sample.tokens for sample in found[first].episodes) == tokens
    assert found[second].episodes == []
    assert f"runs/{second}/samples.jsonl" in found[second].note


@pytest.mark.parametrize(
    "content",
    [
        '{"schema_version": 1}\n{"turns": 1}\n',
        json.dumps({"schema_version": 1}) + "\n" + json.dumps(record(turns=[{"reply": {"tokens": "go"}}])) + "\n",
        json.dumps({"schema_version": 1}) + "\n" + json.dumps(record(turns="go")) + "\n",
        '{"schema_version": 7}\n',
        "not JSON\n",
    ],
)
def test_a_file_of_another_form_is_one_line_and_the_page_is_written(tmp_path: Path, content: str) -> None:
    made = Sweep(tmp_path / "sweep", arms=("grpo",), seeds=(0,), updates=1, games=6).finish()
    (made.folder("grpo", 0) / "samples.jsonl").write_text(content)
    (samples,) = read_samples(load(made.path)).values()
    assert samples.episodes == []
    assert samples.note.startswith("Sample episodes cannot be shown: samples.jsonl")
    assert str(tmp_path) not in samples.note


def test_a_sample_that_changed_after_the_result_takes_its_run_out(tmp_path: Path) -> None:
    made = Sweep(tmp_path / "sweep", arms=("grpo",), seeds=(0,), updates=1, games=6).finish()
    path = made.folder("grpo", 0) / "samples.jsonl"
    write_lines(path, [record()])
    publish(made.folder("grpo", 0), 1)
    assert len(load(made.path).done()) == 1
    write_lines(path, [record(success=False)])
    results = load(made.path)
    assert len(results.done()) == 0
    assert "samples.jsonl: changed after the result was published" in results.problems[0]
    assert read_samples(results) == {}


@pytest.fixture(scope="module")
def browser(text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    with chromium.showing(text, tmp_path_factory.mktemp("browser")) as page:
        yield page


FIRST = "document.querySelector('#run-1 .sample')"


def test_a_sample_opens_by_keyboard_with_a_visible_focus(browser: chromium.Page) -> None:
    browser.ask("document.getElementById('run-1').firstElementChild.focus()")
    browser.press("Enter", "\r")
    assert browser.ask("document.getElementById('run-1').open") is True
    for _ in range(30):
        browser.press("Tab")
        if browser.ask(f"document.activeElement.parentElement === {FIRST}"):
            break
    assert browser.ask(f"document.activeElement.parentElement === {FIRST}"), "Tab does not reach it"
    assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("Enter", "\r")
    assert browser.ask(f"{FIRST}.open") is True
    assert browser.ask(f"{FIRST}.querySelectorAll('li').length") == 2


def test_the_script_in_a_token_did_not_run(browser: chromium.Page) -> None:
    assert browser.ask("typeof window.pwned") == "undefined"
    assert browser.ask(f"{FIRST}.querySelector('.world i').textContent") == EVIL
    assert not [event for event in browser.events if event["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"}]


def test_numbers_come_and_go_with_a_key(browser: chromium.Page) -> None:
    token = f"getComputedStyle({FIRST}.querySelector('.world .s5'), '::after').content"
    assert browser.ask(token) == "none"
    browser.ask("document.querySelector('#run-1 button.numbers').focus()")
    browser.press("Enter", "\r")
    assert browser.ask(token).strip('"') in {"6.91", "attr(title)"}
    assert browser.ask("[...document.querySelectorAll('.numbers')].every(one => one.ariaPressed === 'true')") is True
    browser.press("Enter", "\r")
    assert browser.ask(token) == "none"


# What a token looks like on the page: its shade is mixed over the page's own colour.
CONTRAST = """(token => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const drawn = (...colours) => {
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(value => value / 255)
      .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = getComputedStyle(document.body).backgroundColor, own = getComputedStyle(token);
  const back = drawn(page, own.backgroundColor), text = drawn(own.color);
  return [(Math.max(back, text) + 0.05) / (Math.min(back, text) + 0.05), back];
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_shade_is_legible_and_differs_from_the_next_in_both_themes(browser: chromium.Page, scheme: str) -> None:
    browser.scheme(scheme)
    for kind in ("world", "reply"):
        found = [browser.ask(f"{CONTRAST}(document.querySelector('.legend .{kind} .s{n}'))") for n in range(6)]
        assert all(contrast >= 4.5 for contrast, _ in found), found
        steps = [back for _, back in found]
        assert steps == sorted(steps, reverse=scheme == "light")
        assert len({round(step, 3) for step in steps}) == 6
    underlined = [
        browser.ask(f"getComputedStyle(document.querySelector('.legend .world .s{n}')).borderBottomStyle")
        for n in range(6)
    ]
    assert underlined == ["none", "none", "none", "dotted", "solid", "double"]
