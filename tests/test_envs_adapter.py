import random
from pathlib import Path

import pytest
from envs_games import small_config, write_games

from paw_bench.envs.alfworld.adapter import AlfworldEnvironment
from paw_bench.envs.alfworld.engine import Engine
from paw_bench.envs.alfworld.oracle import oracle_commands
from paw_bench.envs.protocol import Task


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    root = tmp_path_factory.mktemp("adapter")
    return [Task(path.parent.name, "any", str(path)) for path in write_games(root, "train", range(2))]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("PAW_BENCH_CACHE", str(tmp_path_factory.getbasetemp() / "adapter-cache"))


@pytest.fixture
def commands(tasks):
    path = Path(tasks[0].location)
    return oracle_commands(Engine(None).open(path), path.parent)


def environment(**changes):
    return AlfworldEnvironment(small_config().model_copy(update=changes))


def test_the_opening_is_what_published_agents_see(tasks):
    opening = environment().reset(tasks[0], 0)
    assert opening.observation.startswith("You are in the middle of a room. Looking quickly around you, you see a ")
    assert "\n\nYour task is to: " in opening.observation
    assert list(opening.admissible) == sorted(opening.admissible)
    assert "look" in opening.admissible
    assert "help" not in opening.admissible
    assert (opening.reward, opening.done, opening.success, opening.accepted) == (0.0, False, False, True)


def test_only_the_winning_step_is_rewarded(tasks, commands):
    played = environment(success_reward=7.5)
    played.reset(tasks[0], 0)
    results = [played.step(command) for command in commands]
    assert [result.reward for result in results] == [0.0] * (len(commands) - 1) + [7.5]
    assert [result.done for result in results] == [False] * (len(commands) - 1) + [True]
    assert results[-1].success
    with pytest.raises(RuntimeError, match="the episode is over"):
        played.step("look")


def test_an_episode_ends_after_max_turns_without_success(tasks):
    played = environment(max_turns=2)
    played.reset(tasks[0], 0)
    assert not played.step("look").done
    last = played.step("look")
    assert (last.done, last.success, last.reward) == (True, False, 0.0)


def test_winning_on_the_last_turn_counts(tasks, commands):
    played = environment(max_turns=len(commands))
    played.reset(tasks[0], 0)
    assert [played.step(command) for command in commands][-1].success


@pytest.mark.parametrize("preposition", ["in/on", "in", "on"])
def test_put_is_taken_for_move(tasks, commands, preposition):
    played, by_put = environment(), environment()
    for each in (played, by_put):
        each.reset(tasks[0], 0)
    for command in commands:
        spelt = command
        if command.startswith("move "):
            spelt = command.replace("move ", "put ").replace(" to ", f" {preposition} ")
        assert by_put.step(spelt) == played.step(command)
    assert any(command.startswith("move ") for command in commands)


def test_case_and_white_space_do_not_matter_and_nothing_else_is_mended(tasks):
    played = environment()
    command = next(command for command in played.reset(tasks[0], 0).admissible if command.startswith("go to "))
    assert not played.step(f"{command}.").accepted
    assert not played.step("").accepted
    assert played.step("nonsense").observation == "Nothing happens."
    moved = played.step(f"  {command.upper().replace(' ', '   ')}\n")
    assert moved.accepted
    assert moved.observation.startswith("You arrive at ")


def test_episodes_of_one_process_do_not_disturb_each_other(tasks):
    alone = []
    for seed in (1, 2):
        alone.append(_random_episode([environment()], [tasks[0]], [seed])[0])
    assert _random_episode([environment(), environment()], [tasks[0]] * 2, [1, 2]) == alone
    assert _random_episode([environment(), environment()], tasks, [1, 2])[0] == alone[0]


def _random_episode(environments, tasks, seeds):
    rngs = [random.Random(seed) for seed in seeds]
    histories = [[played.reset(task, 0)] for played, task in zip(environments, tasks, strict=True)]
    for _ in range(30):
        for played, rng, history in zip(environments, rngs, histories, strict=True):
            if not history[-1].done:
                history.append(played.step(rng.choice([*history[-1].admissible, "dance"])))
    return histories
