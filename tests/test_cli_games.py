"""`paw-bench games list`."""

import json
import subprocess
import sys

import pytest

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.panels import load_panels

SIZES = ("--set", "environment.options={train: 5, tune: 3, test: 4, products: 160}")


def listed(*arguments, code=0):
    command = [sys.executable, "-m", "paw_bench.cli", "games", "list", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    return run.stdout if code == 0 else run.stderr


@pytest.fixture(scope="module")
def panels():
    config = EnvironmentConfig(name="webshop", options={"train": 5, "tune": 3, "test": 4, "products": 160})
    return load_panels(config)


def test_json_holds_every_panel_with_its_hash(panels):
    rows = json.loads(listed("webshop", *SIZES, "--json"))["panels"]
    assert rows == [
        {
            "environment": "webshop",
            "source": "generated",
            "panel": name,
            "version": panel.version,
            "tasks": len(panel.tasks),
            "sha256": panel.sha256,
        }
        for name, panel in panels.items()
    ]


def test_the_table_shows_the_same(panels):
    lines = listed("webshop", *SIZES).splitlines()
    assert [line.split()[:5] for line in lines[1:]] == [
        ["webshop", "generated", name, str(panel.version), str(len(panel.tasks))] for name, panel in panels.items()
    ]
    assert all(line.split()[5] == panel.sha256[:16] for line, panel in zip(lines[1:], panels.values(), strict=True))
    assert max(map(len, lines)) <= 80


def test_an_unknown_environment_or_key_is_refused_with_what_there_is():
    assert "no environment 'alfword'\n  remedy: give one of: alfworld, " in listed("alfword", code=2)
    assert "products" in listed("webshop", "--set", "environment.options.product=5", code=2)
