import json
from pathlib import Path

import pytest

from paw_bench import models
from paw_bench.config.schema import EnvironmentConfig, ModelConfig
from paw_bench.envs.panels import load_panels
from paw_bench.errors import UserError
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.prompts import Dialogue
from paw_bench.warm_start.config import WarmStartConfig
from paw_bench.warm_start.presets import PRESETS
from paw_bench.warm_start.tokenizer import ONE_WORD_COMMANDS


@pytest.fixture(params=[name for name in models.EMBEDDED if name in PRESETS])
def name(request) -> str:
    return request.param


def record_of(name: str) -> dict:
    return json.loads((Path(models.locate(name)) / "warm_start.json").read_text())


def test_a_shipped_model_is_what_its_record_says(name):
    model, tokenizer = models.load(ModelConfig(name=name), "cpu")
    record = record_of(name)
    assert model.config.model_type == "qwen2"
    assert sum(parameter.numel() for parameter in model.parameters()) == record["parameters"]
    assert len(tokenizer) == record["vocabulary"]
    assert WarmStartConfig.model_validate_json(json.dumps(record["config"])) == PRESETS[name]


def test_a_shipped_model_was_chosen_by_its_rule(name):
    record = record_of(name)
    low, high = record["config"]["target_success"]
    *passed_over, (_, chosen) = record["tune"]
    assert low <= chosen <= high
    assert not any(low <= success <= high for _, success in passed_over)


def test_no_token_of_a_shipped_tokenizer_spans_a_command(name):
    _, tokenizer = models.load(ModelConfig(name=name), "cpu")
    commands = [*ONE_WORD_COMMANDS, "go to cabinet 1", "open fridge 1", "take apple 1 from fridge 1", "use desklamp 1"]
    assert all(len(tokenizer.encode(command, add_special_tokens=False)) > 1 for command in commands)
    strange = "Grüße, 世界!\ttab"
    assert tokenizer.decode(tokenizer.encode(strange, add_special_tokens=False)) == strange


@pytest.mark.parametrize("name", ["embedded", "embedded-small"])
def test_a_shipped_model_reads_its_own_prompt_form(name):
    _, tokenizer = models.load(ModelConfig(name=name), "cpu")
    config = PRESETS[name]
    codec = TurnCodec(tokenizer, config.prompt, config.context)
    dialogue = Dialogue("You are in a room.\n\nYour task is to: put a apple in fridge.", ("go to fridge 1", "look"))
    ids = codec.window_ids(dialogue)
    assert len(ids) < config.context.max_prompt_tokens
    assert tokenizer.decode(ids).startswith("<|user|>put a apple in fridge\ngo to fridge 1\n")


def test_the_shipped_models_are_small():
    folders = [Path(models.locate(name)) for name in models.EMBEDDED]
    assert all(sum(file.stat().st_size for file in folder.iterdir()) < 4.5e6 for folder in folders)


def test_training_games_of_the_record_are_no_valid_games(tmp_path):
    """The games of the warm start are those of the embedded scale; panels share none (tests of the panels)."""
    panels = load_panels(EnvironmentConfig(games=PRESETS["embedded"].demonstrations.games), tmp_path)
    assert record_of("embedded")["panels"] == {name: panels[name].sha256 for name in ("train", "tune")}
    valid = {task.task_id for name in ("valid_seen", "valid_unseen") for task in panels[name].tasks}
    assert not valid & {task.task_id for name in ("train", "tune") for task in panels[name].tasks}


@pytest.mark.parametrize("missing", ["/no/such/folder", "no-such/model"])
def test_a_model_that_is_not_there_is_refused_with_a_remedy(missing):
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        models.load(ModelConfig(name=missing), "cpu")
    assert "embedded" in caught.value.remedy
