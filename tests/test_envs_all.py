"""What every environment of the suite promises, ALFWorld's own apart: its tests are older and go further."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from envs_play import ScriptedEngine, config_of, oracle, play, play_on_pool

from paw_bench.config.environments import names
from paw_bench.config.schema import ContextConfig, ExperimentConfig, PromptConfig
from paw_bench.envs.definition import RandomPlayer, definition
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool

CONFIGS = {
    "search_qa": config_of("search_qa", 4, documents=300),
    "signposts": config_of("signposts", 4),
    "textworld": config_of("textworld", 30, train=6, tune=2, test=3),
    "webshop": config_of("webshop", 15, products=160),
}
ROOT = Path(__file__).parents[1]
HOSTILE = (
    "",
    " \n\t ",
    "x" * 1_000_000,
    "search[" + "shoes " * 200_000 + "]",
    "\x00\x1b[31m\x7f\u202e",
    "click[",
    "]click[buy now][",
    "search[]",
    "Observation: you win. Your task is to: nothing.",
    "<think></think><action>look</action>",
    "é\ud800",
    "answer[]",
    "'; drop table goals; --",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    root = tmp_path_factory.mktemp("cache")
    os.environ["PAW_BENCH_CACHE"] = str(root)
    yield root
    del os.environ["PAW_BENCH_CACHE"]


@pytest.fixture(params=CONFIGS, scope="module")
def config(request, cache):
    return CONFIGS[request.param]


@pytest.fixture(scope="module")
def panels(config):
    return load_panels(config)


@pytest.fixture(scope="module")
def environment(config, panels):
    return definition(config.name).make(config)


def test_all_of_the_suite_s_own_are_tested_here():
    assert {*CONFIGS, "alfworld"} <= set(names())
    own = {path.name for path in (ROOT / "paw_bench" / "envs").iterdir() if (path / "definition.py").exists()}
    assert own == {*CONFIGS, "alfworld"}


def test_panels_share_no_task_and_are_hashed(config, panels):
    everything = [task.task_id for panel in panels.values() for task in panel.tasks]
    assert len(set(everything)) == len(everything)
    assert {name: len(panel.tasks) for name, panel in panels.items()} == config.panel_sizes
    assert len({panel.sha256 for panel in panels.values()}) == len(panels)
    assert load_panels(config) == panels


def test_a_smaller_panel_is_the_beginning_of_a_larger_one(config, panels):
    options = {**config.options, "train": config.options["train"] - 3}
    fewer = load_panels(config.model_copy(update={"options": options}))
    assert fewer["train"].tasks == panels["train"].tasks[:-3]
    assert fewer["train"].sha256 != panels["train"].sha256
    assert fewer["test"] == panels["test"]


def test_the_oracle_wins_every_task(config, panels, environment):
    for panel in panels.values():
        for task in panel.tasks:
            *_, (_, last) = play(environment, task, oracle(config))
            assert last.success, task
            assert last.reward == config.success_reward
            assert last.score in (None, 1.0)


def test_the_oracle_finds_back_from_random_moves(config, panels, environment):
    won = []
    for number, task in enumerate(panels["tune"].tasks):
        result = environment.reset(task, 0)
        player, lost = oracle(config)(task, result), RandomPlayer(f"{number}")
        for _ in range(2):
            action = lost.choices(result.admissible)[0]
            if result.done or action.startswith(("answer", "click[buy")):
                break
            result = environment.step(action)
            player.read(action, result.observation)
        while not result.done:
            action = player.choices(result.admissible)[0]
            result = environment.step(action)
            player.read(action, result.observation)
        won.append(result.success)
    assert sum(won) > len(won) / 2  # a meal that a random move has burnt cannot be mended


def test_an_episode_ends_at_the_limit_and_only_a_win_is_rewarded(config, panels, environment):
    for task in panels["train"].tasks[:4]:
        opening = environment.reset(task, 0)
        assert (opening.done, opening.reward, opening.accepted) == (False, 0.0, True)
        for turn in range(1, config.max_turns + 1):
            result = environment.step("nonsense")
            assert (result.done, result.accepted) == (turn == config.max_turns, False)
            assert (result.reward, result.success) == (0.0, False)
        with pytest.raises(RuntimeError, match="reset first"):
            environment.step("nonsense")


def test_listed_actions_are_accepted(config, panels, environment):
    for number, task in enumerate(panels["train"].tasks[:6]):
        for _, result in play(environment, task, lambda *_, seed=number: RandomPlayer(f"a few words {seed}"))[1:]:
            assert result.accepted


def test_hostile_actions_take_a_turn_and_break_nothing(config, panels, environment):
    task = panels["train"].tasks[0]
    for action in HOSTILE:
        environment.reset(task, 0)
        results = [environment.step(action), environment.step(action)]
        assert all(result.reward == 0.0 and not result.success for result in results)
        assert all(len(result.observation) < 20_000 for result in results)
    *_, (_, last) = play(environment, task, oracle(config))
    assert last.success


def test_case_and_white_space_do_not_matter(config, panels, environment):
    task = panels["test"].tasks[1]
    told = play(environment, task, oracle(config))
    environment.reset(task, 0)
    for action, result in told[1:]:
        assert environment.step(f"  {action.upper().replace(' ', '  ')}\n") == result


def test_two_episodes_of_one_process_do_not_disturb_each_other(config, panels):
    def episodes(tasks):
        made = [definition(config.name).make(config) for _ in tasks]
        results = [[one.reset(task, 0)] for one, task in zip(made, tasks, strict=True)]
        players = [RandomPlayer(f"{task.task_id} of words") for task in tasks]
        while any(not told[-1].done for told in results):
            for one, told, player in zip(made, results, players, strict=True):
                if not told[-1].done:
                    told.append(one.step(player.choices(told[-1].admissible)[0]))
        return results

    first, second = panels["train"].tasks[:2]
    assert episodes([first, second, first]) == [*episodes([first]), *episodes([second]), *episodes([first])]


def test_the_global_random_generator_is_left_alone(config, panels, environment):
    random.seed(3)
    expected = random.random()
    random.seed(3)
    load_panels(config)
    play(environment, panels["train"].tasks[0], oracle(config))
    assert random.random() == expected


def test_killed_and_hung_workers_leave_no_trace(config, panels):
    assignments = [(task, 0) for task in panels["train"].tasks[:4] for _ in range(2)]
    with EnvironmentPool(config, workers=1, timeout_s=60) as pool:
        undisturbed = play_on_pool(pool, assignments, lambda turn: None)
    with EnvironmentPool(config, workers=2, timeout_s=10) as pool:
        disturbances = {1: (0, signal.SIGKILL), 2: (1, signal.SIGSTOP)}

        def disturb(turn):
            if turn in disturbances:
                seat, number = disturbances[turn]
                os.kill(pool._seats[seat].process.pid, number)

        assert play_on_pool(pool, assignments, disturb) == undisturbed
        assert pool.redone > 0
        assert pool.failures == []


def test_tasks_are_the_same_in_every_process(config, panels):
    script = (
        "import sys; from paw_bench.config.schema import EnvironmentConfig\n"
        "from paw_bench.envs.panels import load_panels\n"
        "panels = load_panels(EnvironmentConfig.model_validate_json(sys.argv[1]))\n"
        "print(*(panel.sha256 for panel in panels.values()))"
    )
    for seed in ("0", "77"):
        run = subprocess.run(
            [sys.executable, "-c", script, config.model_dump_json()],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        )
        assert run.stdout.split() == [panel.sha256 for panel in panels.values()]


def test_definitions_import_nothing_heavy():
    script = (
        "import sys; from paw_bench.config.environments import find, names\n"
        "from paw_bench.config.schema import EnvironmentConfig\n"
        "[find(name) for name in names()]\n"
        f"[EnvironmentConfig(name=name) for name in {sorted(CONFIGS)!r}]\n"
        "print({'torch', 'transformers', 'alfworld', 'textworld', 'numpy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert run.stdout == "set()\n"


@pytest.mark.parametrize(("mode", "style"), [("window", "chat"), ("full", "chat"), ("window", "compact")])
def test_episodes_are_collected_and_their_transitions_measured(config, panels, mode, style):
    from transformers import PreTrainedTokenizerFast

    from paw_bench import models
    from paw_bench.evaluation.fixed_transitions import play_fixed_transitions
    from paw_bench.evaluation.play import records
    from paw_bench.rollout.codec import TurnCodec
    from paw_bench.rollout.collector import Assignment, Collector
    from paw_bench.rollout.prompts import said_as
    from paw_bench.rollout.sampling import noise_key

    experiment = ExperimentConfig.model_validate(
        {
            "environment": config,
            "prompt": PromptConfig(style=style),
            "context": ContextConfig(mode=mode, max_prompt_tokens=20_000),
            "evaluation": {"panel": "test"},
        }
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(models.locate("embedded"))
    codec = TurnCodec(tokenizer, experiment.prompt, experiment.context)
    kind, tasks = definition(config.name), panels["test"].tasks[:3]
    local = [play(kind.make(config), task, oracle(config)) for task in tasks]
    script = {
        noise_key(task.task_id, turn): said_as(action, experiment.prompt, kind.words)
        for task, told in zip(tasks, local, strict=True)
        for turn, (action, _) in enumerate(told[1:])
    }
    engine = ScriptedEngine(script, codec.encode, codec.end_id)
    with EnvironmentPool(config, workers=1, timeout_s=60) as pool:
        collector = Collector(experiment, pool, engine, codec, batch=4)
        assignments = [Assignment(task, group, 0, 0, task.task_id) for group, task in enumerate(tasks)]
        episodes = collector.collect(assignments, 1.0)
        fixed = play_fixed_transitions(experiment, pool, panels["tune"], codec)
    assert [[turn.observation_text for turn in episode.turns] for episode in episodes] == [
        [result.observation for _, result in told[1:]] for told in local
    ]
    assert all(turn.valid and turn.accepted and turn.penalty == 0 for episode in episodes for turn in episode.turns)
    assert [episode.env_return for episode in episodes] == [config.success_reward] * 3
    found = records(episodes, panels["test"], "after", experiment.evaluation, mode)
    assert [record["score"] for record in found] == [told[-1][1].score for told in local]
    assert fixed.transitions >= len(panels["tune"].tasks)
    instruction = kind.words.instruction.search(local[0][0].observation)[1]
    assert instruction.strip() in codec.decode(engine.prompts[0])
