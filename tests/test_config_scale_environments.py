"""What a scale says of one environment holds in the runs that play it, and in no other."""

import pytest
from experiment_files import HEAD, ROOT, SCALES, SEEDS, load, refused, write

from paw_bench.config.load import load_experiment_file
from paw_bench.sweep.plan import plan

SCALE = """schema_version: 1
experiment: { model: { name: general }, environment: { name: alfworld, max_turns: 20 } }
environments:
  webshop:
    model: { name: shopper }
    environment: { options: { products: 160 }, max_turns: 7 }
    evaluation: { panel: test }
"""
ONE = HEAD.replace("embedded", "own") + "arms: { grpo: {} }\n" + SEEDS


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "scales", SCALE, "own.yaml")
    return tmp_path


def config_of(file, arm="grpo"):
    return file.resolve(arm, file.first_point)


def test_it_is_there_where_the_environment_is_played(folder):
    for chosen in (
        load(folder, ONE, "environment.name=webshop"),
        load(folder, ONE + "base: { environment: { name: webshop } }\n"),
        load(folder, ONE + "axes: { environment.name: [webshop, alfworld] }\n"),
    ):
        config = config_of(chosen)
        assert (config.model.name, config.evaluation.panel) == ("shopper", "test")
        assert (config.environment.options["products"], config.environment.max_turns) == (160, 7)


def test_it_is_absent_elsewhere(folder):
    config = config_of(load(folder, ONE))
    assert (config.model.name, config.environment.options, config.environment.max_turns) == ("general", {}, 20)


def test_the_experiment_lies_above_it(folder):
    text = ONE + "base: { model: { name: mine }, environment: { name: webshop, options: { products: 80 } } }\n"
    config = config_of(load(folder, text, "environment.max_turns=3"))
    assert (config.model.name, config.environment.options["products"], config.environment.max_turns) == ("mine", 80, 3)


def test_an_axis_of_environments_brings_each_its_own(folder):
    planned = plan(load(folder, ONE + "axes: { environment.name: [alfworld, webshop] }\n"))
    models = {run.axes["environment.name"]: run.config.experiment.model.name for run in planned.runs}
    assert models == {"alfworld": "general", "webshop": "shopper"}
    alone = plan(load(folder, ONE))
    assert {run.run_id for run in alone.runs} < {run.run_id for run in planned.runs}


def test_an_arm_may_be_another_environment(folder):
    text = ONE.replace("grpo: {}", "grpo: {}, shop: { environment: { name: webshop } }")
    changes = plan(load(folder, text)).changes["shop"]
    assert changes["model.name"] == ("general", "shopper")


def test_mistakes_in_it_are_refused_at_their_line(folder):
    write(folder / "scales", SCALE.replace("max_turns: 7", "max_turn: 7"), "own.yaml")
    error = refused(folder, ONE)
    assert error.key == "environments.webshop.environment.max_turn"
    assert error.file.endswith("own.yaml:6")
    write(folder / "scales", SCALE.replace("webshop:", "webshopp:"), "own.yaml")
    assert "did you mean 'webshop'?" in str(refused(folder, ONE))
    write(folder / "scales", SCALE.replace("products:", "product:"), "own.yaml")
    assert "product" in str(refused(folder, ONE, "environment.name=webshop"))


def test_every_shipped_scale_names_all_other_environments():
    for scale in SCALES:
        file = load_experiment_file(ROOT / "experiments" / "ablations.yaml", scale=scale)
        assert set(file.environments) == {"webshop", "search_qa", "textworld"}


def test_set_keeps_some_values_of_an_axis(folder):
    text = ONE + "axes: { environment.name: [alfworld, webshop, textworld] }\n"
    for asked, kept in (("webshop", ["webshop"]), ("textworld,alfworld", ["alfworld", "textworld"])):
        file = load(folder, text, f"axes.environment.name={asked}")
        assert list(file.axes[0].values) == kept
        assert [config_of(file).environment.name] == kept[:1]
    assert "values: alfworld, webshop, textworld" in str(refused(folder, text, "axes.environment.name=webshopp"))
    assert "axes: environment.name" in str(refused(folder, text, "axes.model.name=webshop"))
