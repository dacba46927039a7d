"""The variants as resolved settings and in training, and that nothing but the settings knows them."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
import torch
from training_data import make_trainer, parameters, run_config, tiny_model

import paw_bench.training
import paw_bench.world_model
from paw_bench.config.presets import presets
from paw_bench.config.world_model import WorldModelConfig

PAW = {
    "enabled": True,
    "selection": {"score": "entropy", "alpha": 0.75},
    "loss": {"kind": "cmae", "rho": 0.2, "q": 0.7, "normaliser": "transition"},
    "balance": {
        "kind": "reward_adaptive",
        "value": None,
        "final": None,
        "max_return": None,
        "include_penalty": False,
        "over": "group",
    },
    "targets": "true",
    "admissible_in_target": False,
    "max_target_tokens": None,
    "inverse_dynamics": False,
    "schedule": {"every": 1, "separate": False, "rl_term": True},
}
ALL = {"score": "none", "alpha": 1.0}


def constant(value):
    return PAW["balance"] | {"kind": "constant", "value": value}


CE = PAW | {"selection": ALL, "loss": PAW["loss"] | {"kind": "ce"}}
ECHO = CE | {"loss": CE["loss"] | {"normaliser": "sequence"}, "balance": constant(0.05)}
SETTINGS = {
    "none": PAW | {"enabled": False},
    "paw": PAW,
    "echo": ECHO,
    "echo_env_only": ECHO | {"schedule": PAW["schedule"] | {"rl_term": False}},
    "tapo": CE | {"balance": constant(1.0), "schedule": PAW["schedule"] | {"every": 4, "separate": True}},
    "envrl": CE | {"balance": constant(0.2), "inverse_dynamics": True},
    "shuffled": PAW | {"targets": "shuffled"},
    "random_tokens": PAW | {"targets": "random_tokens"},
}
"""What every key of each preset comes to (papers: shared facts of docs/method.md)."""


def test_every_preset_resolves_to_the_settings_of_its_paper():
    assert {name: WorldModelConfig.model_validate(changes).model_dump() for name, changes in presets().items()} == (
        SETTINGS
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_four_updates_of_every_preset_train_what_it_says(tmp_path, name):
    """`tapo` is the plain algorithm until its fourth update; the others differ from it from the first one on."""

    def trained(preset):
        model, records, states = tiny_model(), [], []
        config = run_config(world_model=presets()[preset], updates=4)
        trainer = make_trainer(config, model, tmp_path, on_update=lambda record, _: records.append(record))
        for update in range(1, 5):
            trainer.train_to(update)
            states.append(parameters(model))
        return states, records

    (plain, _), (states, records) = trained("none"), trained(name)
    equal = [torch.equal(one, other) for one, other in zip(plain, states, strict=True)]
    expected = {"none": [True] * 4, "tapo": [True] * 3 + [False]}.get(name, [False] * 4)
    assert equal == expected
    weights = [record["wm"]["weight"] for record in records]
    lambdas = {"none": [0.0] * 4, "tapo": [0, 0, 0, 1.0], "echo": [0.05] * 4, "echo_env_only": [0.05] * 4,
               "envrl": [0.2] * 4}  # fmt: skip
    assert weights == pytest.approx(lambdas.get(name, [1 - record["success"] for record in records]))
    assert all(state.isfinite().all() for state in states)


def _texts(tree):
    """Strings that are no documentation."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


@pytest.mark.parametrize("package", [paw_bench.training, paw_bench.world_model], ids=lambda package: package.__name__)
def test_no_trainer_knows_a_variants_name(package):
    """`none` and the two control targets are also values of settings, which is how the trainers see them."""
    names = set(SETTINGS) - {"none", "shuffled", "random_tokens"}
    for path in Path(package.__path__[0]).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not names & set(_texts(tree)), path
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert "paw_bench.config.presets" not in imported, path
        assert not any(isinstance(node, ast.Attribute) and node.attr == "preset" for node in ast.walk(tree)), path


def test_every_function_of_the_method_says_where_its_formula_is_from():
    """A section of the paper (PaW section "..."), another paper by its arXiv number, or that it is ours."""
    for module in iter_modules(paw_bench.world_model.__path__, "paw_bench.world_model."):
        for name, function in inspect.getmembers(import_module(module.name), inspect.isfunction):
            if function.__module__ == module.name and not name.startswith("_"):
                assert re.search(r'PaW section "|arXiv \d{4}\.\d{5}|\bours\b', function.__doc__), (
                    f"{module.name}.{name}"
                )
