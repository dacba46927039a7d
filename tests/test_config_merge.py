from hypothesis import given
from hypothesis import strategies as st

from paw_bench.config.merge import differences, leaves, merge, nest, split
from paw_bench.config.messages import all_keys, keys_at
from paw_bench.config.schema import ExperimentConfig

SECTIONS = {path for path in all_keys(ExperimentConfig) if keys_at(ExperimentConfig, path)}
LEAVES = sorted(path for path in all_keys(ExperimentConfig) if path not in SECTIONS)


@st.composite
def deltas(draw):
    """Deltas of the schema: some of its keys, with any values."""
    delta = {}
    for key in draw(st.lists(st.sampled_from(LEAVES), max_size=8)):
        delta = merge(delta, nest(key, draw(st.integers(0, 3))))
    return delta


@given(deltas(), deltas(), deltas())
def test_merging_is_associative_over_deltas_of_one_schema(a, b, c):
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(deltas(), deltas())
def test_the_upper_delta_wins_and_the_rest_of_the_lower_stays(a, b):
    merged = dict(leaves(merge(a, b)))
    assert merged == {**dict(leaves(a)), **dict(leaves(b))}


@given(deltas(), deltas())
def test_merging_leaves_both_deltas_as_they_were(a, b):
    before = dict(leaves(a)), dict(leaves(b))
    merge(a, b)
    assert (dict(leaves(a)), dict(leaves(b))) == before


@given(deltas())
def test_a_delta_is_rebuilt_from_its_leaves(delta):
    rebuilt = {}
    for key, value in leaves(delta):
        rebuilt = merge(rebuilt, nest(key, value))
    assert rebuilt == delta


def test_differences_name_the_keys_that_differ_and_no_others():
    left = ExperimentConfig().model_dump()
    right = merge(left, {"algorithm": {"groups": 3}, "environment": {"games": {"seed": 9}}, "seed": 0})
    assert differences(left, right) == {("algorithm", "groups"): (16, 3), ("environment", "games", "seed"): (0, 9)}
    assert split("environment.games.seed") == ("environment", "games", "seed")
