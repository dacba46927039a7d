import importlib.util
import re
from pathlib import Path

import pytest

from paw_bench.config.schema import ExecutionConfig, ExperimentConfig

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["run.md", "files.md", "environments.md", "cli.md"])
def test_a_page_says_what_the_code_says(reference, name):
    made = reference.pages()
    assert set(made) == {path.name for path in (DOCS / "reference").glob("*.md")}
    assert (DOCS / "reference" / name).read_text() == made[name], "out of date: run `make reference`"


def test_every_key_of_a_run_is_there_with_its_default(reference):
    rows = dict(re.findall(r"^\| `([\w.]+)` \| .*? \| `?(.*?)`? \| ", reference.pages()["run.md"], re.MULTILINE))
    assert rows["world_model.loss.rho"] == "0.2"
    assert rows["training.updates"] == "150"
    assert rows["execution.collapse.updates"] == "5"
    assert rows["seed"] == "0"

    def keys(section, prefix=""):
        for key, value in section:
            yield from keys(value, f"{prefix}{key}.") if hasattr(value, "model_fields_set") else [prefix + key]

    assert set(rows) == {*keys(ExperimentConfig()), *keys(ExecutionConfig(), "execution.")}


def test_every_visible_command_is_there_and_none_that_only_jobs_call(reference):
    shown = re.findall(r"^## `paw-bench (\S+)`", reference.pages()["cli.md"], re.MULTILINE)
    assert {"sweep", "tune", "report", "init", "doctor"} <= set(shown)
    assert not {"keep", "doctor-node"} & set(shown)
