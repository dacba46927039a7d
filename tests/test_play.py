"""`paw-bench play` through the real command: every kind of player, on every environment."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from paw_bench import cli_play, models
from paw_bench.config.environments import names
from paw_bench.errors import UserError
from paw_bench.play.settings import play_config
from paw_bench.store.checkpoints import CHECKPOINT_FILE
from paw_bench.store.run_directory import RunDirectory, RunInfo

ROOT = Path(__file__).parents[1]
FEW_GAMES = [f"environment.games.{panel}=6" for panel in ("train", "tune", "valid_seen", "valid_unseen")]
FEW_TURNS, FEW_EPISODES = "environment.max_turns=3", "algorithm.group_size=2"
SMALL = {
    "alfworld": FEW_GAMES,
    "search_qa": ["environment.options.documents=300"],
    "textworld": [f"environment.options.{key}" for key in ("games=[coin_collector]", "train=1", "tune=1", "test=1")],
    "signposts": [],
    "webshop": ["environment.options.products=160", "environment.options.train=20"],
}
PAW_BENCH = (sys.executable, "-m", "paw_bench.cli")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAW_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def play(environment, *arguments, stdin="", **variables):
    changes = [part for change in SMALL.get(environment, ()) for part in ("--set", change)]
    return subprocess.run(
        [*PAW_BENCH, "play", environment, *changes, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        timeout=120,
        check=False,
    )


def records(*arguments, **more):
    done = play(*arguments, "--json", **more)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def played():
    """Plays ALFWorld with a model in this process, which has imported torch once."""

    def call(*changes, policy="embedded", seed=2, task=None):
        asked = {"task": task, "policy": str(policy), "seed": seed, "scale": None, "as_json": True}
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
            patch.setattr("paw_bench.sweep.environment.ensure_environment", lambda execution: None)
            assert cli_play.play("alfworld", overrides=[*FEW_GAMES, *changes], **asked) == 0
        return [json.loads(line) for line in out.getvalue().splitlines()]

    return call


@pytest.mark.parametrize("environment", SMALL)
def test_the_oracle_wins_and_a_random_player_ends(environment):
    start, *turns, end = records(environment, "--policy", "oracle")
    assert (start["event"], start["environment"], end["event"]) == ("start", environment, "end")
    assert [turn["turn"] for turn in turns] == list(range(1, end["turns"] + 1))
    assert all(turn["accepted"] for turn in turns)
    assert (end["success"], end["reward"]) == (True, turns[-1]["reward"])
    *_, end = records(environment, "--policy", "random", "--set", "environment.max_turns=3")
    assert 1 <= end["turns"] <= 3


def test_all_of_the_suite_s_own_are_played():
    assert set(names()) >= set(SMALL)


@pytest.fixture(scope="module")
def group(played):
    return played()


def test_a_model_s_tokens_add_up_and_carry_their_nats(group):
    _, *turns, _ = group
    assert all("".join(turn["told"]["tokens"]) == turn["observation"] for turn in turns)
    assert all("".join(turn["reply"]["tokens"]).startswith(turn["action"]) for turn in turns)
    for part in ("reply", "told"):
        assert all(len(turn[part]["tokens"]) == len(turn[part]["nats"]) for turn in turns)
    nats = [nat for turn in turns for part in ("reply", "told") for nat in turn[part]["nats"]]
    assert min(nats) >= 0
    assert max(nats) > 1


def test_the_selection_takes_the_least_sure_and_lambda_follows_the_group(group):
    _, *turns, end = group
    of = end["group"]
    assert of["episodes"] == 8
    assert of["selected"] == math.ceil(of["alpha"] * of["transitions"])
    assert of["weight"] == pytest.approx(1 - of["mean_return"] / 10)
    assert of["mean_return"] == pytest.approx(10 * of["successes"] / 8)
    means = {True: [], False: []}
    for turn in turns:
        means[turn["selected"]].append(sum(turn["reply"]["nats"]) / len(turn["reply"]["nats"]))
    assert min(means[True]) >= max(means[False], default=0.0) - 0.001  # the records are rounded


def test_a_seed_is_an_episode_and_the_same_one_again(played, group):
    assert played() == group
    assert played(FEW_TURNS, FEW_EPISODES, seed=3)[0]["task_id"] != group[0]["task_id"]
    named = played(FEW_TURNS, FEW_EPISODES, seed=8, task=group[0]["task_id"])
    assert named[0]["task_id"] == group[0]["task_id"]
    assert named[1:3] != group[1:3]


def test_settings_decide_what_a_model_sees(played):
    full = ("context.mode=full", "algorithm.penalty_credit=episode")
    *_, end = played("world_model.selection.alpha=0.25", FEW_EPISODES, *full, FEW_TURNS)
    assert (end["group"]["episodes"], end["group"]["alpha"]) == (2, 0.25)
    assert end["group"]["selected"] == math.ceil(0.25 * end["group"]["transitions"])


def run_directory(folder):
    config = play_config("alfworld", overrides=[*FEW_GAMES, "world_model=none"])
    info = RunInfo("0123456789ab", "tiny", "grpo", {}, 0)
    return RunDirectory.create(folder / "runs" / info.run_id, info, config)


def test_a_run_s_last_checkpoint_plays_with_its_own_settings(tmp_path, played, group):
    run = run_directory(tmp_path)
    with pytest.raises(UserError, match="the run has no checkpoint"):
        played(policy=run.path)
    model, _ = models.load(run.config.experiment.model, "cpu")
    with torch.no_grad():
        model.model.norm.weight.mul_(0.5)  # flatter: less sure of everything
    state = {**model.state_dict(), "value_head.weight": torch.zeros(1)}
    with run.checkpoint_writer(10) as checkpoint:
        torch.save({"model": state}, checkpoint / CHECKPOINT_FILE)
    _, first, *_, end = played(FEW_TURNS, policy=run.path)
    assert first["reply"]["nats"][0] > group[1]["reply"]["nats"][0]
    assert end["group"]["enabled"] is False
    again = played(FEW_TURNS, policy=run.path / "checkpoints" / "update-000010")
    assert (again[1], again[-1]) == (first, end)
    with pytest.raises(UserError, match="there is no such checkpoint"):
        played(policy=run.path / "checkpoints" / "nine")
    (run.path / "checkpoints" / "update-000010" / CHECKPOINT_FILE).write_bytes(b"x" * 10)
    with pytest.raises(UserError, match="the run has no checkpoint"):
        played(policy=run.path)


def test_what_is_printed_without_a_terminal_is_plain_and_narrow():
    done = play("alfworld", "--policy", "embedded", "--seed", 2, "--set", FEW_EPISODES, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "⟨" in done.stdout
    assert "◆ Selected: " in done.stdout
    assert "Loading" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("alfwolrd",), ("there is no environment 'alfwolrd': did you mean 'alfworld'?", "search_qa")),
        (("webshop", "--policy", "orcale"), ("no policy 'orcale': did you mean 'oracle'?", "human, oracle, random")),
        (("webshop", "--task", "gaol-00001"), ("there is no task 'gaol-00001': did you mean 'goal-00001'?", "beauty")),
        (("webshop", "--task", "goal-0000"), ("10 tasks begin with 'goal-0000'", "goal-00003")),
        (("webshop", "--scale", "papre"), ("did you mean 'paper'?",)),
        (("webshop", "--set", "seeds=3"), ("--set: seeds: is no key of an episode", "--seed")),
        (("webshop", "--set", "environment.options.hits=3"), ("unknown key 'hits'", "products")),
        (("webshop", "--policy", "nobody/nothing"), ("'nobody/nothing' cannot be loaded", "a folder that holds")),
    ],
)
def test_mistakes_are_named_with_their_remedy(arguments, said):
    done = play(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    words = " ".join(done.stderr.split())
    assert all(part in words for part in said), done.stderr


def test_a_task_is_named_by_id_beginning_or_type():
    found = records("alfworld", "--policy", "random", "--seed", 3, "--set", FEW_TURNS)[0]["task_id"]
    begun = records("alfworld", "--policy", "random", "--task", found.partition("/")[0], "--set", FEW_TURNS)
    assert begun[0]["task_id"] == found
    assert records("webshop", "--policy", "random", "--task", "goal-00517")[0]["panel"] == "tune"
    assert records("webshop", "--policy", "random", "--task", "garden", "--seed", 5)[0]["task_type"] == "garden"


def test_a_human_answers_with_numbers_and_words_and_may_leave():
    done = play("webshop", "--policy", "human", stdin="7\n1\nsoft shoes\nclick[back to search]\n")
    assert done.returncode == 0, done.stderr
    assert "the actions have the numbers 1 to 1" in done.stdout
    assert "search[soft shoes]" in done.stdout
    assert "click[back to search]" in done.stdout
    assert "stopped after 2 turns" in done.stdout
    *turns, end = records("webshop", "--policy", "human", stdin="nonsense\n")[1:]
    assert [turn["accepted"] for turn in turns] == [False]
    assert end["stopped"]


class Terminal:
    """`paw-bench play` on a terminal of its own."""

    def __init__(self, *arguments):
        self.text = ""
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLUMNS="80", LINES="50")
            os.environ.pop("NO_COLOR", None)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job of a shell inherits an ignored one
            os.execv(sys.executable, [*PAW_BENCH, "play", *arguments])

    def until(self, said):
        deadline = time.monotonic() + 240
        while not re.search(said, self.text, re.DOTALL):
            assert time.monotonic() < deadline, self.text
            if select.select([self._end], [], [], 0.2)[0]:
                self.text += os.read(self._end, 65536).decode(errors="replace")

    def type(self, keys):
        self.text = ""
        os.write(self._end, keys.encode())

    def interrupt(self):
        """Press Ctrl-C, and again if nothing happens: Python misses one that comes just before `input` reads."""
        self.type("\x03")
        while select.select([self._end], [], [], 30)[0]:
            try:
                self.text += os.read(self._end, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                return
            if not "^C".startswith(self.text.replace("\x1b[0m", "")):
                return
        self.type("\x03")

    def code(self):
        while select.select([self._end], [], [], 240)[0]:
            try:
                self.text += os.read(self._end, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        raise AssertionError(f"it does not end: {self.text}")


@pytest.fixture
def terminal():
    changes = [part for change in FEW_GAMES for part in ("--set", change)]
    opened = Terminal("alfworld", *changes)
    yield opened
    with contextlib.suppress(ProcessLookupError):
        os.kill(opened.pid, signal.SIGKILL)


def test_a_human_at_a_terminal(terminal):
    terminal.until(r"1 \x1b.*go to .*> ")
    assert "\x1b[" in terminal.text
    terminal.type("?\n")
    terminal.until(r"inventory.*> ")
    terminal.type("1\n")
    terminal.until(r"You arrive at .*> ")
    terminal.type("dance\n")
    terminal.until(r"not listed.*Nothing happens\..*> ")
    terminal.type("\x04")
    assert terminal.code() == 0
    assert "stopped after 2 turns" in terminal.text
    assert "Traceback" not in terminal.text


def test_ctrl_c_ends_it_without_a_traceback(terminal):
    terminal.until(r"> $|> \x1b\[0m$")
    terminal.interrupt()
    assert terminal.code() == 130
    assert "Traceback" not in terminal.text


def test_the_documented_commands_work():
    text = (ROOT / "docs" / "environments.md").read_text() + (ROOT / "README.md").read_text()
    commands = re.findall(r"^ {4}paw-bench (play .*?)(?: +#.*)?$", text, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        words = command.split()
        if "results/runs" in command:
            continue  # a run of one's own
        done = subprocess.run(
            [*PAW_BENCH, *words], input="1\n", capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, (command, done.stderr)
        assert "after" in done.stdout or '"event": "end"' in done.stdout


def test_playing_a_game_by_hand_needs_no_torch():
    script = (
        "import sys; from paw_bench import cli\n"
        "sys.argv = ['paw-bench', 'play', 'webshop', '--policy', 'random', '--json']\n"
        "try: cli.main()\n"
        "except SystemExit: print({'torch', 'transformers', 'trl', 'alfworld', 'textworld'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
