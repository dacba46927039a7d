import pytest

from paw_bench.rollout.pace import Pace


def pace_of(fixed, each, sizes=(64, 32, 33, 31, 40)):
    pace = Pace()
    for size in sizes:
        pace.generated(size, fixed + each * size)
    return pace


@pytest.mark.parametrize(
    ("fixed", "each", "answer", "due"),
    [
        (0.001, 0.05, 0.001, 32),  # half as many take half as long: nothing is lost by halves
        (4.0, 0.001, 0.001, 64),  # any batch takes 4 s, the environments 0.06 s: a second batch would cost more
        (4.0, 0.001, 0.5, 32),  # they take 32 s: the engine may work twice meanwhile
        (4.0, 0.0, 0.001, 64),
        (4.0, -0.01, 0.001, 64),  # smaller batches were slower, by chance
    ],
)
def test_halves_where_the_environments_take_longer_than_a_second_batch_costs(fixed, each, answer, due):
    assert pace_of(fixed, each).due(64, answer) == due


def test_the_faster_of_both_ways_is_taken():
    for fixed, each, answer in ((a / 7, b / 50, e / 90) for a in range(1, 9) for b in range(4) for e in range(1, 9)):
        n = 64
        together, halves = fixed + each * n + answer * n, max(2 * fixed + each * n, answer * n)
        if abs(together - halves) > 1e-6:
            assert (pace_of(fixed, each).due(n, answer) == n) == (together < halves)


@pytest.mark.parametrize("sizes", [(), (64,), (64, 64)])
def test_halves_as_long_as_nothing_is_known(sizes):
    assert pace_of(4.0, 0.0, sizes).due(5, 0.001) == 3
    assert pace_of(4.0, 0.0).due(5, 0.0) == 3
