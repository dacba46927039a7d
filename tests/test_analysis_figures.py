from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
import pytest
from analysis_sweep import Sweep, read_lines, write_lines
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis import figures
from analysis.curves import curve
from analysis.load import Results, load
from analysis.palette import looks
from analysis.statistics import t_interval

NINE = (
    *("grpo", "paw", "paw - selection", "paw - clipping (plain MAE)", "paw with cross-entropy", "paw with lambda = 1"),
    *("echo", "paw with shuffled observations", "paw_$5|100% of a rather long name that has to be wrapped"),
)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load(Sweep(tmp_path_factory.mktemp("few"), updates=12, games=24).finish().path)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Results:
    sweep = Sweep(tmp_path_factory.mktemp("many"), arms=NINE, seeds=range(5), updates=45, games=24)
    sweep.finish(skip=[("echo", 4)]).running("echo", 4, 20)
    return load(sweep.path)


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Long names, with and without blanks, and axes."""
    arms = ("grpo", "aname" * 9, "paw_$5|100% of a rather long name that has to be wrapped", "paw - x")
    axes = [{"model.name": name, "algorithm.learning_rate": 0.0003} for name in ("embedded", "embedded-small")]
    sweep = Sweep(tmp_path_factory.mktemp("awkward"), arms=arms, seeds=(0, 1, 2), axes=axes, updates=8, games=12)
    return load(sweep.finish().path)


@pytest.fixture
def style() -> Iterator[None]:
    with mpl.rc_context(), matplotlib.style.context(figures.STYLE):
        yield


def rendered(figure: Figure) -> FigureCanvasAgg:
    figure.set_dpi(200)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas


def texts(figure: Figure) -> list[Text]:
    """Everything that is written on the figure; ticks outside the limits are not drawn."""
    found = [text for legend in figure.legends for text in legend.get_texts()]
    found += [text for text in figure.get_children() if isinstance(text, Text)]
    for axes in (axes for axes in figure.axes if axes.get_visible()):
        found += [axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_major_ticks(), axis.get_majorticklocs(), strict=True)
            found += [tick.label1 for tick, place in ticks if low <= place <= high]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


@pytest.mark.usefixtures("style")
@pytest.mark.parametrize("name", figures.FIGURES)
@pytest.mark.parametrize("size", ["few", "many", "awkward"])
def test_nothing_is_clipped_no_legend_covers_a_panel_and_letters_are_large_enough(
    name: str, size: str, request: pytest.FixtureRequest
) -> None:
    results = request.getfixturevalue(size)
    figure = figures.make(name, results, results.conditions[-1])
    assert figure is not None
    assert figure.get_figwidth() == pytest.approx(3.3)
    renderer = rendered(figure).get_renderer()
    width, height = figure.bbox.width, figure.bbox.height
    drawn = [axes for axes in figure.axes if axes.get_visible()]
    shown = texts(figure)
    assert len(shown) > 10
    for text in shown:
        assert text.get_fontsize() >= 7
        box = text.get_window_extent(renderer)
        inside = box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1
        assert inside, f"{text.get_text()!r} is clipped"
    for legend in figure.legends:
        box = legend.get_window_extent(renderer)
        assert 0 <= box.x0 < box.x1 <= width
        for axes in drawn:
            panel = axes.get_tightbbox(renderer)
            assert box.y1 <= panel.y0 or box.y0 >= panel.y1, "the legend covers a panel or its labels"
        if figure.get_suptitle():
            title = figure._suptitle.get_window_extent(renderer)
            assert not box.overlaps(title), "the legend covers the title"


def test_every_arm_has_its_own_look_and_black_is_the_reference_alone() -> None:
    arms = [f"arm {i}" for i in range(264)]
    chosen = looks(arms, "arm 7")
    assert len({(look.colour, look.line, look.marker) for look in chosen.values()}) == 264
    assert [arm for arm, look in chosen.items() if look.colour == "#000000"] == ["arm 7"]
    nine = looks(NINE, "grpo")
    assert len({look.colour for look in nine.values()}) == 9


def test_arms_next_to_each_other_differ_without_colour() -> None:
    chosen = list(looks(NINE, "grpo").values())
    assert len({look.marker for look in chosen}) == len(chosen)
    for left, right in pairwise(chosen):
        assert left.line != right.line


def rows(values: dict[int, list[float | None]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"seed": seed, "update": update, "success": value}
            for seed, series in values.items()
            for update, value in enumerate(series, start=1)
        ]
    ).astype({"success": "float64"})


def test_a_mean_is_drawn_only_where_all_seeds_have_a_value() -> None:
    found = curve(rows({0: [0.1, 0.2, 0.3, 0.4], 1: [0.3, None, 0.5]}), "success")
    assert found.mean.tolist()[::2] == pytest.approx([0.2, 0.4])
    assert found.mean.isna().tolist() == [False, True, False, True]
    interval = t_interval([0.1, 0.3])
    assert found.half_width.iloc[0] == pytest.approx(interval.half_width)


def test_smoothing_averages_each_seed_first_and_leaves_gaps() -> None:
    found = curve(rows({0: [0.0, 1.0, 2.0], 1: [2.0, None, 4.0]}), "success", window=2)
    assert found.seeds[0].tolist() == [0.0, 0.5, 1.5]
    assert np.isnan(found.seeds[1].iloc[1])
    assert found.seeds[1].iloc[2] == 4.0


@pytest.mark.usefixtures("style")
def test_only_long_runs_are_smoothed_and_the_label_says_so(few: Results, many: Results) -> None:
    words = {
        size: " ".join(text.get_text() for text in texts(figures.learning_curves(results, "")))
        for size, results in {"few": few, "many": many}.items()
    }
    assert "mean of 5 updates" in words["many"]
    assert "mean of" not in words["few"]


@pytest.mark.usefixtures("style")
def test_the_curve_drawn_is_the_mean_of_the_metrics(few: Results) -> None:
    axes = figures.learning_curves(few, "").axes[0]
    drawn = [line for line in axes.get_lines() if line.get_linewidth() > 1]
    expected = few.metrics[few.metrics["arm"] == "paw"].groupby("update")["success"].mean()
    np.testing.assert_allclose(drawn[1].get_ydata(), 100 * expected)


@pytest.mark.usefixtures("style")
def test_arms_without_the_term_are_not_drawn_where_they_have_no_such_quantity(few: Results) -> None:
    panels = {axes.get_title(loc="left"): len(axes.get_lines()) for axes in figures.world_model(few, "").axes}
    assert panels["mean λ"] == 2
    assert panels["accuracy, fixed set (%)"] == 3


def test_a_sweep_that_has_not_begun_draws_nothing(tmp_path: Path) -> None:
    assert figures.draw(load(Sweep(tmp_path / "sweep").path), tmp_path / "figures") == []


def test_one_run_that_has_begun_is_drawn_and_missing_values_do_not_stop_it(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "sweep", updates=5)
    folder = sweep.running("paw", 0, updates=1)
    path = folder / "metrics.jsonl"
    records = read_lines(path)
    records[0]["wm"] |= {"loss": None, "lambda_mean": None}
    write_lines(path, records)
    results = load(sweep.path)
    assert results.metrics["wm.loss"].isna().all()
    written = figures.draw(results, tmp_path / "figures")
    assert {path.name for path in written} == {
        *("learning_curves.pdf", "learning_curves.png", "world_model.pdf", "world_model.png")
    }


def test_files_are_vector_graphics_with_embedded_fonts_and_200_dpi_images_one_for_each_condition(
    tmp_path: Path,
) -> None:
    axes = [{"model.name": "embedded"}, {"model.name": "embedded-small"}]
    sweep = Sweep(tmp_path / "sweep", arms=("grpo", "paw"), axes=axes, updates=2, games=6).finish()
    written = figures.draw(load(sweep.path), tmp_path / "figures")
    assert {path.name for path in written} == {
        f"{name}-{number}.{form}" for name in figures.FIGURES for number in (1, 2) for form in ("pdf", "png")
    }
    for path in written:
        content = path.read_bytes()
        if path.suffix == ".pdf":
            assert b"/FontFile2" in content
            assert b"/Type3" not in content
            assert b"CreationDate" not in content
            assert b"/Subtype /Image" not in content
        else:
            assert int.from_bytes(content[16:20], "big") == 660  # 3.3 inches
    assert mpl.rcParams["pdf.fonttype"] == mpl.rcParamsDefault["pdf.fonttype"]
