"""The screens of `paw-bench status`, on a narrow terminal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from paw_bench.sweep.status import RunStatus
from paw_bench.sweep.status_screen import status_screen


def status(number: int = 0, **fields: Any) -> RunStatus:
    known: dict[str, Any] = {"arm": "paw", "axes": {}, "seed": number, "path": Path("run"), "updates": 150}
    return RunStatus(**known | {"run_id": f"{number:08x}ffff"} | fields)


def shown(statuses: list[RunStatus], *, width: int = 80, every_run: bool = False) -> str:
    output = io.StringIO()
    Console(file=output, width=width).print(status_screen(statuses, every_run=every_run))
    return output.getvalue()


def test_80_columns_hold_every_fact_of_a_run_with_an_axis() -> None:
    axes = {"model.name": "Qwen/Qwen2.5-1.5B-Instruct"}
    running = {"state": "running", "update": 137, "success": 1.0, "seconds_left": 7300.0}
    screen = shown([status(arm="paw + random selection", axes=axes, seed=41, **running)])
    for fact in ("00000000", "paw", "random", "Instruct", " 41 ", "running", "137/150", "100 %", "2 h 02 min left"):
        assert fact in screen
    assert screen.split()[:4] == ["run", "arm", "name", "seed"]  # not model.name, which would fold the arms
    assert max(map(len, screen.splitlines())) <= 80


def test_a_reason_is_told_once_by_its_first_line_with_the_runs_that_give_it() -> None:
    reason = "ValueError: not finite\n  remedy: none"
    screen = shown([status(number, state="failed", reason=reason) for number in range(5)])
    assert "failed 00000000, 00000001, 00000002 and 2 more: ValueError: not finite" in screen
    assert "remedy" not in screen


def test_of_many_runs_the_arms_are_counted_and_only_what_needs_a_look_has_a_row() -> None:
    done = [status(number, state="done", update=150, success=0.25) for number in range(900)]
    waiting = [status(number, arm="grpo", state="queued") for number in range(900, 970)]
    failed = [status(number, state="failed", reason="no") for number in range(970, 1000)]
    screen = shown([*done, *waiting, *failed])
    arms = [line.split() for line in screen.splitlines()[:3]]
    assert arms == [["arm", "done", "queued", "failed", "success"], ["paw", "900", "30", "25", "%"], ["grpo", "70"]]
    assert "000003ca" in screen  # 970
    assert "00000000" not in screen
    assert "and 10 more at work or ended; every run: --all" in screen
    assert "00000000" in shown([*done, *failed], every_run=True)


def test_a_sweep_without_a_run_has_a_screen() -> None:
    assert "state" in shown([])
