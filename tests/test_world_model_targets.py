"""Control targets keep the pool's token count and nothing of the transition's own observation."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from paw_bench.world_model.targets import random_tokens, shuffled

observations = st.lists(st.lists(st.integers(2, 4), min_size=1, max_size=2), min_size=1, max_size=25)
"""Few distinct texts, so that clashes are common."""


@given(observations, st.integers(0, 100))
def test_shuffling_permutes_the_pool_and_leaves_a_text_in_place_only_where_it_must(pool, seed):
    new = shuffled(pool, seed=seed, update=1)
    assert Counter(map(tuple, new)) == Counter(map(tuple, pool))
    kept = sum(a == b for a, b in zip(pool, new, strict=True))
    most_common = max(Counter(map(tuple, pool)).values())
    assert kept == max(0, 2 * most_common - len(pool))


def test_shuffling_is_keyed_by_seed_and_update():
    pool = [[number] for number in range(20)]
    first = shuffled(pool, seed=0, update=1)
    assert shuffled(pool, seed=0, update=1) == first
    assert shuffled(pool, seed=1, update=1) != first
    assert shuffled(pool, seed=0, update=2) != first


def test_shuffling_spreads_over_the_pool():
    """Every observation reaches many places over the updates: it is no fixed rotation."""
    pool = [[number] for number in range(10)]
    places = {shuffled(pool, seed=0, update=update).index([0]) for update in range(100)}
    assert places == set(range(1, 10))


@given(observations, st.integers(0, 100))
def test_random_tokens_keep_each_length_and_use_only_the_given_vocabulary(pool, seed):
    new = random_tokens(pool, [7, 8, 9], seed=seed, update=1)
    assert [len(tokens) for tokens in new] == [len(tokens) for tokens in pool]
    assert {token for tokens in new for token in tokens} <= {7, 8, 9}


def test_random_tokens_are_uniform_over_the_vocabulary():
    counts = Counter(random_tokens([[0] * 6000], [7, 8, 9], seed=0, update=1)[0])
    assert all(1850 < counts[token] < 2150 for token in (7, 8, 9))
