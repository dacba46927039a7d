import json
import random
import statistics
import time

import pytest
from envs_play import config_of, oracle, play

from paw_bench.envs.bm25 import Index
from paw_bench.envs.definition import definition, random_action
from paw_bench.envs.panels import load_panels
from paw_bench.envs.webshop.fuzzy import token_set_ratio
from paw_bench.envs.webshop.reward import purchase_reward, type_reward
from paw_bench.envs.webshop.shop import Goal, Product
from paw_bench.errors import ConfigError, UserError

CONFIG = config_of("webshop", 15, test=200)


@pytest.fixture(scope="module")
def tasks():
    return load_panels(CONFIG)["test"].tasks


@pytest.fixture
def environment():
    return definition("webshop").make(CONFIG)


def product(**changes) -> Product:
    given = {
        "asin": "B0AAAAAAAA",
        "title": "Vozeka Running Shoes Slip Resistant Black",
        "category": "fashion",
        "query": "running shoes",
        "path": ("Clothing", "Men", "Shoes"),
        "price": 50.0,
        "attributes": ("slip resistant", "memory foam"),
        "options": {"color": ("black", "white"), "size": ("7", "8")},
        "features": (),
        "description": "",
    }
    return Product(**{**given, **changes})


GOAL = Goal("B0AAAAAAAA", "", ("slip resistant", "memory foam"), ("black", "8"), 60.0)


@pytest.mark.parametrize(
    ("bought", "chosen", "reward"),
    [
        ({}, ["black", "8"], 5 / 5),
        ({}, ["black", "7"], 4 / 5),
        ({}, [], 3 / 5),
        ({"price": 60.0}, ["8", "black"], 5 / 5),
        ({"price": 60.01}, ["black", "8"], 4 / 5),
        ({"attributes": ("memory foam insole",)}, ["black", "8"], 4 / 5),
        ({"attributes": ("slip resistent", "hand wash")}, ["black", "8"], 4 / 5),
        ({"attributes": ()}, ["black", "8"], 3 / 5),
        ({"title": "Kari Hdmi Cable"}, ["black", "8"], 0.0),
    ],
)
def test_the_reward_counts_what_was_asked_for(bought, chosen, reward):
    assert purchase_reward(GOAL, product(), product(**bought), chosen) == pytest.approx(reward)


@pytest.mark.parametrize(
    ("bought", "factor"),
    [
        ({"title": "shoes"}, 0.5),  # one word of six, and everything else differs
        ({"title": "shoes", "query": "running shoes"}, 1.0),
        ({"title": "shoes", "path": ("Clothing", "Men", "Hats")}, 1.0),
        ({"title": "black shoes"}, 1.0),
        ({"title": "the of and"}, 0.0),
    ],
)
def test_the_kind_of_thing_is_a_factor(bought, factor):
    other = {"query": "slippers", "path": ("Clothing", "Women", "Slippers"), **bought}
    assert type_reward(product(), product(**other)) == factor


def test_a_title_that_shares_less_than_a_tenth_gives_a_tenth():
    wanted = product(title=" ".join(f"word{i}" for i in range(11)))
    assert type_reward(wanted, product(title="word3 else")) == 0.1


@pytest.mark.parametrize(
    ("left", "right", "ratio"),
    [  # rapidfuzz 3.14.6
        ("slip resistant", "slip-resistant", 64.28571428571428),
        ("long lasting", "long lasting color", 100.0),
        ("waterproof", "water proof", 47.61904761904762),
        ("machine wash", "machine washable", 85.71428571428571),
        ("gluten free", "sugar free", 57.142857142857146),
        ("", "sugar free", 0.0),
    ],
)
def test_the_fuzzy_ratio_is_that_of_rapidfuzz(left, right, ratio):
    assert token_set_ratio(left, right) == pytest.approx(ratio)
    assert token_set_ratio(right, left) == pytest.approx(ratio)


def test_search_ranks_by_rarity_and_repetition_with_ties_in_order():
    index = Index(["red shoes", "red red hat", "blue shoes with laces and soles", "a hat", "red shoes"])
    assert index.top("shoes", 5) == [0, 4, 2]
    assert index.top("red", 5)[0] == 1
    assert index.top("RED laces", 1) == [2]
    assert index.top("nothing here", 5) == []
    assert Index([]).top("red", 5) == []


def walk(environment, task, *actions):
    result = environment.reset(task, 0)
    for action in actions:
        result = environment.step(action)
    return result


def test_pages_are_what_the_paper_describes(environment, tasks):
    opening = environment.reset(tasks[0], 0)
    assert opening.observation.startswith("WebShop [SEP] Instruction: [SEP] ")
    assert opening.observation.endswith(" [SEP] Search")
    assert opening.admissible == ("search[<your query>]",)
    results = environment.step("search[the best gift]")
    assert results.observation.startswith("Back to Search [SEP] Page 1 (Total results: 50) [SEP] Next > [SEP] B0")
    assert sum(action.startswith("click[b0") for action in results.admissible) == 10
    item = environment.step(results.admissible[2])
    assert item.observation.endswith("Description [SEP] Features [SEP] Reviews [SEP] Buy Now")
    assert item.admissible[-4:] == ("click[description]", "click[features]", "click[reviews]", "click[buy now]")
    features = environment.step("click[features]")
    assert features.admissible == ("click[back to search]", "click[< prev]")
    assert environment.step("click[< prev]").observation == item.observation
    assert environment.step("click[< prev]") == results
    last = walk(environment, tasks[0], "search[the best gift]", *["click[next >]"] * 4)
    assert "click[next >]" not in last.admissible
    assert "Page 5" in last.observation
    assert "click[< prev]" in last.admissible


def test_what_the_page_does_not_offer_changes_nothing(environment, tasks):
    results = walk(environment, tasks[0], "search[shoes]")
    for action in ("search[hats]", "click[buy now]", "click[b0zzzzzzzz]", "buy", "click[next >"):
        again = environment.step(action)
        assert (again.observation, again.accepted) == (results.observation, False)


def test_chosen_options_are_shown_and_replaced(environment, tasks):
    item = walk(environment, tasks[0], "search[running shoes]", "click[next >]")
    item = environment.step(next(action for action in item.admissible if action.startswith("click[b0")))
    values = [action for action in item.admissible if action not in _fixed()]
    once = environment.step(values[0])
    assert f": {values[0][6:-1]}" in once.observation
    assert environment.step(values[0]) == once


def _fixed():
    names = ("back to search", "< prev", "description", "features", "reviews", "buy now")
    return {f"click[{name}]" for name in names}


def test_episodes_without_a_purchase_score_nothing(environment, tasks):
    result = walk(environment, tasks[0], *["search[shoes]", "click[back to search]"] * 7)
    assert (result.done, result.score) == (False, None)
    result = environment.step("search[shoes]")
    assert (result.done, result.score, result.success) == (True, 0.0, False)


class Buyer:
    """Searches the instruction and buys the first hit; `careful`: with the options that the instruction names."""

    def __init__(self, careful, opening):
        self.said = definition("webshop").words.instruction.search(opening.observation)[1]
        self.careful, self.clicked = careful, {*_fixed()}

    def choices(self, admissible):
        if admissible[0].startswith("search["):
            return (f"search[{self.said}]",)
        if "click[buy now]" not in admissible:
            return (next(action for action in admissible if action.startswith("click[b0")),)
        named = [a for a in admissible if a not in self.clicked and a[6:-1] in self.said]
        return (named[0] if self.careful and named else "click[buy now]",)

    def read(self, action, observation):
        self.clicked.add(action)


def score(environment, tasks, start):
    return statistics.mean(play(environment, task, start)[-1][1].score for task in tasks)


def test_the_first_hit_is_seldom_what_was_asked_for(environment, tasks):
    assert score(environment, tasks, lambda task, opening: Buyer(False, opening)) < 0.45
    careful = [play(environment, task, lambda t, opening: Buyer(True, opening))[-1][1] for task in tasks]
    assert statistics.mean(result.score for result in careful) < 0.75
    assert 0 < statistics.mean(result.success for result in careful) < 0.25
    assert score(environment, tasks, oracle(CONFIG)) == 1.0


def test_ten_thousand_steps_a_second(environment, tasks):
    rng = random.Random(0)
    steps, began = 0, time.process_time()
    for task in tasks:
        result = opening = environment.reset(task, 0)
        while not result.done:
            result = environment.step(random_action(rng, result.admissible, opening.observation))
            steps += 1
    assert steps / (time.process_time() - began) > 10_000


ITEM = {
    "asin": "b01abcdefg",
    "name": "Some  Brand Women's Slippers",
    "category": "fashion",
    "query": "Slippers",
    "product_category": "Clothing \u203a Women \u203a Shoes",
    "pricing": "$1,012.50$1,500.00",
    "small_description": ["Soft.", "Warm."],
    "full_description": "Slippers\nfor the house",
    "customization_options": {
        "Size": [{"value": "7"}, {"value": "8 Wide"}],
        "Color": [{"value": "Black"}],
        "Fit": None,
    },
}
OTHER = {**ITEM, "asin": "B02ABCDEFG", "name": "Gloves", "pricing": None, "customization_options": {}}


@pytest.fixture
def original(tmp_path, monkeypatch):
    """Files in the original formats, with 1,010 goals."""
    goals = [
        {
            "asin": "B01ABCDEFG",
            "instruction_text": f"find soft slippers {number}",
            "attributes": ["Soft"],
            "goal_options": {"size": "8 wide"} if number % 2 else ["8 Wide"],
            "price_upper": 2000,
        }
        for number in range(1010)
    ]
    (tmp_path / "items_shuffle_1000.json").write_text(json.dumps([ITEM, OTHER]))
    (tmp_path / "items_ins_v2_1000.json").write_text(json.dumps({"b01abcdefg": {"attributes": ["soft", "warm"]}}))
    (tmp_path / "goals.json").write_text(json.dumps(goals))
    monkeypatch.setenv("WEBSHOP_DATA", str(tmp_path))
    return tmp_path


DATA = config_of("webshop", 15, source="data", train=10, tune=3, test=500)


def test_original_files_are_played_and_goals_0_to_499_are_the_test(original):
    panels = load_panels(DATA)
    assert [task.location for task in panels["test"].tasks] == [str(number) for number in range(500)]
    assert [task.location for task in panels["train"].tasks] == [str(number) for number in range(1000, 1010)]
    environment = definition("webshop").make(DATA)
    told = play(environment, panels["test"].tasks[1], oracle(DATA))
    assert told[-1][1].score == 1.0
    item = told[2][1].observation
    assert "Some Brand Women's Slippers [SEP] Price: $1012.50 [SEP] Rating: N.A." in item
    assert "size [SEP] 7 [SEP] 8 wide [SEP] color [SEP] black" in item


def test_human_goals_without_an_order_are_ordered_and_priced(original):
    (original / "goals.json").unlink()
    human = {
        "B01ABCDEFG": [
            {
                "asin": "B01ABCDEFG",
                "instruction": f"soft slippers {i}.",
                "instruction_attributes": ["soft"],
                "instruction_options": ["7"],
            }
            for i in range(1010)
        ]
    }
    (original / "items_human_ins.json").write_text(json.dumps(human))
    environment = definition("webshop").make(DATA)
    opening = environment.reset(load_panels(DATA)["test"].tasks[0], 0)
    assert "price lower than 2000.00 dollars" in opening.observation


def test_what_is_missing_or_broken_is_named(original, monkeypatch):
    kind = definition("webshop")
    assert kind.missing(DATA) is None
    assert kind.missing(CONFIG) is None
    with pytest.raises(ConfigError, match=r"options.train.*only 10 goals"):
        load_panels(config_of("webshop", 15, source="data", train=11, tune=3, test=500))
    (original / "items_shuffle_1000.json").write_text(json.dumps([{"asin": "B0"}]))
    definition_module().cache_clear()
    with pytest.raises(UserError, match=r"items_shuffle_1000.json: an entry is not as expected \(KeyError: 'name'\)"):
        load_panels(DATA)
    (original / "items_shuffle_1000.json").write_text("[")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        load_panels(DATA)
    (original / "goals.json").unlink()
    assert "has none of goals.json" in kind.missing(DATA).found
    monkeypatch.delenv("WEBSHOP_DATA")
    assert "$WEBSHOP_DATA is not set" in kind.missing(DATA).found


def definition_module():
    from paw_bench.envs.webshop import definition as module

    return module._shop


@pytest.fixture(autouse=True)
def fresh():
    definition_module().cache_clear()


def test_a_page_shows_as_many_products_as_asked_for():
    config = config_of("webshop", 15, products=160, page=4)
    environment = definition("webshop").make(config)
    environment.reset(load_panels(config)["test"].tasks[0], 0)
    first = environment.step("search[lip balm]").admissible
    second = environment.step("click[next >]").admissible
    products = [{action for action in page if action.startswith("click[b0")} for page in (first, second)]
    assert [len(shown) for shown in products] == [4, 4]
    assert not products[0] & products[1]
