"""The alfworld package's hand-coded expert as a player."""

import random

import pytest
from envs_games import small_config
from envs_play import play

from paw_bench.envs.definition import definition
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.warm_start.config import DemonstrationConfig
from paw_bench.warm_start.demonstrations import play_demonstrations

CONFIG = small_config(train=24).model_copy(update={"max_turns": 60})
ALFWORLD = definition("alfworld")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return load_panels(CONFIG, tmp_path_factory.mktemp("cache"))["train"].tasks


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("PAW_BENCH_CACHE", str(tmp_path_factory.getbasetemp() / "expert-cache"))


def expert(task, opening):
    return ALFWORLD.experts()["handcoded"](CONFIG, task, opening)


def test_it_wins_nearly_all_games_of_all_six_types_with_listed_commands_alone(tasks):
    environment = ALFWORLD.make(CONFIG)
    told = {task: play(environment, task, expert)[1:] for task in tasks}
    won = [task.task_type for task, turns in told.items() if turns[-1][1].success]
    assert len(won) >= 22
    assert len(set(won)) == 6
    assert all(result.accepted for turns in told.values() for _, result in turns)


def test_an_episode_depends_on_nothing_else_in_the_process(tasks):
    environment = ALFWORLD.make(CONFIG)
    alone = play(environment, tasks[0], expert)
    random.seed(3)
    expected = random.random()
    random.seed(3)
    other = expert(tasks[1], environment.reset(tasks[1], 0))
    other.choices(environment.reset(tasks[1], 0).admissible)
    assert play(environment, tasks[0], expert) == alone
    assert random.random() == expected


def test_it_goes_on_after_what_others_played_in_its_place(tasks):
    environment, rng = ALFWORLD.make(CONFIG), random.Random(0)
    won = 0
    for task in tasks[:12]:
        result = environment.reset(task, 0)
        player = expert(task, result)
        while not result.done:
            action = player.choices(result.admissible)[0]
            if rng.random() < 0.2:
                action = rng.choice([*result.admissible, "dance", *player.slips(rng)])
            if action.startswith("move "):
                action = action.replace("move ", "PUT ").replace(" to ", "  in/on ")
            result = environment.step(action)
            player.read(action, result.observation)
        won += result.success
    assert won >= 9


def test_a_warm_start_can_be_cloned_from_it(tasks):
    config = DemonstrationConfig(expert="handcoded", episodes_per_game=1, max_turns=60, noise=(0.1,))
    with EnvironmentPool(CONFIG, workers=1, timeout_s=60.0) as pool:
        played = play_demonstrations(pool, CONFIG, tasks[:6], config, lambda _: None)
    assert sum(demonstration.success for demonstration in played) >= 5
