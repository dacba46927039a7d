import pytest
from experiment_files import ARMS, HEAD, SEEDS, load, refused

TEXT = f"{HEAD}{ARMS}  echo: {{ world_model: echo }}\ncomparisons: [[paw, grpo], [echo, paw]]\n{SEEDS}"


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("algorithm.learning_rate=3e-4", lambda c: c.algorithm.learning_rate, 3e-4),
        ("algorithm.max_grad_norm=2", lambda c: c.algorithm.max_grad_norm, 2.0),
        ("evaluation.games=null", lambda c: c.evaluation.games, None),
        ("model.name=a=b", lambda c: c.model.name, "a=b"),
        ("model={name: x}", lambda c: c.model.name, "x"),
    ],
)
def test_a_value_is_read_as_yaml(tmp_path, override, read, value):
    assert read(load(tmp_path, TEXT, override).resolve("grpo", {})) == value


def test_later_overrides_win(tmp_path):
    file = load(tmp_path, TEXT, "training.updates=3", "training.updates=4")
    assert file.resolve("grpo", {}).training.updates == 4
    assert file.overrides == ("training.updates=3", "training.updates=4")


@pytest.mark.parametrize("override", ["seeds=[7, 8]", "seeds=7,8"])
def test_seeds_are_replaced(tmp_path, override):
    assert load(tmp_path, TEXT, override).seeds == (7, 8)


def test_one_seed_needs_no_list(tmp_path):
    assert load(tmp_path, TEXT, "seeds=7").seeds == (7,)


@pytest.mark.parametrize("override", ["arms=paw,grpo", "arms=[grpo, paw]"])
def test_some_arms_are_kept_in_the_order_of_the_file_with_their_comparisons(tmp_path, override):
    file = load(tmp_path, TEXT, override)
    assert list(file.arms) == ["grpo", "paw"]
    assert file.comparisons == (("paw", "grpo"),)


@pytest.mark.parametrize(
    ("override", "key", "words"),
    [
        ("algorithm.learning_rat=1", "algorithm.learning_rat", "did you mean 'learning_rate'?"),
        ("algorithm.groups='4'", "algorithm.groups", "without quotes"),
        ("world_model.selection.alpha=1.5", "world_model.selection.alpha", "at most 1"),
        ("execution.threads=0", "execution.threads", "at least 1"),
        ("execution.thread=1", "execution.thread", "did you mean 'threads'?"),
        ("execution=1", "execution", "execution.KEY=value"),
        ("seed=1", "seed", "seeds=[...]"),
        ("scale=smoke", "scale", "use --scale"),
        ("seeds=[0, 0]", "seeds", "there twice"),
        ("seeds=[]", "seeds", "the list is empty"),
        ("seeds=one", "seeds[0]", "wrong type"),
        ("arms=gpro", "arms", "did you mean 'grpo'?"),
        ("arms=paw", "arms", "the reference arm 'grpo' is left out"),
        ("arms=[]", "arms", "is not a list of arms"),
        ("algorithm.groups", "algorithm.groups", "is not of the form key=value"),
        ("=3", "=3", "is not of the form key=value"),
        ("algorithm.groups=[1", "(syntax)", "is not YAML"),
        ("world_model=pwa", "world_model", "did you mean 'paw'?"),
        ("algorithm.groups.x=1", "algorithm.groups", "wrong type"),
    ],
)
def test_a_bad_override_is_refused_and_named_as_such(tmp_path, override, key, words):
    error = refused(tmp_path, TEXT, override)
    assert error.file.split(":")[0] == "--set"
    assert error.key == key
    assert words in str(error)


def test_an_override_that_makes_arms_equal_says_so(tmp_path):
    error = refused(tmp_path, TEXT, "world_model=paw")
    assert "a --set lies above every arm" in str(error)


def test_an_override_of_an_axis_is_refused(tmp_path):
    error = refused(tmp_path, TEXT + "axes: { algorithm.groups: [2, 4] }\n", "algorithm.groups=3")
    assert "a --set sets this key too" in str(error)
