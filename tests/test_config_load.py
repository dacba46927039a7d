import pytest
from experiment_files import ARMS, HEAD, SEEDS, load, refused, write

from paw_bench.config.load import load_experiment_file
from paw_bench.errors import ConfigError

FULL = HEAD + ARMS + SEEDS


def test_layers_lie_on_each_other_in_the_promised_order(tmp_path):
    write(
        tmp_path,
        "schema_version: 1\nexperiment: { algorithm: { groups: 2, group_size: 2, epochs: 2 } }\n",
        "scales/tiny.yaml",
    )
    text = (
        "schema_version: 1\nscale: tiny\n"
        "base: { algorithm: { group_size: 3, epochs: 3 }, training: { updates: 3 }, model: { name: base } }\n"
        "arms:\n  a: {}\n  b: { algorithm: { epochs: 4 }, model: { name: arm } }\n"
        "axes: { training.updates: [5, 6] }\nseeds: [0]\n"
    )
    file = load(tmp_path, text, "model.name=set")
    config = file.resolve("b", {"training.updates": 6})
    assert config.algorithm.optimizer_steps == 4, "from the schema"
    assert config.algorithm.groups == 2, "from the scale"
    assert config.algorithm.group_size == 3, "the base over the scale"
    assert config.algorithm.epochs == 4, "the arm over the base"
    assert config.training.updates == 6, "the axis over the arm"
    assert config.model.name == "set", "--set over everything"


def test_what_is_left_out_has_defaults(tmp_path):
    file = load(tmp_path, FULL)
    assert file.name == "mine"
    assert file.sweep_name == "mine-embedded"
    assert file.reference == "grpo"
    assert file.comparisons == (("paw", "grpo"),)
    assert file.seeds == (0, 1)
    assert file.text == FULL


def test_a_scale_beside_the_file_comes_before_the_shipped_one(tmp_path):
    write(tmp_path, "schema_version: 1\nexperiment: { training: { updates: 7 } }\n", "scales/embedded.yaml")
    file = load(tmp_path, FULL)
    assert file.resolve("grpo", {}).training.updates == 7
    assert load(tmp_path, FULL, scale="smoke").resolve("grpo", {}).training.updates == 2


def test_execution_layers(tmp_path):
    file = load(tmp_path, FULL + "execution: { threads: 3, max_attempts: 9 }\n", "execution.threads=5")
    assert (file.execution.threads, file.execution.max_attempts) == (5, 9)


def test_names_that_are_hostile_to_files_and_latex_are_allowed(tmp_path):
    names = ["paw - 50 % & $x_1$", "../../etc", "a/b\\c", "schön", "null"]
    arms = "".join(f"  '{name}': {{ algorithm: {{ groups: {n + 2} }} }}\n" for n, name in enumerate(names))
    file = load(tmp_path, f"{HEAD}arms:\n  ref: {{}}\n{arms}{SEEDS}")
    assert list(file.arms) == ["ref", *names]


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        (f"scale: embedded\n{ARMS}{SEEDS}", None, "schema_version", "this key is missing"),
        (f"schema_version: 2\nscale: embedded\n{ARMS}{SEEDS}", 1, "schema_version", "reads version 1"),
        (f"schema_version: true\nscale: embedded\n{ARMS}{SEEDS}", 1, "schema_version", "reads version 1"),
        (f"schema_version: 1\n{ARMS}{SEEDS}", None, "scale", "this key is missing"),
        (f"schema_version: 1\nscale: embeded\n{ARMS}{SEEDS}", 2, "scale", "did you mean 'embedded'?"),
        (f"{HEAD}amrs: {{}}\n{ARMS}{SEEDS}", 3, "amrs", "did you mean 'arms'?"),
        (f"{HEAD}{ARMS}", None, "seeds", "this key is missing"),
        (f"{HEAD}{ARMS}seeds: []\n", 6, "seeds", "the list is empty"),
        (f"{HEAD}{ARMS}seeds: [0, 1, 0]\n", 6, "seeds", "the seed 0 is there twice"),
        (f"{HEAD}{ARMS}seeds: [-1]\n", 6, "seeds[0]", "out of range"),
        (f"{HEAD}{ARMS}seeds: [1.0]\n", 6, "seeds[0]", "wrong type"),
        (f"{HEAD}{ARMS}seeds: 3\n", 6, "seeds", "wrong type"),
        (f"{HEAD}arms: {{}}\n{SEEDS}", 3, "arms", "there is no arm"),
        (f"{HEAD}arms: [grpo]\n{SEEDS}", 3, "arms", "wrong type"),
        (f"{HEAD}arms:\n  a: {{}}\n  b: paw\n{SEEDS}", 5, "arms.b", "wrong type"),
        (f"{HEAD}arms:\n  a: {{}}\n  b: {{}}\n{SEEDS}", 5, "arms.b", "changes nothing against the base"),
        (f"{HEAD}arms:\n  a: {{}}\n  b:\n{SEEDS}", 5, "arms.b", "changes nothing against the base"),
        (f"{HEAD}arms:\n  a: {{}}\n  b: {{ world_model: none }}\n{SEEDS}", 5, "arms.b", "against the reference 'a'"),
        (
            f"{HEAD}{ARMS}  two: {{ world_model: {{ preset: paw }} }}\n{SEEDS}",
            6,
            "arms.two",
            "same settings as the arm 'paw'",
        ),
        (f"{HEAD}arms:\n  ' ': {{}}\n{SEEDS}", 4, "arms. ", "the name is empty"),
        (f'{HEAD}arms:\n  "a\\nb": {{}}\n{SEEDS}', 4, "arms.a\nb", "cannot be printed"),
        (f"{HEAD}{ARMS}  x: {{ seed: 4 }}\n{SEEDS}", 6, "arms.x.seed", "use `seeds`"),
        (f"{HEAD}{ARMS}reference: gpro\n{SEEDS}", 6, "reference", "did you mean 'grpo'?"),
        (f"{HEAD}{ARMS}comparisons: [[paw, grop]]\n{SEEDS}", 6, "comparisons[0]", "did you mean 'grpo'?"),
        (f"{HEAD}{ARMS}comparisons: [[paw, paw]]\n{SEEDS}", 6, "comparisons[0]", "compared with itself"),
        (f"{HEAD}{ARMS}comparisons: [[paw, grpo], [paw, grpo]]\n{SEEDS}", 6, "comparisons[1]", "there twice"),
        (f"{HEAD}{ARMS}comparisons: [[paw]]\n{SEEDS}", 6, "comparisons[0]", "wrong number of items"),
        (f"{HEAD}{ARMS}axes: {{ algorithm.groups: [] }}\n{SEEDS}", 6, "axes.algorithm.groups", "the list is empty"),
        (f"{HEAD}{ARMS}axes: {{ algorithm.groups: [4, 4] }}\n{SEEDS}", 6, "axes.algorithm.groups", "4 is there twice"),
        (f"{HEAD}{ARMS}axes: {{ algorithm.groups: [4, 0] }}\n{SEEDS}", 6, "axes.algorithm.groups[1]", "out of range"),
        (f"{HEAD}{ARMS}axes: {{ algorithm.gruops: [4] }}\n{SEEDS}", 6, "axes.algorithm.gruops[0]", "'groups'?"),
        (f"{HEAD}{ARMS}axes: {{ seed: [4] }}\n{SEEDS}", 6, "axes.seed", "seeds are no axis"),
        (f"{HEAD}{ARMS}axes: {{ execution.threads: [4] }}\n{SEEDS}", 6, "axes.execution.threads", "another run"),
        (
            f"{HEAD}{ARMS}axes: {{ world_model: [paw, echo] }}\n{SEEDS}",
            6,
            "axes.world_model",
            "'paw' sets this key too",
        ),
        (f"{HEAD}{ARMS}{SEEDS}name: a/b\n", 7, "name", "not allowed here"),
        (f"{HEAD}{ARMS}{SEEDS}execution: {{ thread: 2 }}\n", 7, "execution.thread", "did you mean 'threads'?"),
        (f"{HEAD}{ARMS}{SEEDS}execution: {{ device: cuda }}\n", 7, "gpus", "needs at least one GPU"),
        (f"{HEAD}{ARMS}  paw: {{ world_model: echo }}\n{SEEDS}", 6, "arms.paw", "'paw' is written twice"),
    ],
)
def test_a_bad_file_is_refused_where_it_is_bad(tmp_path, text, line, key, words):
    error = refused(tmp_path, text)
    assert words in str(error)
    assert error.key == key
    if line is not None:
        assert error.file == f"{tmp_path / 'mine.yaml'}:{line}"


@pytest.mark.parametrize(
    ("delta", "key", "words"),
    [
        ("{ world_model: shuffled, context: { mode: full } }", "world_model.targets", "set context.mode to 'window'"),
        (
            "{ world_model: { preset: paw, selection: { score: none } } }",
            "world_model.selection.alpha",
            "set alpha to 1.0",
        ),
        (
            "{ world_model: { preset: paw, balance: { kind: constant } } }",
            "world_model.balance.value",
            "needs a lambda",
        ),
        ("{ world_model: { preset: paw, balance: { value: 0.5 } } }", "world_model.balance.value", "no fixed lambda"),
        (
            "{ world_model: { preset: paw, balance: { kind: linear, value: 0.5 } } }",
            "world_model.balance.final",
            "needs the last update's lambda",
        ),
        (
            "{ world_model: { preset: echo, balance: { final: 0.1 } } }",
            "world_model.balance.final",
            "set final to null",
        ),
        (
            "{ world_model: { preset: tapo, schedule: { rl_term: false } } }",
            "world_model.schedule.rl_term",
            "set every to 1",
        ),
        (
            "{ world_model: envrl, context: { mode: full } }",
            "world_model.inverse_dynamics",
            "set context.mode to 'window'",
        ),
        (
            "{ world_model: { preset: paw, admissible_in_target: true }, prompt: { admissible: false } }",
            "world_model.admissible_in_target",
            "set prompt.admissible to true",
        ),
        ("{ rollout: { temperature: 0.7 } }", "rollout.temperature", "set rollout.temperature to 1.0"),
        ("{ algorithm: { group_size: 1 } }", "algorithm.group_size", "set group_size to 2 or more, or name to 'ppo'"),
        ("{ algorithm: { groups: 1, group_size: 3 } }", "algorithm.optimizer_steps", "set it to at most 3"),
        ("{ algorithm: { name: ppo, groups: 1, group_size: 1 } }", "algorithm.groups", "set groups to 2 or more"),
        ("{ algorithm: { name: gigpo } }", "algorithm.scale_advantages", "set it to 'group' or 'none'"),
        (
            "{ algorithm: { name: rloo, scale_advantages: group } }",
            "algorithm.scale_advantages",
            "set it to 'none' or 'batch'",
        ),
        ("{ evaluation: { games: 141 } }", "evaluation.games", "has only 140 games"),
    ],
)
def test_an_impossible_combination_names_the_arm_and_its_line(tmp_path, delta, key, words):
    error = refused(tmp_path, f"{HEAD}arms:\n  grpo: {{}}\n  bad: {delta}\n{SEEDS}")
    assert error.file == f"{tmp_path / 'mine.yaml'}:5"
    assert error.key == key
    assert "in arm 'bad'" in str(error)
    assert words in str(error)


def test_an_impossible_combination_is_blamed_on_the_layer_that_made_it(tmp_path):
    text = f"{HEAD}arms:\n  grpo: {{}}\n  control: {{ world_model: shuffled }}\n{SEEDS}"
    assert refused(tmp_path, text, "context.mode=full").file == "--set"


def test_an_arm_may_need_an_axis_to_be_possible(tmp_path):
    arm = "{ world_model: { preset: paw, balance: { kind: constant } } }"
    axis = "axes: { world_model.balance.value: [0.1, 0.5] }\n"
    file = load(tmp_path, f"{HEAD}arms:\n  fixed: {arm}\n{axis}{SEEDS}")
    values = [file.resolve("fixed", point).world_model.balance.value for point in file.points()]
    assert values == [0.1, 0.5]


def test_a_file_name_that_cannot_name_a_folder_needs_a_name(tmp_path):
    path = write(tmp_path, FULL, "my experiment.yaml")
    with pytest.raises(ConfigError, match="write `name:`"):
        load_experiment_file(path)
    path.write_text(FULL + "name: mine\n")
    assert load_experiment_file(path).name == "mine"


def test_a_bad_scale_file_is_refused_with_its_own_name(tmp_path):
    path = write(tmp_path, "schema_version: 1\nexperiment: { training: { update: 7 } }\n", "scales/odd.yaml")
    error = refused(tmp_path, FULL, scale="odd")
    assert error.file == f"{path}:2"
    assert error.key == "experiment.training.update"


def test_a_missing_file_is_met_with_init(tmp_path):
    with pytest.raises(ConfigError, match="paw-bench init"):
        load_experiment_file(tmp_path / "none.yaml")
