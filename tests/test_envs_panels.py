import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from envs_games import SMALL, small_config, write_games

from paw_bench.config.schema import EnvironmentConfig, GamesConfig
from paw_bench.envs.alfworld.files import GAME_FILE, TASK_TYPE_NAMES, TRAJECTORY_FILE
from paw_bench.envs.alfworld.generator import generate_game, scenes_for
from paw_bench.envs.alfworld.scenes import HELD_OUT_SCENES
from paw_bench.envs.panels import load_panels
from paw_bench.errors import ConfigError, StoreError, UserError

GOLDEN = {
    "train": "c35ea443eb1883967403b0351408ffe0574e2dd8a5232c6227e4756cc9330577",
    "tune": "7011c28e1b9b4ba0cd9e68d00ec9f3202443e94c69a3cff35f4513c98894d1c3",
    "valid_seen": "b487d501d9183fddaf701f751aa259bcd6a82df927c0473a84824a861a9bc926",
    "valid_unseen": "5568f9d3c8edebea689b382d0254105a77f2c06660caf34ebdb1e2d7f655551c",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def panels(cache):
    return load_panels(small_config(), cache)


def test_games_are_the_same_in_every_process_and_do_not_depend_on_others():
    script = (
        "import hashlib, sys; from paw_bench.envs.alfworld.generator import generate_game;"
        "games = [generate_game('train', i, 5, None) for i in (7, 2)];"
        "print(*[g.task_id + hashlib.sha256(g.game_file + g.trajectory_file).hexdigest() for g in games])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True
        ).stdout
        for seed in ("0", "77")
    }
    assert len(outputs) == 1
    assert generate_game("train", 2, 5, None).task_id in outputs.pop()


def test_generating_leaves_the_global_random_generator_alone():
    random.seed(3)
    expected = random.random()
    random.seed(3)
    generate_game("train", 0, 0, None)
    assert random.random() == expected


@pytest.mark.parametrize("other", [("tune", 4, 0, SMALL), ("train", 10, 0, SMALL), ("train", 4, 1, SMALL)])
def test_split_index_and_seed_each_give_another_game(other):
    assert generate_game(*other).game_file != generate_game("train", 4, 0, SMALL).game_file


def test_panels_hold_all_types_equally_and_share_no_game(panels):
    for panel in panels.values():
        assert Counter(task.task_type for task in panel.tasks[:6]) == Counter(TASK_TYPE_NAMES)
    everything = [task for panel in panels.values() for task in panel.tasks]
    assert len({task.task_id for task in everything}) == len(everything) == 30
    assert len({Path(task.location).read_bytes() for task in everything}) == 30


def test_a_smaller_panel_is_the_beginning_of_a_larger_one(panels, cache):
    smaller = load_panels(small_config(train=7), cache)["train"]
    assert smaller.tasks == panels["train"].tasks[:7]
    assert smaller.sha256 != panels["train"].sha256


def test_only_valid_unseen_is_played_on_the_held_out_floor_plans(panels):
    scenes = {
        name: {int(task.task_id.split("/")[0].rsplit("-", 1)[1]) for task in panel.tasks}
        for name, panel in panels.items()
    }
    assert scenes["valid_unseen"] <= HELD_OUT_SCENES
    assert not (scenes["train"] | scenes["tune"] | scenes["valid_seen"]) & HELD_OUT_SCENES


def test_the_cap_holds_for_all_panels_but_valid_unseen():
    for task_type in TASK_TYPE_NAMES:
        assert all(len(scene.receptacles) <= SMALL for scene in scenes_for("train", task_type, SMALL))
        assert scenes_for("valid_unseen", task_type, SMALL) == scenes_for("valid_unseen", task_type, None)


def test_a_cap_that_no_kitchen_meets_is_refused_with_one_that_does(tmp_path):
    games = GamesConfig(max_receptacles=SMALL - 1, train=6, tune=6, valid_seen=6, valid_unseen=6)
    with pytest.raises(ConfigError, match=r"max_receptacles.*\n.*set it to 16 or more"):
        load_panels(EnvironmentConfig(games=games), tmp_path)


def test_panel_hashes_do_not_change_unnoticed(panels):
    assert {name: panel.sha256 for name, panel in panels.items()} == GOLDEN


def test_ready_panels_are_loaded_without_alfworld(panels, cache):
    script = f"""
import sys
from pathlib import Path
from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.panels import load_panels
config = EnvironmentConfig.model_validate_json(sys.argv[1])
print(load_panels(config, Path({str(cache)!r}))["train"].sha256)
print([name for name in ("alfworld", "textworld", "torch", "numpy") if name in sys.modules])
"""
    argument = small_config().model_dump_json()
    run = subprocess.run([sys.executable, "-c", script, argument], capture_output=True, check=True, text=True)
    assert run.stdout.split("\n")[:2] == [panels["train"].sha256, "[]"]


def test_lost_and_damaged_files_are_made_again(tmp_path):
    before = load_panels(small_config(), tmp_path)
    first, second, third = (Path(task.location) for task in before["train"].tasks[:3])
    kept = first.stat().st_mtime_ns
    second.write_bytes(second.read_bytes()[:-1])
    third.with_name(TRAJECTORY_FILE).unlink()
    (index,) = tmp_path.rglob("index-tune.json")
    index.write_text("{")
    assert load_panels(small_config(), tmp_path) == before
    assert second.read_bytes().endswith(b"}")
    assert third.with_name(TRAJECTORY_FILE).exists()
    assert first.stat().st_mtime_ns == kept


def test_an_interrupted_generation_goes_on(tmp_path, monkeypatch):
    from paw_bench.envs.alfworld import generator

    made = []

    def interrupted(split, index, *rest):
        if len(made) == 10:
            raise KeyboardInterrupt
        made.append((split, index))
        return generate_game(split, index, *rest)

    monkeypatch.setattr(generator, "generate_game", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_panels(small_config(), tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob(GAME_FILE)}
    assert len(written) == 10
    monkeypatch.setattr(generator, "generate_game", generate_game)
    panels = load_panels(small_config(), tmp_path)
    assert {name: panel.sha256 for name, panel in panels.items()} == GOLDEN
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(StoreError, match="cache"):
        load_panels(small_config(), tmp_path / "cache")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder laid out like ALFWorld's data, below a folder whose name alone would make ALFWorld skip everything."""
    root = tmp_path_factory.mktemp("Sliced movable")
    for split, count in (("train", 252), ("valid_seen", 12), ("valid_unseen", 12)):
        write_games(root, split, range(count))
    return root


def data_config(**games):
    sizes = {"train": 100, "tune": 6, "valid_seen": 12, "valid_unseen": 12, **games}
    return EnvironmentConfig(games=GamesConfig(source="data", **sizes))


def test_original_games_are_read_from_where_the_variable_points(original, monkeypatch):
    monkeypatch.setenv("ALFWORLD_DATA", str(original))
    panels = load_panels(data_config())
    assert {name: len(panel.tasks) for name, panel in panels.items()} == {
        "train": 100,
        "tune": 6,
        "valid_seen": 12,
        "valid_unseen": 12,
    }
    assert all(Counter(task.task_type for task in panel.tasks[:6]).total() == 6 for panel in panels.values())
    assert all(str(original) in task.location for panel in panels.values() for task in panel.tasks)


def test_tune_games_are_never_train_games_whatever_the_sizes(original, monkeypatch):
    monkeypatch.setenv("ALFWORLD_DATA", str(original))
    one, other = load_panels(data_config()), load_panels(data_config(train=240, tune=3))
    tune = {task.task_id.split("/")[0] for task in one["tune"].tasks + other["tune"].tasks}
    train = {task.task_id.split("/")[0] for task in other["train"].tasks}
    assert not tune & train


def test_games_that_alfworld_skips_are_skipped(tmp_path, monkeypatch):
    paths = write_games(tmp_path, "valid_seen", range(12))
    paths[0].write_text(paths[0].read_text().replace('"solvable": true', '"solvable": false'))
    paths[1].write_text(paths[1].read_text().replace('"solvable": true', '"known": true'))
    paths[2].unlink()
    task_folder = paths[3].parent.parent
    task_folder.rename(task_folder.with_name("pick_heat_then_place_in_recep-AppleSliced-None-Fridge-1"))
    trajectory = paths[4].with_name(TRAJECTORY_FILE)
    trajectory.write_text(trajectory.read_text().replace("pick_cool_then_place", "pick_and_place_with_movable"))
    write_games(tmp_path, "train", range(252))
    write_games(tmp_path, "valid_unseen", range(6))
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match="only 7 playable games for the panel valid_seen"):
        load_panels(data_config(valid_seen=12, valid_unseen=6))
    panels = load_panels(data_config(valid_seen=7, valid_unseen=6))
    assert {task.location for task in panels["valid_seen"].tasks} == {str(path) for path in paths[5:]}


def test_data_that_is_not_there_is_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.delenv("ALFWORLD_DATA", raising=False)
    with pytest.raises(UserError, match=r"ALFWORLD_DATA is not set\n.*games download"):
        load_panels(data_config())
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere, which is not a folder"):
        load_panels(data_config())
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"no folder json_2\.1\.1"):
        load_panels(data_config())


def test_importing_the_generator_does_not_set_the_variable():
    script = "import os, paw_bench.envs.alfworld.generator; print(os.environ.get('ALFWORLD_DATA'))"
    environment = {"PATH": "", "HOME": "/nonexistent"}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True, text=True)
    assert run.stdout == "None\n"
