import io
import json

import pytest
from experiment_files import ARMS, HEAD, ROOT, SEEDS, SHIPPED, write
from rich.console import Console

from paw_bench.config.load import load_experiment_file
from paw_bench.sweep.cost import predict
from paw_bench.sweep.describe import UNKNOWN, describe_plan, plan_json
from paw_bench.sweep.plan import plan


def printed(path, *overrides, **console):
    planned = plan(load_experiment_file(path, overrides=overrides))
    screen = io.StringIO()
    Console(file=screen, width=80, **console).print(describe_plan(planned, predict(planned, parallel=2)))
    return planned, screen.getvalue()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_plan_is_readable_in_80_columns(path):
    planned, text = printed(path)
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    for arm, changes in planned.changes.items():
        assert arm in flat
        assert all(key in flat for key in changes)
    arms = len(planned.file.arms)
    assert f"{len(planned.runs)} runs = {arms} arm{'s' * (arms > 1)} x " in flat
    assert f"x {len(planned.file.seeds)} seeds " in flat
    assert "every arm equals the base in every key that it does not name" in flat


def test_axes_are_listed_and_counted(tmp_path):
    _, text = printed(write(tmp_path, HEAD + ARMS + "axes: { algorithm.groups: [2, 4, 6] }\n" + SEEDS), "seeds=[3]")
    assert "6 runs = 2 arms x 3 values of algorithm.groups x 1 seed" in text
    assert "algorithm.groups: 2, 4, 6\nseeds: 3" in text
    assert "at each of 3 axis points" in " ".join(text.split())


def test_texts_that_look_like_other_values_are_quoted():
    _, text = printed(ROOT / "experiments" / "quickstart.yaml")
    assert 'world_model.targets: "true" -> shuffled' in text
    assert "world_model.enabled: false -> true" in text


def test_gpu_scales_without_a_measurement_say_so():
    _, text = printed(ROOT / "experiments" / "ablations.yaml")
    assert f"GPU hours: {UNKNOWN}" in text
    assert f"time: {UNKNOWN}" in text


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    _, text = printed(ROOT / "experiments" / "quickstart.yaml", force_terminal=True)
    assert "\x1b[3" not in text


def test_names_with_brackets_are_printed_as_they_are(tmp_path):
    arms = "arms:\n  '[red]ref[/]': {}\n  '[b]x': { model: { name: '[i]m' } }\n"
    _, text = printed(write(tmp_path, HEAD + arms + SEEDS))
    assert "[red]ref[/] (reference)" in text
    assert "model.name: embedded -> [i]m" in text


def test_the_json_holds_the_plan_and_nothing_but_plain_data():
    planned = plan(load_experiment_file(ROOT / "experiments" / "quickstart.yaml"))
    document = plan_json(planned, predict(planned))
    assert json.loads(json.dumps(document)) == document
    assert [run["run_id"] for run in document["runs"]] == [run.run_id for run in planned.runs]
    assert document["changes"]["paw"] == {"world_model.enabled": {"base": False, "arm": True}}
    assert document["comparisons"] == [["paw", "grpo"], ["paw + shuffled", "grpo"]]


def test_arms_are_said_to_share_their_updates_games_only_where_they_do():
    """PPO plays a task an episode: the games of the run are the same, those of an update are not."""
    _, algorithms = printed(ROOT / "experiments" / "algorithms.yaml")
    _, ablations = printed(ROOT / "experiments" / "ablations.yaml")
    assert "share games, initial weights and random numbers." in " ".join(ablations.split())
    assert "random numbers, dealt to updates of different numbers of tasks (ppo: a" in " ".join(algorithms.split())
