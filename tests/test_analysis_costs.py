"""What an update takes, by run."""

import pandas as pd
import pytest

from analysis.costs import update_costs

RUN = {"arm": "paw", "condition": "", "seed": 0, "run_id": "a"}


def metrics(seconds: list[float], parts: list[float | None], **run: object) -> pd.DataFrame:
    return pd.DataFrame(
        {**RUN, **run, "update": number + 1, "gradients.rl": rl, "peak_memory_mb": 100.0 + number,
         "seconds.rollout": 1.0, "seconds.train": train, "seconds.total": 1.0 + train}
        for number, (train, rl) in enumerate(zip(seconds, parts, strict=True))
    )  # fmt: skip


def test_updates_that_also_measured_the_parts_of_the_gradient_do_not_count() -> None:
    (run,) = update_costs(metrics([2.0, 9.0, 4.0], [None, 0.5, None])).to_dict("records")
    assert (run["seconds.train"], run["seconds.total"]) == (pytest.approx(3.0), pytest.approx(4.0))
    assert run["peak_memory_mb"] == 102.0  # the largest, whenever it was


def test_runs_are_compared_on_the_same_updates() -> None:
    bare = metrics([3.0, 8.0, 1.0], [None, None, None], arm="grpo", run_id="b", seed=1)
    found = update_costs(pd.concat([metrics([2.0, 9.0, 4.0], [None, 0.5, None]), bare], ignore_index=True))
    assert found["seconds.train"].to_dict() == {"a": 3.0, "b": 2.0}
    assert found["seed"].to_dict() == {"a": 0, "b": 1}


def test_a_run_that_measured_them_in_every_update_keeps_its_figures() -> None:
    always = metrics([2.0, 4.0], [0.1, 0.2], run_id="b")
    assert update_costs(always)["seconds.train"].to_dict() == {"b": 3.0}
    for parts, mean in ([None, None], 3.0), ([None, 0.2], 2.0):
        both = update_costs(pd.concat([metrics([2.0, 4.0], parts), always], ignore_index=True))
        assert both["seconds.train"].to_dict() == {"a": mean, "b": mean}


def test_runs_of_a_version_without_that_measurement_have_costs() -> None:
    assert update_costs(metrics([2.0], [None]).drop(columns="gradients.rl"))["seconds.total"].tolist() == [3.0]
