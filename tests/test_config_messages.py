import string

import pytest
from experiment_files import ARMS, HEAD, SEEDS, refused
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from paw_bench.config.layers import Origin, make_layer
from paw_bench.config.merge import nest
from paw_bench.config.messages import all_keys, keys_at
from paw_bench.config.schema import ExecutionConfig, ExperimentConfig
from paw_bench.config.yaml_reader import Document
from paw_bench.errors import ConfigError

KEYS = [(model, key) for model in (ExperimentConfig, ExecutionConfig) for key in all_keys(model)]


@st.composite
def misspellings(draw):
    """(model, section, right key, the key with one letter lost, added, changed, or two swapped)."""
    model, (*section, key) = draw(st.sampled_from(KEYS))
    at = draw(st.integers(0, len(key) - 1))
    letter = draw(st.sampled_from(string.ascii_lowercase))
    swapped = key[:at] + key[at + 1 : at + 2] + key[at] + key[at + 2 :]
    wrong = draw(
        st.sampled_from(
            [key[:at] + key[at + 1 :], key[:at] + letter + key[at:], key[:at] + letter + key[at + 1 :], swapped]
        )
    )
    # Of a key of one letter nothing is left to recognise it by: the message lists the keys.
    assume(len(key) > 1 and wrong not in keys_at(model, tuple(section)))
    return model, tuple(section), key, wrong


def _edits(a: str, b: str) -> int:
    """Letters to change, add or drop, or neighbours to swap, to get from one word to the other."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, start=1):
        rows.append([i])
        for j, y in enumerate(b, start=1):
            best = min(rows[-2][j] + 1, rows[-1][j - 1] + 1, rows[-2][j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, rows[-3][j - 2] + 1)
            rows[-1].append(best)
    return rows[-1][-1]


@settings(max_examples=400)
@example((ExperimentConfig, ("algorithm",), "ppo", "gpo"))
@example((ExperimentConfig, ("algorithm",), "ppo", "popo"))
@given(misspellings())
def test_every_key_that_is_one_letter_off_is_met_with_a_near_one(misspelt):
    model, section, right, wrong = misspelt
    with pytest.raises(ConfigError) as caught:
        make_layer(nest((*section, wrong), 1), Origin(Document("f", None)), model)
    message = str(caught.value)
    assert f"unknown key {wrong!r}: did you mean " in message
    suggested = message.partition("did you mean '")[2].partition("'")[0]
    assert suggested == right or _edits(suggested, wrong) <= 1


def test_the_message_of_the_issue(tmp_path):
    text = f"{HEAD}arms:\n  grpo: {{}}\n  paw:\n    world_model:\n      selection:\n        aplha: 0.5\n{SEEDS}"
    error = refused(tmp_path, text)
    assert error.file == f"{tmp_path / 'mine.yaml'}:8"
    assert error.key == "arms.paw.world_model.selection.aplha"
    assert error.value == 0.5
    assert "unknown key 'aplha': did you mean 'alpha'?" in str(error)
    assert error.remedy == "keys here: score, alpha"


@pytest.mark.parametrize(
    ("base", "meant"),
    [
        ("{ learning_rate: 1e-4 }", "algorithm.learning_rate"),
        ("{ algorithm: { aplha: 0.5 } }", "world_model.selection.alpha"),
        ("{ model: { max_turn: 5 } }", "environment.max_turns"),
    ],
)
def test_a_key_in_the_wrong_section_is_pointed_to_the_right_one(tmp_path, base, meant):
    assert f"did you mean '{meant}'?" in str(refused(tmp_path, f"{HEAD}base: {base}\n{ARMS}{SEEDS}"))


def test_a_dotted_key_in_a_delta_is_pointed_to_nesting(tmp_path):
    error = refused(tmp_path, f"{HEAD}base: {{ algorithm.learning_rate: 1e-4 }}\n{ARMS}{SEEDS}")
    assert "write nested sections" in error.remedy


@pytest.mark.parametrize(
    ("delta", "key", "value", "words"),
    [
        ("world_model: {selection: {alpha: 1.5}}", "world_model.selection.alpha", 1.5, "above 0 and at most 1"),
        ("world_model: {selection: {alpha: 0}}", "world_model.selection.alpha", 0, "above 0 and at most 1"),
        ("world_model: {loss: {kind: cmea}}", "world_model.loss.kind", "cmea", "did you mean 'cmae'?"),
        ("algorithm: {groups: 2.0}", "algorithm.groups", 2.0, "give a whole number, at least 1"),
        ("algorithm: {groups: true}", "algorithm.groups", True, "give a whole number"),
        ("algorithm: {learning_rate: '1e-4'}", "algorithm.learning_rate", "1e-4", "without quotes"),
        ("algorithm: {learning_rate: fast}", "algorithm.learning_rate", "fast", "give a number, above 0"),
        ("algorithm: {learning_rate: .inf}", "algorithm.learning_rate", float("inf"), "give a number"),
        ("algorithm: {group_size: 0}", "algorithm.group_size", 0, "at least 1"),
        ("algorithm: {name: ppo2}", "algorithm.name", "ppo2", "did you mean 'ppo'?"),
        ("algorithm: 3", "algorithm", 3, "a section with the keys name, groups"),
        ("algorithm:", "algorithm", None, "a section with the keys name, groups"),
        ("rollout: {deterministic: yes}", "rollout.deterministic", "yes", "give true or false"),
        ("rollout: {deterministic: 1}", "rollout.deterministic", 1, "give true or false"),
        ("model: {name: 7}", "model.name", 7, "give a text, in quotes"),
        ("environment: {games: {max_receptacles: 0}}", "environment.games.max_receptacles", 0, "at least 1, or null"),
        ("seed: 3", "seed", 3, "list them under `seeds`"),
        ("world_model: pwa", "world_model", "pwa", "did you mean 'paw'?"),
        ("world_model: {preset: 5}", "world_model.preset", 5, "give one of none, paw, echo"),
        ("world_model:", "world_model", None, "give one of none, paw, echo"),
    ],
)
def test_a_bad_value_is_refused_with_line_key_value_and_remedy(tmp_path, delta, key, value, words):
    error = refused(tmp_path, f"{HEAD}base:\n  {delta}\n{ARMS}{SEEDS}")
    assert error.file == f"{tmp_path / 'mine.yaml'}:4"
    assert error.key == f"base.{key}"
    assert error.value == value
    assert words in str(error)


def test_an_infinite_bound_never_reaches_a_run():
    with pytest.raises(ConfigError, match="is out of range"):
        make_layer({"algorithm": {"max_grad_norm": float("nan")}}, Origin(Document("f", None)), ExperimentConfig)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(number=st.integers(1, 10**6))
def test_a_whole_number_is_a_number(tmp_path, number):
    layer = make_layer({"algorithm": {"max_grad_norm": number}}, Origin(Document("f", None)), ExperimentConfig)
    assert layer.delta == {"algorithm": {"max_grad_norm": number}}
    assert ExperimentConfig.model_validate(layer.delta).algorithm.max_grad_norm == float(number)
