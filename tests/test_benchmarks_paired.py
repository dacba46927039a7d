"""The benchmarks' clock and interval: work in turns, whose waiting does not count, and ratios that cover the truth."""

import re
import time

import numpy as np
import pytest

from benchmarks.paired import Lane, take_turns, with_interval


def numbers(text):
    return [float(number) for number in re.findall(r"\d+\.\d+", text)]


def test_the_interval_covers_the_true_ratio_and_shrugs_off_disturbed_pairs():
    """95 % of the time for lognormal noise; a pair in ten that took three times as long moves nothing."""
    draw, covered = np.random.default_rng(0), 0
    for _ in range(300):
        ratios = 1.01 * np.exp(draw.normal(0.0, 0.05, size=30))
        ratios[:3] *= 3.0 ** draw.choice([-1.0, 1.0], size=3)
        centre, low, high = numbers(with_interval(list(ratios)))
        assert low < centre < high < low + 0.15
        covered += low <= 1.01 <= high
    assert 0.91 <= covered / 300 <= 0.99


def test_lanes_take_turns_and_only_one_works_at_a_time():
    told, at_work = [], []

    def work(name):
        def turns(begin):
            for number in range(9):
                begin()
                assert not at_work
                at_work.append(name)
                told.append(f"{name}{number}")
                at_work.clear()

        return turns

    lanes = [Lane(work(name), device="cpu") for name in "abc"]
    rounds = take_turns(*lanes, rounds=3, prepare=lambda: told.append("-"))
    assert [len(costs) for costs in rounds] == [3, 3, 3]
    assert " ".join(told) == "- a0 b0 c0 - b1 c1 a1 - c2 a2 b2 - a3 b3 c3"


def test_a_turn_costs_what_its_own_thread_computes_and_not_what_it_waits():
    def work(begin):
        for waiting in (False, True, False):
            begin()
            if waiting:
                time.sleep(0.3)
            else:
                until = time.thread_time() + 0.1
                while time.thread_time() < until:
                    pass

    lane = Lane(work, device="cpu")
    seconds = [lane.turn().seconds for _ in range(3)]
    assert seconds[1] < 0.05
    assert seconds[0] == pytest.approx(0.1, abs=0.03)
    assert seconds[2] == pytest.approx(0.1, abs=0.03)


def test_what_the_work_raises_reaches_who_asked_for_the_turn():
    def work(begin):
        begin()
        raise ZeroDivisionError("no rows")

    lane = Lane(work, device="cpu")
    with pytest.raises(ZeroDivisionError, match="no rows"):
        lane.turn()
