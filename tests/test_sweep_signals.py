"""A request to stop that comes at a bad moment."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console
from sweeping import Sweeping

from paw_bench.config.load import load_experiment_file
from paw_bench.sweep.cost import predict
from paw_bench.sweep.describe import plan_json
from paw_bench.sweep.launch import launch
from paw_bench.sweep.local import LocalJob, LocalLauncher
from paw_bench.sweep.plan import plan
from paw_bench.sweep.progress import Screen
from paw_bench.sweep.signals import Interrupted, deferred, interruptible
from paw_bench.sweep.slots import Slots

STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2]


@pytest.mark.parametrize("signum", STOPS)
def test_a_signal_waits_for_the_end_of_the_block(signum: signal.Signals) -> None:
    steps = []

    def begin() -> None:
        with interruptible():
            with deferred():
                os.kill(os.getpid(), signum)
                steps.append("begun and noted")
            steps.append("gone on")

    with pytest.raises(Interrupted) as stopped:
        begin()
    assert steps == ["begun and noted"]
    assert stopped.value.signum == signum


@pytest.mark.parametrize("signum", STOPS)
def test_a_run_that_was_just_started_is_stopped_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
) -> None:
    started: list[LocalJob] = []
    submit = LocalLauncher.submit

    def submit_and_be_stopped(launcher: LocalLauncher, command: list[str], changes: dict[str, str]) -> LocalJob:
        started.append(submit(launcher, command, changes))
        os.kill(os.getpid(), signum)
        return started[-1]

    monkeypatch.setattr(LocalLauncher, "submit", submit_and_be_stopped)
    sweeping = Sweeping(tmp_path)
    planned = plan(load_experiment_file(sweeping.file))
    document = plan_json(planned, predict(planned, sweep_path=sweeping.sweep.path, parallel=1))
    output = io.StringIO()
    with pytest.raises(Interrupted), Screen(Console(file=output), "tiny") as screen:
        launch(
            planned,
            document,
            results=sweeping.results,
            slots=Slots(planned.file.execution, parallel=1),
            retry=False,
            screen=screen,
            predicted_s=None,
            command=["true"],
        )
    assert "stopping 1 run(s)" in output.getvalue()
    assert [job.ended() for job in started] == [True]
