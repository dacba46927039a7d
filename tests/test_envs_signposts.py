"""The calibration tasks: what there is to know on `map`, and that on `noise` there is nothing."""

import re
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from envs_play import config_of

from paw_bench import models
from paw_bench.envs.definition import definition
from paw_bench.envs.panels import load_panels
from paw_bench.envs.signposts.country import NEW, OLD, PAIRS, ROADS, TOWNS, asked, roads

SIZES = {"train": 64, "tune": 64, "test": 128}


def played(signs, seed=0):
    """(town, place, road) -> (success, sign) of every question and every road, on the test panel."""
    config = config_of("signposts", 1, **{**SIZES, "signs": signs, "seed": seed})
    environment = definition("signposts").make(config)
    found = {}
    for task in load_panels(config)["test"].tasks[: len(PAIRS)]:
        for road in ROADS:
            environment.reset(task, 0)
            result = environment.step(road)
            found[*task.location.split(), road] = (result.success, result.observation)
    assert len(found) == len(PAIRS) * len(ROADS)
    return found


def told(sign):
    return re.fullmatch(r"to (\w+); (\w+)", sign).groups()


def test_every_question_has_one_right_road_and_no_two_places_of_a_town_share_one():
    right = defaultdict(list)
    for (town, place, road), (success, _) in played("map").items():
        if success:
            right[town].append((place, road))
    assert set(right) == set(TOWNS)
    for answers in right.values():
        assert {place for place, _ in answers} == set(NEW)
        assert sorted(road for _, road in answers) == sorted(ROADS)


def test_signs_of_a_map_are_true_never_change_and_tell_every_road():
    episodes = played("map")
    by_town = defaultdict(set)
    for (town, _, road), (_, sign) in episodes.items():
        place, way = told(sign)
        assert episodes[town, place, way][0], "the sign's road leads there"
        by_town[town].add((road, sign))
    for signs in by_town.values():
        assert len(signs) == len(ROADS)
        assert {told(sign)[0] for _, sign in signs} == set(NEW)


def test_noise_is_uniform_and_says_nothing_of_the_map():
    episodes = played("noise")
    signs = [told(sign) for _, sign in episodes.values()]
    true = sum(episodes[town, *told(sign)][0] for (town, _, _), (_, sign) in episodes.items())
    # 512 signs: 64 true ones and 64 of each road are expected, with standard deviations of 7.5.
    assert 38 < true < 90
    assert all(38 < count < 90 for count in Counter(road for _, road in signs).values())
    assert all(38 < count < 90 for count in Counter(place for place, _ in signs).values())


def test_the_two_kinds_are_the_same_task_but_for_the_signs():
    for signs in ("map", "noise"):
        wins = {key for key, (success, _) in played(signs).items() if success}
        assert wins == {(town, place, roads(0)[town, place]) for town, place in PAIRS}
    panels = [load_panels(config_of("signposts", 1, signs=signs)) for signs in ("map", "noise")]
    assert panels[0]["test"].tasks == panels[1]["test"].tasks
    assert panels[0]["test"].sha256 != panels[1]["test"].sha256


def test_training_asks_half_of_the_questions_and_the_test_all_of_them():
    panels = load_panels(config_of("signposts", 1, **SIZES))
    questions = {name: Counter(task.location for task in panel.tasks) for name, panel in panels.items()}
    assert set(questions["train"]) == {f"{town} {place}" for town, place in asked(0)}
    assert len(questions["train"]) == len(PAIRS) // 2
    assert set(questions["test"]) == {f"{town} {place}" for town, place in PAIRS}
    assert set(questions["test"].values()) == {2}
    for task in panels["test"].tasks:
        assert task.task_type == ("asked" if task.location in questions["train"] else "told")


def test_another_seed_is_another_country_with_the_same_old_roads():
    first, second = roads(0), roads(1)
    assert all(first[town, place] == second[town, place] for town in TOWNS for place in OLD)
    assert sum(first[town, place] == second[town, place] for town in TOWNS for place in NEW) < len(PAIRS) / 2


def test_more_than_ten_thousand_steps_a_second():
    config = config_of("signposts", 1, **SIZES)
    environment = definition("signposts").make(config)
    tasks = load_panels(config)["train"].tasks
    clock = time.process_time()
    for number in range(2_000):
        environment.reset(tasks[number % len(tasks)], 0)
        environment.step("red")
    assert time.process_time() - clock < 0.2


def test_the_start_is_made_whole_and_never_over_another(tmp_path):
    from paw_bench.errors import UserError
    from paw_bench.warm_start.signposts import TRAINING, make_signposts_start

    steps = {"steps": 2, "log_every": 1, "candidates_from": 2, "candidates_every": 2}
    record = make_signposts_start(tmp_path / "start", TRAINING.model_copy(update=steps))
    assert [entry["step"] for entry in record["training"]] == [1, 2]
    made = {path.name: path.read_bytes() for path in (tmp_path / "start").iterdir()}
    shipped = {path.name: path.read_bytes() for path in Path(models.locate("embedded-signposts")).iterdir()}
    assert set(made) == set(shipped)
    assert made["tokenizer.json"] == shipped["tokenizer.json"]
    with pytest.raises(UserError, match="exists already"):
        make_signposts_start(tmp_path / "start")


@pytest.fixture(scope="module")
def start():
    from paw_bench.config.schema import ModelConfig

    return models.load(ModelConfig(name="embedded-signposts"), "cpu")


def test_the_start_reads_signs_and_questions_of_old_places_and_knows_no_new_road(start):
    import torch

    from paw_bench.envs.signposts.definition import SIGNPOSTS
    from paw_bench.envs.signposts.environment import question, sign
    from paw_bench.rollout.codec import TurnCodec
    from paw_bench.rollout.prompts import Dialogue
    from paw_bench.warm_start.signposts import CONTEXT, PROMPT

    model, tokenizer = start
    codec = TurnCodec(tokenizer, PROMPT, CONTEXT)
    ids = {road: codec.encode(road) for road in ROADS}
    assert all(len(tokens) == 1 for tokens in ids.values())
    for place in (*OLD, *NEW):
        for town in TOWNS:
            asks = codec.window_ids(Dialogue(question(town, place), ROADS, words=SIGNPOSTS.words))
            # A sign about this place, read in the same town after a road to another place.
            other = codec.window_ids(Dialogue(question(town, "mill"), ROADS, words=SIGNPOSTS.words))
            reads = [*other, *ids["red"], codec.end_id, *codec.separator(ended=True), *codec.encode(sign(place, "red"))]
            for tokens in (asks, reads[:-1]):
                with torch.no_grad():
                    p = model(torch.tensor([tokens])).logits[0, -1].softmax(-1)
                chances = {road: float(p[tokens[0]]) for road, tokens in ids.items()}
                if place in OLD:
                    assert chances[roads(0)[town, place]] > 0.9
                else:
                    assert max(chances.values()) < 0.3
