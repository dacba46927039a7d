"""When a run is stopped because its policy has collapsed, and what is left of it then."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paw_bench.config.schema import CollapseConfig
from paw_bench.training.health import decline

LIMITS = CollapseConfig()
COMMITTED = sorted((Path(__file__).parents[1] / "results/embedded/learning/runs").glob("*/metrics.jsonl"))


def updates(*kinds):
    """Metrics of updates named by how they went."""
    what = {
        "well": {"success": 0.3},
        "weak": {"success": 0.0},
        "invalid": {"success": 0.0, "valid_share": 0.02, "cut_share": 0.9},
        "lucky": {"success": 0.01, "valid_share": 0.02},
        "stuck": {"success": 0.0, "entropy": 1e-4, "repeated_share": 0.8},
        "certain": {"success": 0.9, "entropy": 1e-4, "repeated_share": 0.0},
        "repeating": {"success": 0.0, "repeated_share": 0.9},
        "unlucky": {"success": 0.0, "entropy": 1e-4, "repeated_share": 0.1},
    }
    well = {"valid_share": 0.9, "cut_share": 0.0, "entropy": 0.3, "repeated_share": 0.2}
    return [{**well, **what[kind], "update": number + 1} for number, kind in enumerate(kinds)]


@pytest.mark.parametrize(
    ("kinds", "first", "count"),
    [
        (["well", "invalid", "invalid"], 2, 2),
        (["well", "stuck"], 2, 1),
        (["well", "invalid", "stuck", "invalid"], 2, 3),
        (["invalid", "well", "weak", "invalid"], 4, 1),
        (["well", "lucky", "invalid"], 3, 1),
        (["certain", "well", "stuck"], 3, 1),
    ],
)
def test_a_decline_is_counted_from_the_last_update_that_was_well(kinds, first, count):
    found = decline(updates(*kinds), LIMITS)
    assert (found.first, found.updates) == (first, count)


@pytest.mark.parametrize(
    "kinds",
    [
        [],
        ["well"],
        ["invalid"] * 20,
        ["lucky", *["invalid"] * 20],
        ["weak"] * 10 + ["stuck"] * 10,
        ["well", *["weak"] * 20],
        ["well", *["certain"] * 20],
        ["well", *["repeating"] * 20],
        ["well", *["unlucky"] * 20],
        ["well", *["invalid"] * 20, "well"],
    ],
    ids=" ".join,
)
def test_what_is_no_decline(kinds):
    """Nothing that was never better, and nothing that wins, is wrong without repeating itself, or repeats in doubt."""
    assert decline(updates(*kinds), LIMITS) is None


def test_the_symptom_is_told_in_numbers():
    assert (
        decline(updates("well", "invalid"), LIMITS).symptom
        == "98% of its actions are invalid (90% cut off at the limit)"
    )
    assert (
        "entropy of 0.0001 nats a token, and 80% of its turns repeat"
        in decline(updates("well", "stuck"), LIMITS).symptom
    )


def test_it_can_be_turned_off():
    assert decline(updates("well", *["invalid"] * 50), CollapseConfig(updates=0)) is None


@given(st.lists(st.sampled_from(["well", "weak", "invalid", "stuck", "lucky", "certain"]), max_size=12))
def test_a_resumed_run_sees_what_an_unbroken_one_sees(kinds):
    """The answer is a function of the records alone, and an update of a success ends every decline."""
    records = updates(*kinds)
    found = decline(records, LIMITS)
    assert found == decline(json.loads(json.dumps(records)), LIMITS)
    if found:
        assert all(record["success"] == 0 for record in records[found.first - 1 :])
        assert found.first - 1 + found.updates == len(records)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_no_update_of_the_committed_runs_declines(path):
    records = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert len(records) == 60
    assert all(decline(records[:number], LIMITS) is None for number in range(61))
