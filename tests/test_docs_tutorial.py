"""Runs the commands of docs/tutorial.md in the order in which they stand there, as a reader would type them."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from release import clean

from paw_bench.config.load import load_experiment_file
from paw_bench.sweep.plan import plan

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text()
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
((FILE, YAML),) = re.findall(r"Save this as `(\S+)`:\n\n```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PROGRAM = os.environ.get("PAW_BENCH_PROGRAM", f"{shlex.quote(sys.executable)} -m paw_bench.cli")
"""What stands for `paw-bench`: that of another installation, where the release is checked."""


class Reader:
    """Types the commands in a folder; `cd` moves."""

    def __init__(self, folder):
        self.folder = folder
        variables = clean() if "PAW_BENCH_PROGRAM" in os.environ else os.environ
        self.environment = {**variables, "PAW_BENCH_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}

    def types(self, command, *, interrupt=None):
        """(exit code, what is printed). `interrupt`: press Ctrl-C as soon as this returns true."""
        line, _, _ = command.partition("  #")
        if line.startswith("cd "):
            self.folder /= line.removeprefix("cd ")
            return 0, ""
        typed = re.sub(r"^paw-bench", PROGRAM, line.strip())
        process = subprocess.Popen(
            ["bash", "-c", f"exec {typed}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        if interrupt:
            while not interrupt() and process.poll() is None:
                time.sleep(0.1)
            os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=900)
        return process.returncode, said


def test_the_experiment_of_the_page_plans(tmp_path):
    (tmp_path / "signs.yaml").write_text(YAML)
    planned = plan(load_experiment_file(tmp_path / "signs.yaml"))
    assert len(planned.runs) == 4
    assert planned.changes == {"grpo": {}, "paw": {"world_model.enabled": (False, True)}}


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(tmp_path):
    reader = Reader(tmp_path)
    commands = iter(COMMANDS)

    def next_one(beginning, **how):
        command = next(commands)
        assert command.startswith(beginning), command
        return reader.types(command, **how)

    assert next_one("paw-bench init")[0] == 0
    next_one("cd study")
    code, listed = next_one("ls ")
    assert code == 0
    assert {"ablations.yaml", "paper.yaml", "h100.yaml"} <= set(listed.split())
    (reader.folder / FILE).write_text(YAML)

    code, said = next_one("paw-bench sweep", interrupt=None)
    assert code == 0, said
    assert "4 runs = 2 arms x 2 seeds" in said
    code, said = next_one("paw-bench sweep")
    assert code == 2, said
    assert "did you mean 'updates'" in said

    code, said = next_one("paw-bench sweep")
    assert code == 0, said
    sweep = reader.folder / "results" / "runs" / "signs-embedded"
    results = {path: path.stat().st_mtime_ns for path in sweep.glob("runs/*/result.json")}
    assert len(results) == 4
    assert next_one("paw-bench sweep")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in sweep.glob("runs/*/result.json")} == results
    code, said = next_one("paw-bench status")
    assert code == 0
    assert "4 of 4 runs done" in said

    page = (sweep / "report" / "report.html").read_text()
    assert all(word in page for word in ("asked", "told", "not resolved"))
    code, said = next_one("paw-bench explain")
    assert code == 0, said
    runs = [json.loads((path.parent / "config.json").read_text()) for path in results]
    assert all(run["run_id"] in said for run in runs if run["arm"] == "paw")
    assert next_one("paw-bench verify")[0] == 0

    def begun():
        logs = [path for path in sweep.glob("runs/*/metrics.jsonl") if path.parent / "result.json" not in results]
        return any(log.stat().st_size for log in logs)

    code, said = next_one("paw-bench sweep", interrupt=begun)
    assert code == 130, said
    code, said = next_one("paw-bench sweep")
    assert code == 0, said
    assert len(list(sweep.glob("runs/*/result.json"))) == 8
    assert next(commands, None) is None
