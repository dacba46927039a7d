"""The studies that are committed in results/embedded say today what they said when they were recorded."""

import hashlib
from pathlib import Path

import pytest

from analysis.load import load
from analysis.report import data
from paw_bench.store.run_directory import RunDirectory

EVIDENCE = Path(__file__).parents[1] / "results" / "embedded"
STUDIES = sorted(path.parent for path in EVIDENCE.glob("*/sweep.json"))


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_the_data_of_every_table_and_figure_are_those_recorded(study: Path) -> None:
    recorded = dict(reversed(line.split("  ", 1)) for line in (study / "report.sha256").read_text().splitlines())
    results = load(study)
    assert not results.problems  # every file of a finished run has the hash that its result holds
    found = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in data(results)[1].items()}
    assert {name for name in found.keys() | recorded.keys() if found.get(name) != recorded.get(name)} == set()


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_plan_finds_every_run_and_leaves_it_as_it_is(study: Path) -> None:
    """Also those that were written before the schema got its latest keys."""
    for file in study.glob("runs/*/config.json"):
        text = file.read_bytes()
        run = RunDirectory(file.parent)
        RunDirectory.create(run.path, run.info, run.config)
        assert file.read_bytes() == text
