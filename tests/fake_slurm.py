"""Slurm's commands as scripts: they answer what a test says, and note how they were called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_COMMANDS = {
    "squeue": 'cat "$here/queue"',
    "sacct": "exit 1",
    "scancel": "",
    "scontrol": "echo MaxArraySize = 1001",
    "sbatch": """for script; do :; done
if grep -q -F -f "$here/refused" "$script"; then
  echo 'sbatch: error: Requested node configuration is not available' >&2; exit 1
fi
[ "$1" = --test-only ] || { cp "$script" "$here/taken.sh"; env > "$here/environment"; echo Submitted batch job 77; }""",
}


class FakeSlurm:
    """First on the search path, with an empty queue."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder / "slurm"
        (self._folder / "bin").mkdir(parents=True)
        for name in ("queue", "refused", "calls"):
            (self._folder / name).touch()
        for name, body in _COMMANDS.items():
            script = self._folder / "bin" / name
            script.write_text(f'#!/bin/sh\nhere={self._folder}\necho {name} "$@" >> $here/calls\n{body}\n')
            script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{self._folder / 'bin'}:{os.environ['PATH']}")

    def queue(self, *tasks: tuple[str, str, str], nodes: str = "n1") -> None:
        """Let squeue show these (job id, name, state), all on `nodes`."""
        lines = [f"{job}|{name}|{state}|{nodes}|None\n" for job, name, state in tasks]
        (self._folder / "queue").write_text("".join(lines))

    def refuse(self, text: str) -> None:
        """Let sbatch refuse scripts that hold `text`."""
        (self._folder / "refused").write_text(f"{text}\n")

    def calls(self, command: str) -> list[str]:
        """The arguments that `command` was called with so far."""
        lines = (self._folder / "calls").read_text().splitlines()
        return [line.removeprefix(f"{command} ") for line in lines if line.split()[0] == command]

    @property
    def taken(self) -> str:
        """The script that sbatch took last."""
        return (self._folder / "taken.sh").read_text()

    @property
    def environment(self) -> dict[str, str]:
        """What sbatch found in its environment then."""
        lines = (self._folder / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)
