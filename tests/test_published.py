"""Every published number is the number of a run that we plan, or the files say why it is not."""

import csv

import pytest
from experiment_files import ROOT, SHIPPED

from paw_bench.config.load import load_experiment_file
from paw_bench.config.merge import leaves, merge
from paw_bench.config.presets import presets
from paw_bench.config.world_model import WorldModelConfig
from paw_bench.config.yaml_reader import read_yaml
from paw_bench.sweep.plan import plan

FOLDER = ROOT / "results" / "published"
ROWS = list(csv.DictReader((FOLDER / "published_results.csv").open(encoding="utf-8")))
UNPLANNED = read_yaml(FOLDER / "unplanned.yaml").data["unplanned"]

VARIANTS = {
    "none": ("none", {}),
    "paw": ("paw", {}),
    "paw_fixed_lambda": ("paw", {"balance": {"kind": "constant", "value": 1.0}}),
    "paw_ce": ("paw", {"loss": {"kind": "ce"}}),
    "tapo": ("tapo", {}),
    "envrl": ("envrl", {}),
}
"""Column `world_model` -> preset and what is changed on top of it."""


def variant(name):
    preset, changes = VARIANTS[name]
    return WorldModelConfig.model_validate(merge(presets()[preset], changes))


def wanted(row):
    """What a run must be like to measure the row's number (none can where the metric is a cost)."""
    if row["metric"] not in ("success_rate", "score"):
        return None
    scale = "none" if row["note"] == "without std normalisation" else "group"
    return row["model"], row["benchmark"], row["algorithm"], variant(row["world_model"]), scale


def offered(config):
    return (
        config.model.name.rsplit("/", 1)[-1],
        config.environment.name,
        config.algorithm.name,
        config.world_model,
        # RLOO and PPO know no group's spread; their one form is the published one.
        config.algorithm.scale_advantages if config.algorithm.name in ("grpo", "gigpo") else "group",
    )


def excused(row):
    return [
        entry
        for entry in UNPLANNED
        if all(
            row[column] in (value if isinstance(value, list) else [value]) for column, value in entry["match"].items()
        )
    ]


@pytest.fixture(scope="module")
def planned():
    """What the shipped files plan at scale paper."""
    runs = [run for path in SHIPPED for run in plan(load_experiment_file(path, scale="paper")).runs if run.seed == 0]
    return [offered(run.config.experiment) for run in runs]


def test_every_published_number_is_planned_or_excused(planned):
    missing = [row for row in ROWS if wanted(row) not in planned and not excused(row)]
    assert not missing, missing[:3]


def test_the_claims_of_the_paper_on_alfworld_are_planned(planned):
    own = [
        row
        for row in ROWS
        if row["source"] == "arXiv:2606.02388v1" and row["table"] in ("4", "5") and row["benchmark"] == "alfworld"
    ]
    assert len(own) == 4 + 56
    assert all(wanted(row) in planned for row in own)


@pytest.mark.parametrize("entry", UNPLANNED, ids=lambda entry: str(dict(leaves(entry["match"]))))
def test_every_excuse_is_needed(entry, planned):
    assert entry["reason"].endswith(".")
    assert any(wanted(row) not in planned for row in ROWS if entry in excused(row))
