"""A small experiment file and the real `paw-bench sweep` on it, for the tests of launching and status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from paw_bench import cli_cluster
from paw_bench.store.run_directory import RunDirectory
from paw_bench.store.sweep_directory import SweepDirectory

_EXPERIMENT = """
schema_version: 1
name: tiny
scale: dot
base:
  model: {{ name: {model} }}
  training: {{ updates: 6 }}
arms:
  grpo: {{}}
  paw: {{ world_model: paw }}
seeds: [0]
execution: {{ checkpoint_every: 2 }}
"""


class Sweeping:
    """The experiment in `folder`, and commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "tiny.yaml"
        self.results = folder / "results"
        model = folder / "model"
        model.mkdir()
        (model / "config.json").write_text("{}")
        (folder / "scales").mkdir()
        (folder / "scales" / "dot.yaml").write_text("schema_version: 1\n")
        self.file.write_text(_EXPERIMENT.format(model=model))

    @property
    def sweep(self) -> SweepDirectory:
        return SweepDirectory(self.results / "tiny-dot")

    def runs(self) -> dict[str, RunDirectory]:
        """Arm -> its run."""
        return {run.info.arm: run for run in self.sweep.runs()}

    def attempts(self) -> dict[str, int]:
        """Arm -> attempts so far."""
        return {arm: len(run.attempts()) for arm, run in self.runs().items()}

    def plan_on(self, profile: Path, *, as_json: bool = False, retry: bool = False) -> int:
        """Print what a call with that cluster profile would start, and write its scripts; the exit code."""
        return cli_cluster.sweep(
            self.file,
            profile,
            scale=None,
            overrides=(),
            dry_run=True,
            as_json=as_json,
            results=self.results,
            retry=retry,
            wait=False,
        )

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        """Start `paw-bench sweep` in the background, in a process group of its own."""
        script = str(Path(__file__).with_name("trivial_sweep.py"))
        return subprocess.Popen(
            [sys.executable, script, "sweep", str(self.file), "--results", str(self.results), *options],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `paw-bench sweep` to its end."""
        process = self.start(*options, **environment)
        output, errors = process.communicate(timeout=240)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def behave(**arms: str) -> dict[str, str]:
    """The environment in which runs of these arms behave so."""
    return {"TRIVIAL": json.dumps(arms)}


def wait_for(condition: Callable[[], object], *, seconds: float = 240.0) -> None:
    """Return as soon as `condition` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
