"""Dotted keys, as short as they can be told apart."""

from hypothesis import given
from hypothesis import strategies as st

from paw_bench.config.keys import short_names

part = st.sampled_from(["model", "seed", "rho", "loss", "games"])
key = st.lists(part, min_size=1, max_size=4).map(".".join)


def test_the_last_part_is_enough_where_it_is_the_only_one() -> None:
    keys = ["environment.options.signs", "world_model.loss.kind", "algorithm.balance.kind", "environment.games.seed"]
    assert list(short_names(keys, taken=["seed"]).values()) == ["signs", "loss.kind", "balance.kind", "games.seed"]


@given(st.lists(key, unique=True, max_size=5), st.lists(part, unique=True))
def test_no_two_keys_have_one_name(keys: list[str], taken: list[str]) -> None:
    names = short_names(keys, taken)
    assert list(names) == keys
    assert len(set(names.values())) == len(keys)
    assert all(f".{key}".endswith(f".{name}") for key, name in names.items())
    assert {name for key, name in names.items() if key != name} & set(taken) == set()
