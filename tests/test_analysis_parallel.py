"""Reading and drawing in several processes gives what one process gives, and survives the loss of one."""

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest
from analysis_sweep import Sweep, publish, read_lines, write_lines

from analysis import parallel, plotted
from analysis.load import load
from analysis.parallel import in_parts

several_cores = pytest.mark.parametrize("cores", [1, 2, 3])


@several_cores
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_the_parts_cover_the_items_in_order(monkeypatch: pytest.MonkeyPatch, cores: int, count: int) -> None:
    monkeypatch.setattr(parallel, "_cores", lambda: cores)
    offset = 100  # a closure sees what the process holds
    parts = in_parts(lambda part: [offset + item for item in part], range(count), least=1)
    assert [item for part in parts for item in part] == [offset + item for item in range(count)]
    assert len(parts) == max(1, min(cores, count))


def test_few_items_stay_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_cores", lambda: 2)
    assert in_parts(lambda _: os.getpid(), range(19), least=10) == [os.getpid()]
    assert os.getpid() not in in_parts(lambda _: os.getpid(), range(20), least=10)


def test_an_error_in_a_part_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_cores", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        in_parts(lambda part: 1 / part[0], range(2), least=1)


def test_a_killed_process_costs_time_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_cores", lambda: 2)
    here = os.getpid()

    def work(part: Sequence[int]) -> list[int]:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return list(part)

    assert in_parts(work, range(4), least=1) == [[0, 1], [2, 3]]


def test_a_sweep_read_in_parts_is_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep(
        tmp_path / "sweep", updates=3, games=12, axes=({"world_model.loss.rho": 0.1}, {"world_model.loss.rho": 0.2})
    ).finish()
    runs = sorted((sweep.path / "runs").iterdir())
    # A number that one run alone has, a run that cannot be used, and a torn line: each in another part.
    records = read_lines(runs[0] / "metrics.jsonl")
    write_lines(runs[0] / "metrics.jsonl", [record | {"extra": 1.5} for record in records])
    publish(runs[0], updates=3)
    (runs[-1] / "config.json").write_text("{")
    with (runs[2] / "journal.jsonl").open("a") as journal:
        journal.write('{"torn')
    whole = load(sweep.path)
    drawn = dict(plotted.figure_data(whole))
    monkeypatch.setattr(parallel, "_cores", lambda: 3)
    monkeypatch.setattr(sys.modules["analysis.load"], "_RUNS_A_PART", 1)
    monkeypatch.setattr(plotted, "_MANY_RUNS", 1)
    parts = load(sweep.path)
    assert len(whole.problems) >= 2
    for field in fields(whole):
        found, expected = getattr(parts, field.name), getattr(whole, field.name)
        if isinstance(expected, pd.DataFrame):
            pd.testing.assert_frame_equal(found, expected)
        else:
            assert found == expected, field.name
    again = dict(plotted.figure_data(parts))
    assert list(again) == list(drawn) != []
    for stem, points in drawn.items():
        pd.testing.assert_frame_equal(again[stem], points)
