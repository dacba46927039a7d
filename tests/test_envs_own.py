"""The example of docs/environments.md, installed through an entry point as a package of its own would be."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "environments.md").read_text()

EXPERIMENT = """schema_version: 1
scale: embedded
base:
  environment: { name: guess, options: { highest: 20 }, max_turns: 6 }
  evaluation: { panel: test, games: 9 }
arms: { grpo: {}, larger: { environment: { options: { highest: 50 } } } }
seeds: [0]
"""

PLAY = """
import random
import sys
from collections import Counter
from pathlib import Path
from paw_bench.config.load import load_experiment_file
from paw_bench.envs.definition import definition, random_action
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.sweep.plan import plan

planned = plan(load_experiment_file(Path(sys.argv[1])))
print(planned.changes["larger"])
config = planned.runs[0].config.experiment.environment
print(config.options, config.panel_sizes)
panels = load_panels(config)
types = Counter(task.task_type for task in panels["test"].tasks[:4])
print({name: len(panel.tasks) for name, panel in panels.items()}, types)
with EnvironmentPool(config, workers=2, timeout_s=30) as pool:
    slots = [(task, 0) for task in panels["test"].tasks[:9]]
    bounds = [[1, 20] for _ in slots]
    live = dict(enumerate(pool.reset(slots)))
    wins = 0
    while live:
        middles = {slot: sum(bounds[slot]) // 2 for slot in live}
        results = pool.step({slot: f"guess {middle}" for slot, middle in middles.items()})
        for slot, result in results.items():
            if result.observation == "More.":
                bounds[slot][0] = middles[slot] + 1
            if result.observation == "Less.":
                bounds[slot][1] = middles[slot] - 1
        wins += sum(result.success for result in results.values())
        live = {slot: result for slot, result in results.items() if not result.done}
    print("wins", wins)
    pool.reset(slots[:1])
    hostile = pool.step({0: "guess " + "9" * 1_000_000})[0]
    print(hostile.accepted, hostile.done)
print({"torch", "alfworld", "textworld"} & set(sys.modules))
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A folder like site-packages after `pip install`: the module and its metadata."""
    source = re.search(r"```python\n(.*?)```", DOCS, re.DOTALL)[1]
    assert len(source.splitlines()) <= 60
    (tmp_path / "guess.py").write_text(source)
    metadata = tmp_path / "guess-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: guess\nVersion: 1.0\n")
    toml = re.search(r"```toml\n(.*?)```", DOCS, re.DOTALL)[1]
    (metadata / "entry_points.txt").write_text(
        toml.replace("[project.entry-points.", "[").replace('"', "").replace("[paw_bench.envs]", "[paw_bench.envs]")
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    return tmp_path


def run(*arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_example_is_planned_and_played(installed):
    (installed / "own.yaml").write_text(EXPERIMENT)
    done = run("-c", PLAY, installed / "own.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "{'environment.options.highest': (20, 50)}",
        "{'train': 512, 'tune': 64, 'test': 128, 'highest': 20} {'train': 512, 'tune': 64, 'test': 128}",
        "{'train': 512, 'tune': 64, 'test': 128} Counter({'even': 2, 'odd': 2})",
        "wins 9",
        "False False",
        "set()",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("highest: 20", "hihgest: 20"), ("own.yaml:4", "unknown key 'hihgest'", "did you mean 'highest'?")),
        (("highest: 20", "highest: many"), ("own.yaml:4", "environment.options.highest", "give a whole number")),
        (("panel: test", "panel: valid_seen"), ("own.yaml:5", "no panel 'valid_seen'", "give one of tune, test")),
        (("games: 9", "games: 129"), ("own.yaml:5", "the panel 'test' has only 128 games")),
        (("name: guess", "name: gues"), ("own.yaml:4", "is no installed environment: did you mean 'guess'?")),
        (("max_turns: 6", "games: { train: 3 }"), ("own.yaml:4", "has no effect", "its own `options`")),
    ],
)
def test_mistakes_are_refused_with_file_line_and_remedy(installed, change, said):
    (installed / "own.yaml").write_text(EXPERIMENT.replace(*change))
    done = run("-m", "paw_bench.cli", "sweep", installed / "own.yaml", "--dry-run")
    assert done.returncode == 2
    words = " ".join(done.stderr.split())
    assert all(part in words for part in said), done.stderr


def test_an_environment_that_is_gone_is_named(installed):
    script = "from paw_bench.envs.definition import definition; definition('gone')"
    assert "the environment 'gone' is not installed" in run("-c", script).stderr
