import shutil
from pathlib import Path

import pytest
from envs_play import config_of, oracle, play

from paw_bench.envs.definition import definition
from paw_bench.envs.panels import load_panels
from paw_bench.envs.textworld.environment import REFUSED, told
from paw_bench.envs.textworld.maker import DESCRIPTION, LEVELS, Wanted, make_games

CONFIG = config_of("textworld", 30, train=3, tune=1, test=3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def panels(cache):
    return load_panels(CONFIG, cache)


def test_a_game_does_not_depend_on_those_made_before_it(panels, tmp_path):
    """The third training game, made alone here."""
    third = next(task for task in panels["train"].tasks if task.task_id.endswith("00002"))
    wanted = Wanted(0, "train", 2, third.task_type, "easy")
    assert [None for _ in make_games([(wanted, tmp_path)])] == [None]
    assert (tmp_path / DESCRIPTION).read_bytes() == Path(third.location).with_name(DESCRIPTION).read_bytes()


def test_damaged_games_are_made_again_and_others_left_alone(panels, cache, tmp_path):
    copied = tmp_path / "cache"
    shutil.copytree(cache, copied)
    first, second, _ = (copied / Path(task.location).relative_to(cache) for task in panels["test"].tasks)
    kept = second.stat().st_mtime_ns
    first.write_bytes(first.read_bytes()[:-1])
    again = load_panels(CONFIG, copied)
    assert [panel.sha256 for panel in again.values()] == [panel.sha256 for panel in panels.values()]
    assert second.stat().st_mtime_ns == kept


def test_kinds_take_turns_and_every_difficulty_has_all(panels):
    assert [task.task_type for task in panels["train"].tasks] == ["coin_collector", "treasure_hunter", "cooking"]
    assert all(set(levels) == {"easy", "medium", "hard"} for levels in LEVELS.values())


@pytest.mark.slow
@pytest.mark.parametrize("difficulty", ["medium", "hard"])
def test_harder_games_can_be_won(tmp_path, difficulty):
    config = config_of("textworld", 50, train=1, tune=1, test=3, difficulty=difficulty)
    environment = definition("textworld").make(config)
    lengths = []
    for task in load_panels(config, tmp_path)["test"].tasks:
        told = play(environment, task, oracle(config))
        assert told[-1][1].success, task
        lengths.append(len(told) - 1)
    assert sum(lengths) > 20


def test_observations_are_the_game_s_words_and_the_instruction_is_the_goal(panels):
    environment = definition("textworld").make(CONFIG)
    coin = environment.reset(panels["test"].tasks[0], 0)
    assert coin.observation.startswith("-= ")
    assert "Your task is to: " in coin.observation
    assert "coin" in coin.observation
    assert {"inventory", "look"} <= set(coin.admissible)
    assert environment.step("look").observation.startswith("-= ")


@pytest.mark.parametrize("command", ["quit", "restart", "save", "transcript", "undo", "take everything", "z"])
def test_commands_of_the_interpreter_are_not_put_to_it(panels, command):
    environment = definition("textworld").make(CONFIG)
    environment.reset(panels["test"].tasks[0], 0)
    result = environment.step(command)
    assert (result.observation, result.accepted, result.done) == (REFUSED, False, False)


def test_cooking_is_graded_and_can_be_lost(panels):
    task = next(task for task in panels["test"].tasks if task.task_type == "cooking")
    environment = definition("textworld").make(CONFIG)
    steps = play(environment, task, oracle(CONFIG))[1:]
    assert steps[-1][1].score == 1.0
    environment.reset(task, 0)
    for action, _ in steps[:-2]:
        result = environment.step(action)
    while not result.done:
        result = environment.step("dance")
    assert 0 < result.score < 1
    assert not result.success


def test_prompts_and_status_lines_are_no_part_of_an_answer():
    raw = "\n\n-= Lounge =-\nA lounge.\n\n\n\nAn exit.\n\n\n> " + " " * 80 + "-= Lounge =-0/2"
    assert told(raw) == "-= Lounge =-\nA lounge.\nAn exit."
