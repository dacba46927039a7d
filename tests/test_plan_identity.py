import os
import subprocess
import sys

import orjson
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from paw_bench.config.merge import leaves, merge, nest
from paw_bench.config.messages import all_keys, keys_at
from paw_bench.config.schema import ExperimentConfig, RunConfig
from paw_bench.sweep.identity import LATER_KEYS, canonical_json, hashed_part, run_id, run_ids

GOLDEN = "8ccb1f084505"
"""Run id of the default config. A change here gives every finished run a new name: it needs a new schema version."""

_SCHEMA = ExperimentConfig.model_json_schema()


_SIMPLE = {"boolean": st.booleans(), "null": st.none(), "string": st.text()}


def _node(key):
    node = _SCHEMA
    for part in key:
        node = node["properties"][part]
        if "$ref" in node:
            node = _SCHEMA["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _values(node):
    """Valid values of a field, by its JSON schema."""
    if "anyOf" in node:
        return st.one_of(*map(_values, node["anyOf"]))
    if "const" in node or "enum" in node:
        return st.sampled_from(node.get("enum", [node.get("const")]))
    if node["type"] in _SIMPLE:
        return _SIMPLE[node["type"]]
    if node["type"] == "integer":
        return st.integers(node.get("minimum", 0), 2**40)
    low = node.get("minimum", node.get("exclusiveMinimum", 0.0))
    return st.floats(low, node.get("maximum", 1e6), exclude_min="exclusiveMinimum" in node, allow_nan=False)


LEAVES = [key for key in all_keys(ExperimentConfig) if not keys_at(ExperimentConfig, key)]


@st.composite
def configs(draw):
    delta = {}
    for key in draw(st.lists(st.sampled_from(LEAVES), max_size=5, unique=True)):
        delta = merge(delta, nest(key, draw(_values(_node(key)))))
    try:
        return ExperimentConfig.model_validate(delta)
    except ValidationError:
        assume(False)


@settings(max_examples=300, deadline=None)
@given(configs())
def test_a_config_comes_back_from_json_as_the_same_run(config):
    text = orjson.dumps(RunConfig(experiment=config).model_dump(mode="json"))
    back = RunConfig.model_validate(orjson.loads(text)).experiment
    assert back == config
    assert run_id(back) == run_id(config)


@settings(deadline=None)
@given(configs(), st.lists(st.integers(0, 2**40), max_size=4))
def test_ids_of_many_seeds_are_those_of_one_by_one(config, seeds):
    one_by_one = [run_id(config.model_copy(update={"seed": seed})) for seed in seeds]
    assert run_ids(config.model_dump(), seeds) == one_by_one


@settings(deadline=None)
@given(configs(), configs())
def test_configs_have_one_id_exactly_when_they_are_equal(left, right):
    assert (run_id(left) == run_id(right)) == (left == right)


def test_the_id_of_the_defaults_never_changes():
    assert run_id(ExperimentConfig()) == GOLDEN


def test_a_key_younger_than_the_first_ids_counts_once_it_is_changed():
    ids = {
        run_id(ExperimentConfig.model_validate({"algorithm": section}))
        for section in ({}, {"ppo": {"discount": 0.9}}, {"gigpo": {"discount": 0.9}})
    }
    assert len(ids) == 3
    assert GOLDEN in ids


def test_a_later_key_names_a_new_run_only_where_it_is_used():
    """Ids from before the key was there stand; every key that is left out has a field, at its default."""
    document = ExperimentConfig().model_dump()
    kept = hashed_part(document)
    assert "schedule" not in kept["world_model"]
    assert document == ExperimentConfig().model_dump()
    left_out = {key for key, _ in leaves(document)} - {key for key, _ in leaves(kept)}
    assert left_out == {key for key, _ in leaves(LATER_KEYS)}
    used = ExperimentConfig.model_validate({"world_model": {"schedule": {"every": 2}}})
    assert run_id(used) != GOLDEN


def test_a_whole_number_and_its_float_are_one_run():
    whole = ExperimentConfig.model_validate({"algorithm": {"max_grad_norm": 2}})
    assert run_id(whole) == run_id(ExperimentConfig.model_validate({"algorithm": {"max_grad_norm": 2.0}}))


def test_the_id_is_the_same_in_another_process_with_another_hash_seed():
    code = (
        "from paw_bench.config.schema import ExperimentConfig\n"
        "from paw_bench.sweep.identity import run_id\n"
        "print(run_id(ExperimentConfig()))"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        printed = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert printed.stdout.strip() == GOLDEN


def test_the_canonical_text_of_a_document_never_changes():
    document = {"b": {"y": None, "x": True}, "a": [1e-6, 0.1, 1e16, 1e-5, 2.0, 3], "ü": "é\n"}
    text = '{"a":[1e-06,0.1,1e+16,1e-05,2.0,3],"b":{"x":true,"y":null},"ü":"é\\n"}'
    assert canonical_json(document) == text.encode()


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    document = ExperimentConfig().model_dump()
    assert canonical_json(dict(reversed(document.items()))) == canonical_json(document)
