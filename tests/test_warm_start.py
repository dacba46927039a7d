import random

import pytest
import torch

from paw_bench.config.schema import ContextConfig, EnvironmentConfig, GamesConfig, PromptConfig
from paw_bench.envs.alfworld.demonstrator import Goal, Searcher
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.warm_start.config import DemonstrationConfig, SizeConfig, TrainConfig
from paw_bench.warm_start.demonstrations import places_of, play_demonstrations
from paw_bench.warm_start.examples import examples_of, texts_of
from paw_bench.warm_start.tokenizer import build_tokenizer
from paw_bench.warm_start.train import build_model, train

PROMPT = PromptConfig(style="compact")
CONTEXT = ContextConfig(mode="window", turns=1)
CONFIG = DemonstrationConfig(episodes_per_game=1, max_turns=40, noise=(0.0,))


@pytest.mark.parametrize(
    ("task", "goal"),
    [
        ("put a apple in fridge", Goal("apple", "fridge", None, None)),
        ("put some watch on shelf", Goal("watch", "shelf", None, None)),
        ("put a hot egg in countertop", Goal("egg", "countertop", None, "heat")),
        ("put a cool mug in cabinet", Goal("mug", "cabinet", None, "cool")),
        ("clean some tomato and put it in microwave", Goal("tomato", "microwave", None, "clean")),
        ("put two book in bed", Goal("book", "bed", None, None)),
        ("find two pen and put them in desk", Goal("pen", "desk", None, None)),
        ("look at cd under the desklamp", Goal("cd", None, "desklamp", None)),
        ("examine the bowl with the desklamp", Goal("bowl", None, "desklamp", None)),
    ],
)
def test_every_form_of_instruction_is_understood(task, goal):
    assert Goal.parse(task) == goal


def test_another_instruction_is_refused():
    with pytest.raises(ValueError, match="not an ALFWorld instruction"):
        Goal.parse("write a poem")


def test_the_search_begins_anywhere_and_goes_from_place_to_place():
    admissible = ("go to bed 1", "go to desk 1", "go to shelf 1", "look")
    demonstrator = Searcher.start("put a cd in desk", admissible)
    assert demonstrator.choices(admissible) == ("go to bed 1", "go to desk 1", "go to shelf 1")
    demonstrator.read("go to shelf 1", "You arrive at shelf 1. On the shelf 1, you see nothing.")
    # bed 1 follows shelf 1, the last of the list; what is in a desk is where it should be.
    assert demonstrator.choices(("go to bed 1", "go to desk 1", "look")) == ("go to bed 1",)


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    games = GamesConfig(train=24, tune=6, valid_seen=6, valid_unseen=6, max_receptacles=20)
    environment = EnvironmentConfig(games=games, max_turns=CONFIG.max_turns)
    tasks = load_panels(environment, tmp_path_factory.mktemp("cache"))["train"].tasks
    with EnvironmentPool(environment, workers=1, timeout_s=60.0) as pool:
        first, second = (play_demonstrations(pool, environment, tasks, CONFIG, lambda _: None) for _ in range(2))
        noisy = CONFIG.model_copy(update={"noise": (0.3,)})
        mistaken = play_demonstrations(pool, environment, tasks[:6], noisy, lambda _: None)
    assert first == second
    return first, mistaken


def test_the_demonstrator_wins_nearly_all_games_of_all_six_types(demonstrations):
    played, _ = demonstrations
    assert len({demonstration.task_type for demonstration in played}) == 6
    assert sum(demonstration.success for demonstration in played) >= 0.8 * len(played)


def test_mistakes_are_played_but_never_taught(demonstrations):
    _, mistaken = demonstrations
    turns = [turn for demonstration in mistaken for turn in demonstration.turns]
    assert any(turn.played not in turn.choices for turn in turns)
    assert any(turn.observation == "Nothing happens." for turn in turns)
    tokenizer = tokenizer_of(mistaken)
    for demonstration in mistaken:
        for turn, example in zip(
            demonstration.turns, examples_of(demonstration, tokenizer, PROMPT, CONTEXT), strict=True
        ):
            assert tokenizer.decode(example.action_ids, skip_special_tokens=True) in turn.choices
            assert bool(example.observation_ids) == (turn.played in turn.choices)


def tokenizer_of(demonstrations):
    texts = [text for demonstration in demonstrations for text in texts_of(demonstration, PROMPT, CONTEXT)]
    return build_tokenizer(texts, places_of(demonstrations), size=700)


def test_no_demonstrated_command_is_a_single_token(demonstrations):
    played, _ = demonstrations
    tokenizer = tokenizer_of(played)
    commands = {action for demonstration in played for turn in demonstration.turns for action in turn.admissible}
    assert all(len(tokenizer.encode(command, add_special_tokens=False)) > 1 for command in commands)


def test_training_lowers_the_loss_and_asks_for_candidates(demonstrations):
    played, _ = demonstrations
    tokenizer = tokenizer_of(played)
    examples = [example for one in played for example in examples_of(one, tokenizer, PROMPT, CONTEXT)]
    random.Random(0).shuffle(examples)
    model = build_model(SizeConfig(hidden=32, intermediate=64, layers=1, heads=2), tokenizer, seed=0)
    config = TrainConfig(steps=60, batch=8, warmup=5, log_every=10, candidates_from=40, candidates_every=10)
    losses, asked = [], []

    def is_chosen(step: int) -> bool:
        asked.append(step)
        return step == 50

    assert train(model, examples, config, lambda progress: losses.append(progress.action_loss), is_chosen)
    assert asked == [40, 50]
    # Both are running means over some 50 steps.
    assert losses[-1] < 0.85 * losses[0]
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
