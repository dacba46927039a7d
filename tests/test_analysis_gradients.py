"""Where the gradient falls: the frame, the shares, and the figure that shows them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
import pytest
from analysis_sweep import Sweep, publish, read_lines, write_lines

from analysis import figures
from analysis.figure_subject import COLUMN, PAGE
from analysis.gradients import by_probability, noisy_shares
from analysis.load import Results, load
from analysis.plotted import plotted


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load(Sweep(tmp_path_factory.mktemp("gradients"), updates=1, games=6).finish().path)


@pytest.fixture
def style() -> Iterator[None]:
    with mpl.rc_context(), matplotlib.style.context(figures.STYLE):
        yield


@pytest.fixture
def points(results: Results, style: None) -> pd.DataFrame:
    """Everything that the figure shows."""
    made = figures.make("gradient_share", results, "")
    assert made is not None
    return plotted(made)


def recorded(results: Results, arm: str) -> list[dict]:
    """The histograms of an arm's runs after training."""
    names = results.runs["run_id"][results.runs["arm"] == arm]
    folders = [results.path / "runs" / name for name in names]
    return [read_lines(folder / "fixed_transitions.jsonl")[1]["probabilities"] for folder in folders]


def test_a_bar_is_the_share_of_the_gradient_on_noisy_tokens(results: Results, points: pd.DataFrame) -> None:
    bars = points[points["form"] == "bar"].set_index("series")["high"]
    assert len(bars) == 3 * (1 + len(results.arms))
    for loss, column, highest in (("CE", "ce", 1.0), ("MAE", "mae", 1.0), ("CMAE", "mae", 0.2)):
        shares = []
        for found in recorded(results, "paw"):
            kept = np.array(found["edges"][1:]) <= highest
            noisy, other = (np.array(found[label][column])[kept].sum() for label in ("noisy", "other"))
            shares.append(100 * noisy / (noisy + other))
        assert bars[f"paw, {loss}"] == pytest.approx(np.mean(shares))
        assert 0 < bars[f"before RL, {loss}"] < 100
    tokens = points[points["series"] == "tokens"].groupby("panel")["x"].first()
    assert tokens[2] == pytest.approx(10.0)


def test_the_gradient_by_probability_adds_up_and_a_clipped_loss_has_none_above_rho(
    results: Results, points: pd.DataFrame
) -> None:
    curves = {name: own.set_index("x")["y"] for name, own in points[points["panel"] == 1].groupby("series")}
    for name in ("CE", "MAE", "CMAE", "tokens"):
        assert curves[name].is_monotonic_increasing
        assert curves[name].loc[1.0] == pytest.approx(100)
    assert curves["CMAE"].loc[0.2] == pytest.approx(100)
    assert curves["CE"].loc[0.05] > 3 * curves["MAE"].loc[0.05]
    found = by_probability(results.gradients[results.gradients["phase"] == "before"])
    np.testing.assert_allclose(curves["CE"], 100 * found["ce"])


def test_an_edge_that_only_some_runs_have_is_no_point_of_the_mean(results: Results) -> None:
    before = results.gradients[results.gradients["phase"] == "before"]
    first = before["run_id"] == before["run_id"].iloc[0]
    found = by_probability(before[~(first & (before["upto"] == 0.5))])
    assert 0.5 not in found.index
    assert set(by_probability(before).index) - set(found.index) == {0.5}


def test_a_loss_without_any_gradient_has_no_share(results: Results) -> None:
    shares = noisy_shares(results.gradients.assign(cmae=0.0))
    assert shares["cmae"].isna().all()
    assert shares["ce"].between(0, 1).all()
    assert len(shares) == 2 * len(results.runs)


def test_runs_that_recorded_no_probabilities_are_read_and_have_no_such_figure(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo",), seeds=(0,), updates=1, games=6).finish()
    folder = sweep.folder("grpo", 0)
    before, after = read_lines(folder / "fixed_transitions.jsonl")
    for record, phases in ((before, {"after"}), (after, set())):
        del record["probabilities"]
        write_lines(folder / "fixed_transitions.jsonl", [before, after])
        publish(folder, 1)
        results = load(tmp_path)
        assert results.problems == ()
        assert len(results.done()) == 1
        assert set(results.gradients["phase"]) == phases
    assert figures.make("gradient_share", results, "") is None


@pytest.mark.usefixtures("style")
def test_without_an_evaluation_before_training_only_the_bars_are_drawn(results: Results) -> None:
    after = results.gradients[results.gradients["phase"] == "after"]
    for width in (COLUMN, PAGE):
        made = figures.make("gradient_share", replace(results, gradients=after), "", width)
        assert [axes.get_xlabel() for axes in made.axes] == ["share of gradient on noisy tokens (%)"]
