from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from paw_bench.sweep import progress
from paw_bench.sweep.progress import Screen, duration, headline, run_line, seconds_left
from paw_bench.sweep.status import RunStatus


def status(**fields: Any) -> RunStatus:
    known: dict[str, Any] = {"run_id": "0123456789ab", "arm": "paw", "axes": {}, "seed": 0, "path": Path("run")}
    return RunStatus(**known | fields)


RUNNING = status(state="running", update=37, updates=150, success=0.41, seconds_left=7200.0)
DONE = status(arm="grpo", state="done", update=150, updates=150, success=0.5, seconds_taken=6000.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (720, "12 min"), (3599, "1 h 00 min"), (7500, "2 h 05 min"), (280_000, "3 d 5 h")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_line_holds_update_success_and_time() -> None:
    assert run_line(RUNNING) == "paw seed 0: running, update 37/150, 41 % success, 2 h 00 min left"
    assert run_line(status(updates=150, state="failed", reason="why")) == "paw seed 0: failed, update 0/150, why"


def test_headline_counts_states() -> None:
    statuses = [DONE, RUNNING, status(), status(state="failed")]
    assert (
        headline("tiny", statuses, 720.0) == "tiny: 1 of 4 runs done, 1 running, 1 failed, 1 waiting, about 12 min left"
    )
    assert headline("tiny", [DONE], 0.0) == "tiny: 1 of 1 runs done"


def test_time_left_is_the_open_work_over_the_slots() -> None:
    waiting = [status(), status()]
    assert seconds_left([DONE, RUNNING, *waiting], slots=2, predicted_s=None) == (7200 + 2 * 6000) / 2
    assert seconds_left([RUNNING], slots=2, predicted_s=None) == 7200
    assert seconds_left([RUNNING, *waiting], slots=1, predicted_s=100.0) == 7400
    assert seconds_left([RUNNING, *waiting], slots=1, predicted_s=None) is None
    assert seconds_left([DONE], slots=1, predicted_s=None) == 0


def test_without_a_terminal_plain_lines_come_every_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    output = io.StringIO()
    with Screen(Console(file=output), "tiny") as screen:
        for now in (1000.0, 1001.0, 1014.9, 1015.1):  # noqa: B007
            screen.update([RUNNING, DONE], 7200.0)
    lines = output.getvalue().splitlines()
    assert lines == 2 * [
        "tiny: 1 of 2 runs done, 1 running, about 2 h 00 min left",
        "  paw seed 0: running, update 37/150, 41 % success, 2 h 00 min left",
    ]


@pytest.mark.parametrize("colours", [True, False])
def test_the_live_screen_shows_the_same_facts(monkeypatch: pytest.MonkeyPatch, colours: bool) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    output = io.StringIO()
    with Screen(Console(file=output, force_terminal=True, width=120), "tiny") as screen:
        screen.update([RUNNING, DONE], 7200.0)
        screen.note("grpo seed 0: done")
    shown = output.getvalue()
    for fact in (
        "1 of 2 runs done",
        "paw seed 0",
        "update 37/150",
        "41 % success",
        "2 h 00 min left",
        "grpo seed 0: done",
    ):
        assert fact in shown
    assert ("\x1b[36m" in shown) is colours
