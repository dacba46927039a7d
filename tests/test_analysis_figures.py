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

from analysis import figures, sensitivity
from analysis.cells import cells, comparisons
from analysis.curves import curve, curve_against
from analysis.figure_subject import COLUMN, PAGE
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


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Ten seeds, and arms that differ in alpha or rho alone."""
    values = {"paw, alpha=0.25": ("selection.alpha", 0.75, 0.25), "paw, alpha=1": ("selection.alpha", 0.75, 1.0)}
    values |= {"paw, rho=0.05": ("loss.rho", 0.2, 0.05), "paw, rho=1": ("loss.rho", 0.2, 1.0)}
    changes: dict[str, dict[str, object]] = {"grpo": {}}
    for arm in ("paw", *values):
        changes[arm] = {"world_model.enabled": {"base": False, "arm": True}}
    for arm, (key, base, value) in values.items():
        changes[arm][f"world_model.{key}"] = {"base": base, "arm": value}
    sweep = Sweep(
        tmp_path_factory.mktemp("swept"), arms=list(changes), seeds=range(10), updates=2, games=12, changes=changes
    )
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
        found += [axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title, *axes.texts]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_major_ticks(), axis.get_majorticklocs(), strict=True)
            found += [tick.label1 for tick, place in ticks if low <= place <= high]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


RARE = {"profiles", "sensitivity"}
"""Figures that few sweeps have the runs for."""
CASES = [
    *((name, size, COLUMN) for name in figures.FIGURES if name not in RARE for size in ("few", "many", "awkward")),
    *((name, "many", PAGE) for name in figures.FIGURES if name not in RARE),
    *((name, "swept", width) for name in sorted(RARE) for width in (COLUMN, PAGE)),
]


@pytest.mark.usefixtures("style")
@pytest.mark.parametrize(("name", "size", "inches"), CASES)
def test_nothing_is_clipped_no_legend_covers_a_panel_and_letters_are_large_enough(
    name: str, size: str, inches: float, request: pytest.FixtureRequest
) -> None:
    results = request.getfixturevalue(size)
    figure = figures.make(name, results, results.conditions[-1], inches)
    assert figure is not None
    assert figure.get_figwidth() == pytest.approx(inches)
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
        size: " ".join(text.get_text() for text in texts(figures.make("learning_curves", results, "")))
        for size, results in {"few": few, "many": many}.items()
    }
    assert "mean of 5 updates" in words["many"]
    assert "mean of" not in words["few"]


@pytest.mark.usefixtures("style")
def test_the_curve_drawn_is_the_mean_of_the_metrics(few: Results) -> None:
    axes = figures.make("learning_curves", few, "").axes[0]
    drawn = [line for line in axes.get_lines() if line.get_linewidth() > 1]
    expected = few.metrics[few.metrics["arm"] == "paw"].groupby("update")["success"].mean()
    np.testing.assert_allclose(drawn[1].get_ydata(), 100 * expected)


@pytest.mark.usefixtures("style")
def test_arms_without_the_term_are_not_drawn_where_they_have_no_such_quantity(few: Results) -> None:
    made = figures.make("world_model", few, "")
    panels = {axes.get_title(loc="left"): len(axes.get_lines()) for axes in made.axes}
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
        f"{name}{width}.{form}"
        for name in ("learning_curves", "world_model")
        for width in ("", "-wide")
        for form in ("pdf", "png")
    }


def test_files_are_vector_graphics_with_embedded_fonts_and_200_dpi_images_one_for_each_condition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "FIGURES", {name: figures.FIGURES[name] for name in ("task_bars", "profiles", "cost")})
    axes = [{"model.name": "embedded"}, {"model.name": "embedded-small"}]
    sweep = Sweep(tmp_path / "sweep", arms=("grpo", "paw"), axes=axes, updates=2, games=6).finish()
    results = load(sweep.path)
    written = figures.draw(results, tmp_path / "figures")
    stems = {f"{name}-{number}" for name in ("task_bars", "cost") for number in (1, 2)}
    assert {path.name for path in written} == {
        f"{stem}{width}.{form}" for stem in stems for width in ("", "-wide") for form in ("pdf", "png")
    }
    assert {one.stem for one in figures.shown(results, written)} == stems
    for path in written:
        content = path.read_bytes()
        if path.suffix == ".pdf":
            assert b"/FontFile2" in content
            assert b"/Type3" not in content
            assert b"CreationDate" not in content
            assert b"/Subtype /Image" not in content
        else:
            pixels = 1380 if path.stem.endswith("-wide") else 660
            assert int.from_bytes(content[16:20], "big") == pixels
    assert mpl.rcParams["pdf.fonttype"] == mpl.rcParamsDefault["pdf.fonttype"]


@pytest.mark.usefixtures("style")
def test_a_forest_plot_shows_the_comparisons_and_fills_what_is_resolved(many: Results) -> None:
    compared = comparisons(many)
    compared["resolved"] = compared["arm"] == "paw"
    axes = figures.make("differences", many, "", compared=compared).axes[0]
    signs = [line for line in axes.get_lines() if line.get_markersize() == 5]
    np.testing.assert_allclose([line.get_xdata()[0] for line in signs], 100 * compared["mean"])
    filled = [line.get_markerfacecolor() != "white" for line in signs]
    assert filled == compared["resolved"].tolist()


@pytest.mark.usefixtures("style")
def test_bars_are_the_means_of_the_evaluation(few: Results) -> None:
    made = figures.make("task_bars", few, "")
    panels = {axes.get_title(loc="left"): [bar.get_width() for bar in axes.patches] for axes in made.axes}
    after = few.evaluation[few.evaluation["phase"] == "after"]
    for task_type, own in after.groupby("task_type"):
        means = own.groupby("arm")["success"].mean()
        np.testing.assert_allclose(panels[task_type], [100 * means[arm] for arm in few.arms])


@pytest.mark.usefixtures("style")
def test_an_interval_that_the_tables_do_not_print_is_not_drawn(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo",), seeds=(0, 1, 2), updates=1, games=12)
    for seed, lost in enumerate((0, 1, 1)):
        sweep.done("grpo", seed, wins={"after": [0] * lost + [1] * (12 - lost)})
    results = load(sweep.path)
    after = cells(results).query("phase == 'after' and task_type == 'all'")
    assert after["half_width"].isna().all()
    bars = figures.make("before_after", results, "").axes[0].containers
    assert [bar.has_xerr for bar in bars] == [True, False]


@pytest.mark.usefixtures("style")
def test_the_parts_of_an_update_add_up_to_its_time(few: Results) -> None:
    bars = figures.make("cost", few, "").axes[0].patches
    for place, arm in enumerate(few.arms):
        parts = [bar.get_width() for bar in bars if round(bar.get_y() + bar.get_height() / 2) == place]
        expected = few.metrics["seconds.total"][few.metrics["arm"] == arm].mean()
        assert sum(parts) == pytest.approx(expected)


def test_success_against_what_was_spent_ends_where_the_first_seed_ends() -> None:
    spent = rows({0: [0.1, 0.2, 0.3], 1: [0.3, 0.5, 0.9]}).assign(tokens=[10.0, 10.0, 10.0, 20.0, 20.0, 20.0])
    found = curve_against(spent, "tokens", "success")
    assert found.seeds.index.tolist() == [20.0, 25.0, 30.0]
    assert found.seeds[0].tolist() == pytest.approx([0.2, 0.25, 0.3])
    assert found.seeds[1].tolist() == pytest.approx([0.3, 0.35, 0.4])
    assert found.mean.iloc[0] == pytest.approx(0.25)


def test_success_is_not_drawn_against_what_was_not_measured() -> None:
    unknown = rows({0: [0.1, 0.2], 1: [0.3, 0.5]}).assign(tokens=[10.0, float("nan"), 10.0, 10.0])
    assert curve_against(unknown, "tokens", "success") is None
    one = rows({0: [0.1], 1: [0.3]}).assign(tokens=[10.0, 20.0])
    assert curve_against(one, "tokens", "success") is None


def test_arms_that_differ_in_one_number_alone_are_a_sweep_of_it(swept: Results) -> None:
    found = {line.key: line for line in sensitivity.lines(swept)}
    assert set(found) == {"world_model.selection.alpha", "world_model.loss.rho"}
    alpha = found["world_model.selection.alpha"]
    assert alpha.arm == "paw"
    assert [point.value for point in alpha.points] == [0.25, 0.75, 1.0]
    after = swept.evaluation[(swept.evaluation["phase"] == "after") & (swept.evaluation["task_type"] == "all")]
    for point, arm in zip(alpha.points, ("paw, alpha=0.25", "paw", "paw, alpha=1"), strict=True):
        assert sorted(point.success) == sorted(after["success"][after["arm"] == arm])
        assert point.games == 10 * (12,)


def test_an_axis_of_three_numbers_is_a_sweep_of_it_under_each_value_of_the_others(tmp_path: Path) -> None:
    axes = [
        {"algorithm.learning_rate": rate, "model.name": name} for name in ("a", "b") for rate in (1e-05, 0.001, 0.0001)
    ]
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0,), axes=axes, updates=1, games=6).finish()
    found = sensitivity.lines(load(sweep.path))
    assert [(line.arm, line.condition) for line in found] == [
        *(("grpo", "model.name=a"), ("paw", "model.name=a"), ("grpo", "model.name=b"), ("paw", "model.name=b"))
    ]
    assert [point.value for point in found[0].points] == [1e-05, 0.0001, 0.001]


def test_few_runs_make_no_profile_and_two_values_no_sweep(many: Results, few: Results) -> None:
    assert figures.make("profiles", many, "") is None
    assert figures.make("sensitivity", few, "") is None
