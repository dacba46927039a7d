"""Demonstrators beyond ALFWorld: they win by reading, equal text gives equal actions, mistakes do not stop them."""

import pytest

from paw_bench.config.load import load_experiment_file
from paw_bench.config.resources import shipped
from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.definition import Definition
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.envs.protocol import StepResult, Task
from paw_bench.envs.search_qa.demonstrator import Researcher
from paw_bench.envs.textworld.demonstrator import Wanderer
from paw_bench.envs.webshop.definition import WEBSHOP
from paw_bench.envs.webshop.demonstrator import Shopper
from paw_bench.errors import UserError
from paw_bench.models import EMBEDDED
from paw_bench.rollout.prompts import window_prompt
from paw_bench.warm_start.demonstrations import play_demonstrations
from paw_bench.warm_start.examples import examples_of, texts_of
from paw_bench.warm_start.presets import PRESETS
from paw_bench.warm_start.tokenizer import build_tokenizer

TEXT = {"embedded-webshop": 0.6, "embedded-search-qa": 0.95}
"""Model -> how often its demonstrator wins at least, without mistakes."""


@pytest.fixture(scope="module", params=TEXT)
def played(request):
    """(preset, demonstrations without mistakes, with many)."""
    preset = PRESETS[request.param]
    environment = preset.demonstrations.played()
    tasks = load_panels(environment)["train"].tasks[:40]
    found = []
    with EnvironmentPool(environment, workers=1, timeout_s=60.0) as pool:
        for noise in (0.0, 0.3):
            config = preset.demonstrations.model_copy(update={"noise": (noise,), "episodes_per_game": 1})
            found.append(play_demonstrations(pool, environment, tasks, config, lambda _: None))
    return preset, *found


def test_the_demonstrator_wins_by_reading(played):
    preset, clean, _ = played
    assert sum(demonstration.success for demonstration in clean) >= TEXT[preset.name] * len(clean)


def test_mistakes_are_played_and_survived(played):
    _, _, mistaken = played
    turns = [turn for demonstration in mistaken for turn in demonstration.turns]
    assert any(turn.played not in turn.choices for turn in turns)
    recovered = [one for one in mistaken if one.success and any(turn.played not in turn.choices for turn in one.turns)]
    assert recovered


def test_what_the_policy_reads_decides_what_is_demonstrated(played):
    """Equal prompts, equal choices: else there would be something to clone that the prompt does not hold."""
    preset, clean, _ = played
    chosen: dict[str, set] = {}
    for demonstration in clean:
        dialogue = demonstration.dialogue()
        for turn in demonstration.turns:
            prompt = window_prompt(dialogue, preset.prompt, preset.context.turns)
            chosen.setdefault(prompt, set()).add(turn.choices)
            dialogue.answer(turn.played, turn.observation, turn.admissible)
    assert all(len(choices) == 1 for choices in chosen.values())


def test_actions_and_prompts_fit_the_context(played):
    preset, clean, mistaken = played
    both = [*clean, *mistaken]
    texts = [text for demonstration in both for text in texts_of(demonstration, preset.prompt, preset.context)]
    tokenizer = build_tokenizer(texts, {}, preset.vocabulary, preset.tokenizer)
    for demonstration in both:
        examples = examples_of(demonstration, tokenizer, preset.prompt, preset.context)
        for turn, example in zip(demonstration.turns, examples, strict=True):
            assert len(example.prompt_ids) <= preset.context.max_prompt_tokens
            assert len(example.action_ids) <= preset.context.max_response_tokens
            assert tokenizer.decode(example.action_ids, skip_special_tokens=True) in turn.choices


def test_a_wanderer_goes_on_and_comes_back_from_a_dead_end():
    wanderer = Wanderer("retrieve the coin from the floor of the kitchenette")
    assert wanderer.choices(("go east", "go north", "look")) == ("go east", "go north")
    wanderer.read("go north", "-= Vault =-\nA vault.")
    assert wanderer.choices(("go east", "go south", "look")) == ("go east",)
    assert wanderer.choices(("go south", "look")) == ("go south",)
    assert wanderer.choices(("go south", "open chest", "look")) == ("open chest",)
    assert wanderer.choices(("go south", "take coin", "take book")) == ("take coin",)
    wanderer.read("go west", "That is not possible here.")
    assert wanderer.choices(("go east", "go south", "look")) == ("go east", "go south")


def test_a_shopper_understands_an_instruction():
    what = "a men's hoodie that is elastic waist and hand wash, color dark grey, size xx-large"
    shopper = Shopper.start(f"i need {what}, and price lower than 60.00 dollars")
    assert (shopper.query, shopper.options) == ("men's hoodie elastic waist hand wash", ("dark grey", "xx-large"))
    assert shopper.limit == 60.0
    assert Shopper.start("find me a granola that is vegan, and price lower than 5.00 dollars").options == ()
    with pytest.raises(ValueError, match="no instruction"):
        Shopper.start("write a poem")


def test_a_researcher_follows_the_documents_and_answers_in_time():
    reader = Researcher.start("In which country was Ba Lu born?", turns=4)
    assert reader.choices(()) == ("search[Ba Lu]",)
    reader.read("search[nothing]", "Doc 1 (Title: Or Ne) Or Ne (born 1900 in Za) is a judge.")
    assert reader.choices(()) == ("search[Ba Lu]",)
    reader.read("search[Ba Lu]", "Doc 1 (Title: Ba Lu) Ba Lu is a judge. Born in Ko in 1900, Ba Lu is employed by X.")
    assert reader.choices(()) == ("search[Ko]",)
    reader.read("x", "That was no action.")
    assert reader.choices(()) == ("answer[Ko]",)  # the last turn
    with pytest.raises(ValueError, match="no question"):
        Researcher.start("Why?", turns=4)


def test_an_environment_without_a_demonstrator_says_so():
    opening = StepResult("", (), 0.0, False, False, True)
    with pytest.raises(UserError, match="'webshop' has no demonstrator"):
        Definition.demonstrator(WEBSHOP, EnvironmentConfig(name="webshop"), Task("a", "b", "0"), opening)


@pytest.mark.parametrize("name", [name for name in PRESETS if name in EMBEDDED and name != "embedded-small"])
def test_scale_embedded_plays_what_the_start_was_made_for(name, tmp_path):
    preset = PRESETS[name]
    environment = preset.demonstrations.environment
    chosen = (f"environment.name={environment}",)
    file = load_experiment_file(shipped() / "experiments" / "ablations.yaml", scale="embedded", overrides=chosen)
    config = file.resolve("grpo", {})
    assert config.model.name == name
    assert config.environment.model_copy(update={"success_reward": 10.0, "invalid_action_penalty": 0.1}) == (
        preset.demonstrations.played()
    )
    assert (config.prompt, config.context) == (preset.prompt, preset.context)
