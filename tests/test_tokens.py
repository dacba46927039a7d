"""Training episodes token by token: recorded by an attempt, shown in a terminal and on a page."""

import random
import re
from html import unescape

import pytest
from rollout_fakes import Engine, Pool, assignments_of, config_of, small_tokenizer
from typer.testing import CliRunner

from paw_bench.cli import app
from paw_bench.config.schema import RunConfig
from paw_bench.errors import UserError
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.collector import Collector
from paw_bench.rollout.rows import rows_of
from paw_bench.store import jsonl
from paw_bench.store.attempt import Attempt
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.training.token_record import records

SOURCES = {"prompt", "action", "observation", "template"}


def played(mode):
    config = config_of(mode)
    codec = TurnCodec(small_tokenizer(), config.prompt, config.context)
    collector = Collector(config, Pool(random.Random(0)), Engine(codec), codec, batch=4)
    return collector.collect(assignments_of([3, 1, 2]), 1.0), codec


@pytest.fixture
def run(tmp_path):
    """A run whose second attempt recorded windowed episodes, and whose third has not collected any."""
    folder = tmp_path / "sweep" / "runs" / "0123456789ab"
    directory = RunDirectory.create(
        folder, RunInfo("0123456789ab", "sweep", "paw", {}, 0), RunConfig(experiment=config_of())
    )
    for number in (1, 2, 3):
        (folder / "attempts" / str(number)).mkdir(parents=True)
    episodes, codec = played("window")
    jsonl.append(Attempt(2, folder / "attempts" / "2").tokens, records(episodes, update=7, codec=codec, mode="window"))
    return directory


@pytest.mark.parametrize("mode", ["window", "full"])
def test_a_record_holds_every_token_of_its_rows_with_source_turn_and_log_probability(mode):
    episodes, codec = played(mode)
    found = records(episodes, update=7, codec=codec, mode=mode)
    assert [record["task_id"] for record in found] == ["task-0", "task-1"]
    for record, episode in zip(found, episodes, strict=False):
        rows = rows_of([episode], mode)
        assert [row["turn"] for row in record["rows"]] == [row.turn for row in rows]
        for told, row in zip(record["rows"], rows, strict=True):
            text = "".join(piece for span in told["spans"] for piece in span["tokens"])
            assert text == codec.tokenizer.decode(row.prompt_ids + row.completion_ids)
            actions = [span for span in told["spans"] if span["source"] == "action"]
            assert [value for span in actions for value in span["logprobs"]] == [
                round(value, 3) for value, acted in zip(row.logprobs, row.action_mask, strict=True) if acted
            ]
            assert {span["source"] for span in told["spans"]} == SOURCES
    (about,) = records([episodes[2]], update=7, codec=codec, mode=mode, why="action 1 is not what was sampled")
    assert (about["task_id"], about["chosen"]) == ("task-2", "action 1 is not what was sampled")


def invoke(*arguments):
    return CliRunner().invoke(app, ["tokens", *map(str, arguments)], catch_exceptions=False)


def test_the_terminal_names_the_source_of_every_span(run):
    said = invoke(run.path).output
    assert said.count("Update 7, episode 0/") == 2
    assert {line.split("|")[0].strip() for line in said.splitlines() if "|" in line} >= SOURCES
    assert re.search(r"action      \| go to shelf \d", said)
    assert "observation | You arrive at shelf" in said
    assert "(first of the update)" in said
    only = invoke(run.path, "--episode", 2).output
    assert only.count("Update 7, episode") == 1
    assert "task task-1" in only


def test_the_page_shows_every_token_once_and_obeys_none(run, tmp_path):
    path = run.attempts()[1].tokens
    (first, *_), page = jsonl.read(path), tmp_path / "tokens.html"
    first["rows"][0]["spans"][0]["tokens"][0] = "<script>alert(1)</script>\x1b[2J"
    jsonl.rewrite(path, [first])
    assert "1 episodes" in invoke(run.path, "--html", page, "--attempt", 2).output
    text = page.read_text()
    assert "<script" not in text
    assert "\x1b" not in text
    tokens = [piece for row in first["rows"] for span in row["spans"] for piece in span["tokens"]]
    shown = [
        unescape(piece) for piece in re.findall(r'<span class="t \w+" title="[^"]*">(.*?)</span>', text, re.DOTALL)
    ]
    assert [piece.replace("⏎\n", "\n") for piece in shown[1:]] == tokens[1:]
    assert 'title="action, turn 1, log p -' in text


def test_what_is_not_there_is_named(run):
    with pytest.raises(UserError, match="has no episode 9"):
        invoke(run.path, "--episode", 9)
    with pytest.raises(UserError, match="attempt 3 recorded no tokens"):
        invoke(run.path, "--attempt", 3)
    run.attempts()[1].tokens.unlink()
    with pytest.raises(UserError, match="no attempt recorded tokens"):
        invoke(run.path)
