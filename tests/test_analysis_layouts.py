"""The tables beside the published numbers: which a sweep has, what they say, and their four forms.

Golden files: rewrite them with `PAW_BENCH_GOLDEN=write pytest tests/test_analysis_layouts.py`, then read the diff.
"""

import csv
import io
import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from analysis_sweep import Sweep, publish, read_lines, write, write_lines
from scipy import stats

from analysis import cells, honesty, published, report, sensitivity, table_files
from analysis.grid import Grid
from analysis.grouping import grouped
from analysis.load import Results, load
from analysis.luck import components_of
from analysis.published import lookup, model_of
from analysis.table_cells import Cell
from analysis.table_forms import FORMS
from analysis.table_layouts import paper_tables
from analysis.table_measures import measure_tables
from analysis.table_settings import Setting, settings, variant_of
from paw_bench.config.merge import merge
from paw_bench.config.presets import presets
from paw_bench.config.world_model import WorldModelConfig

GOLDEN = Path(__file__).parent / "golden" / "analysis" / "layouts"
ARMS = ("grpo", "paw", "paw <b>&_1")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Three arms, of which the last is no published method, by two alphas and three seeds, one of them missing."""
    axes = [{"world_model.selection.alpha": alpha} for alpha in (0.5, 1.0)]
    path = tmp_path_factory.mktemp("layouts") / "sweep"
    sweep = Sweep(path, arms=ARMS, seeds=(0, 1, 2), axes=axes, updates=2, games=60)
    for run in sweep.runs:
        if (run["arm"], run["seed"], run["axes"]) != ("paw", 2, axes[0]):
            sweep.done(run["arm"], run["seed"], axes=run["axes"])
    found = load(path)
    assert found.problems == ()
    return found


@pytest.fixture(scope="module")
def everything(results: Results) -> dict[str, Grid]:
    """All tables of the sweep, had its conditions been other models, algorithms and benchmarks."""
    long, compared = cells.cells(results), cells.comparisons(results)
    first, second = results.conditions
    sets = [
        Setting(first, "grpo", "alfworld", "Qwen/Qwen2.5-1.5B-Instruct", "grpo", "none", ""),
        Setting(first, "paw", "alfworld", "Qwen/Qwen2.5-1.5B-Instruct", "grpo", "paw", ""),
        Setting(first, ARMS[2], "alfworld", "Qwen/Qwen2.5-1.5B-Instruct", "grpo", "paw_ce", ""),
        Setting(second, "grpo", "alfworld", "Qwen/Qwen2.5-7B-Instruct", "grpo", "none", ""),
        Setting(second, "paw", "alfworld", "Qwen/Qwen2.5-7B-Instruct", "grpo", "paw", ""),
    ]
    other = [replace(setting, benchmark="webshop") for setting in sets[:2]]
    search = [replace(setting, benchmark="search_qa", model="Qwen/Qwen2.5-3B-Instruct") for setting in sets[:2]]
    gigpo = [replace(setting, algorithm="gigpo", model="Qwen/Qwen2.5-1.5B-Instruct") for setting in sets[3:]]
    return {
        **paper_tables(results, long, [*sets, *other, *search, *gigpo]),
        **measure_tables(results, long, compared, sets),
    }


def check_golden(name: str, content: str) -> None:
    path = GOLDEN / name
    if os.environ.get("PAW_BENCH_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    assert content == path.read_text(encoding="utf-8")


NAMES = ("main", "components", "algorithms", "models", "search_qa", "overhead", "sensitivity", "variance")


@pytest.mark.parametrize("name", NAMES)
def test_golden_layouts(everything: dict[str, Grid], name: str) -> None:
    forms = FORMS if name in {"main", "overhead"} else {"md": FORMS["md"]}
    for suffix, form in forms.items():
        check_golden(f"{name}.{suffix}", form(everything[name]))


def rows(grid: Grid) -> dict[str, tuple[str, ...]]:
    """By their first cell; the first of several."""
    return {row[0]: row for row in reversed(grid.rows)}


def test_the_difference_is_measured_minus_published(everything: dict[str, Grid]) -> None:
    main = everything["main"]
    own, paper, apart = main.rows[0], main.rows[1], main.rows[2]
    assert paper[0] == "published, Qwen2.5-1.5B-Instruct"
    assert paper[main.columns.index("All")] == "70.0 (sd 4.2)"
    assert apart[0] == "difference"
    for place in range(1, 8):
        assert apart[place].value == pytest.approx(own[place].value - paper[place].value)


def test_every_table_beside_published_numbers_warns_first(everything: dict[str, Grid]) -> None:
    for name in ("main", "components", "algorithms", "models", "search_qa", "overhead"):
        assert everything[name].notes[0].startswith("NOT COMPARABLE with published numbers: these runs play procedural")


def test_a_score_that_no_run_records_is_left_out_and_said(everything: dict[str, Grid]) -> None:
    main = everything["main"]
    assert "WebShop score" not in main.columns
    assert main.notes[-1] == "WebShop score: left out, no run records a score."
    assert main.rows[0][main.columns.index("WebShop success")] != "—"


def test_a_recorded_score_stands_beside_the_published_one(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0, 1, 2), updates=1, games=12).finish()
    means = []
    for seed in (0, 1, 2):
        run = sweep.folder("grpo", seed)
        records = read_lines(run / "episodes.jsonl")
        for number, record in enumerate(records):
            record["score"] = 0.25 + 0.1 * seed + 0.01 * (number % 12)
        write_lines(run / "episodes.jsonl", records)
        publish(run, 1)
        means.append(100 * np.mean([record["score"] for record in records if record["phase"] == "after"]))
    results = load(tmp_path)
    sets = [
        Setting("", arm, "webshop", "Qwen/Qwen2.5-1.5B-Instruct", "grpo", variant, "")
        for arm, variant in (("grpo", "none"), ("paw", "paw"))
    ]
    main = paper_tables(results, cells.cells(results), sets)["main"]
    place = main.columns.index("WebShop score")
    assert main.rows[0][place].value == pytest.approx(np.mean(means))
    assert main.rows[0][place].high == pytest.approx(stats.t.interval(0.95, 2, np.mean(means), stats.sem(means))[1])
    assert main.rows[1][place] == "75.6 (sd 3.8)"
    assert main.rows[3][place] == "—", "paw was not graded"


def test_a_score_beyond_one_takes_its_run_out(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0,), updates=1, games=12).finish()
    run = sweep.folder("paw", 0)
    write_lines(run / "episodes.jsonl", [{**r, "score": 7.5} for r in read_lines(run / "episodes.jsonl")])
    publish(run, 1)
    assert "score is 7.5, expected at most 1" in load(tmp_path).problems[0]


@pytest.mark.parametrize("cause", ["missing seeds", "mixed panels", "mixed code", "resumed with differences"])
def test_every_table_and_form_marks_what_a_number_rests_on(tmp_path: Path, cause: str) -> None:
    axes = [{"world_model.selection.alpha": alpha} for alpha in (0.5, 1.0)]
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0, 1), axes=axes, updates=1, games=60).finish()
    run = sweep.folder("paw", 1, **axes[0])
    recorded = run / "attempts" / "1" / "provenance.json"
    document = json.loads(recorded.read_text())
    other = {**document, "git": {**document["git"], "commit": "beef" + "0" * 36}}
    match cause:
        case "missing seeds":
            (run / "result.json").unlink()
        case "mixed panels":
            sweep.done("paw", 1, axes=axes[0], panel_hash="0" * 64)
        case "mixed code":
            write(recorded, other)
        case "resumed with differences":
            with (run / "journal.jsonl").open("a") as file:
                file.write(json.dumps({"event": "checkpoint", "time": 1.7e9, "attempt": 1}) + "\n")
            write(run / "attempts" / "2" / "provenance.json", other)
    found = load(tmp_path)
    sign = next(mark.sign for mark in honesty.MARKS if mark.name == cause)
    made = table_files.grids(found, cells.cells(found), cells.comparisons(found))
    assert {"main", "sensitivity", "variance", "overhead"} <= set(made)
    in_latex = re.compile(r"\$\^\\(circ|S|Vert|star)\$")
    concerned = ("main", "sensitivity", "variance", *(("overhead",) if cause != "mixed panels" else ()))
    for name in concerned:  # an update takes no longer because of what is evaluated
        marked = [place for place, row in enumerate(made[name].rows) if any(sign in cell for cell in row[1:])]
        assert marked, name
        assert any(run.name in made[name].runs[place] for place in marked) == (cause != "missing seeds")
        forms = {suffix: form(made[name]) for suffix, form in FORMS.items()}
        assert sign in forms["md"]
        assert sign in forms["html"]
        assert in_latex.search(forms["tex"])
        assert cause in forms["csv"]
    with pytest.raises(report.Refused, match=cause):
        report.build(tmp_path, strict=True)


def test_cells_carry_missing_seeds_into_every_table(everything: dict[str, Grid]) -> None:
    assert rows(everything["components"])["paw"][1].endswith("◦")
    assert rows(everything["components"])["paw"][1].note == "missing seeds"
    assert "◦" in everything["components"].notes[2]


def test_the_effect_in_the_component_table_is_the_paired_difference(results: Results, everything) -> None:
    done = results.evaluation[(results.evaluation["phase"] == "after") & (results.evaluation["task_type"] == "all")]
    done = done[done["condition"] == results.conditions[0]].set_index(["arm", "seed"])["success"]
    expected = stats.ttest_rel(done["paw"][[0, 1]], done["grpo"][[0, 1]])
    low, high = expected.confidence_interval()
    effect = rows(everything["components"])["paw"][4]
    assert (effect.low, effect.high) == pytest.approx((100 * low, 100 * high))
    assert rows(everything["components"])["paw"][5].value == pytest.approx(77.9 - 70.0)


def test_the_overhead_interval_is_the_t_interval_of_the_logarithm(results: Results, everything) -> None:
    metrics = results.metrics[results.metrics["condition"] == results.conditions[0]]
    means = metrics.groupby(["arm", "seed"])["seconds.train"].mean()
    logs = np.log(means[ARMS[2]] / means["grpo"])
    own = rows(everything["overhead"])[ARMS[2]][everything["overhead"].columns.index("Training phase %")]
    assert own.value == pytest.approx(100 * math.expm1(logs.mean()))
    if logs.std() > 1e-9:
        assert own.high == pytest.approx(100 * math.expm1(logs.mean() + stats.t.ppf(0.975, 2) * stats.sem(logs)))
    else:
        assert own.note == "no variance"


def test_a_sweep_has_the_tables_that_its_arms_and_axes_ask_for(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0, 1), updates=2, games=12)
    assert table_files.grids(*of(sweep)) == {}
    assert set(table_files.grids(*of(sweep.finish()))) == {"main", "overhead", "variance"}
    alone = Sweep(tmp_path / "alone", arms=("grpo",), updates=2, games=12).finish()
    assert set(table_files.grids(*of(alone))) == {"main", "variance"}


def of(sweep: Sweep):
    found = load(sweep.path)
    return found, cells.cells(found), cells.comparisons(found)


def test_a_family_of_arms_is_a_sensitivity_sweep(tmp_path: Path) -> None:
    key = "world_model.loss.rho"
    on = {"world_model.enabled": {"base": False, "arm": True}}
    changes = {"grpo": {}, "paw": on, "paw 0.5": {**on, key: {"base": 0.2, "arm": 0.5}}}
    sweep = Sweep(tmp_path, arms=tuple(changes), seeds=(0, 1), updates=2, games=12, changes=changes).finish()
    table = table_files.grids(*of(sweep))["sensitivity"]
    assert table.headings == {0: key}
    assert [row[:2] for row in table.rows] == [("0.2", "paw"), ("0.5", "paw 0.5")]


def test_an_arm_that_scores_nothing_because_it_keeps_all_belongs_to_the_sweep_of_alpha(tmp_path: Path) -> None:
    key, score = "world_model.selection.alpha", "world_model.selection.score"
    half, whole = ({key: {"base": 0.75, "arm": alpha}} for alpha in (0.5, 1.0))
    unscored = {score: {"base": "entropy", "arm": "none"}}
    drawn = {score: {"base": "entropy", "arm": "random"}}
    changes = {"paw": {}, "half": half, "whole": whole | unscored, "random": drawn, "half random": half | drawn}
    sweep = Sweep(tmp_path, arms=tuple(changes), seeds=(0, 1), updates=2, games=12, changes=changes).finish()
    table = table_files.grids(*of(sweep))["sensitivity"]
    assert [row[:2] for row in table.rows] == [
        *(("0.5", "half"), ("0.75", "paw"), ("1.0", "whole")),
        *(("0.5", "half random"), ("0.75", "random")),
    ]
    (line,) = sensitivity.lines(load(sweep.path))
    assert (line.key, line.arm, [point.value for point in line.points]) == (key, "paw", [0.5, 0.75, 1.0])


def test_the_sensitivity_table_holds_no_comparison_with_another_arm_than_the_reference(tmp_path: Path) -> None:
    key = "world_model.loss.rho"
    on = {"world_model.enabled": {"base": False, "arm": True}}
    changes = {"grpo": {}, "paw": on, "paw 0.5": {**on, key: {"base": 0.2, "arm": 0.5}}}
    pairs = [["paw", "grpo"], ["paw", "paw 0.5"]]
    sweep = Sweep(tmp_path, arms=tuple(changes), seeds=(0, 1), updates=2, games=12, changes=changes, comparisons=pairs)
    for arm, won in zip(changes, (3, 6, 12), strict=True):
        for seed in (0, 1):
            sweep.done(arm, seed, wins={"after": [int(game < won) for game in range(12)]})
    table = table_files.grids(*of(sweep))["sensitivity"]
    place = table.columns.index("Against grpo")
    assert rows(table)["0.2"][place].value == pytest.approx(25.0)
    assert rows(table)["0.5"][place] == "—", "no comparison of it with grpo is planned"


@pytest.mark.parametrize("name", ["main", "overhead", "variance"])
def test_csv_holds_what_the_words_say(everything: dict[str, Grid], name: str) -> None:
    grid = everything[name]
    table = list(csv.DictReader(io.StringIO(FORMS["csv"](grid))))
    assert len(table) == len(grid.rows)
    assert len(set(table[0])) == len(next(csv.reader(io.StringIO(FORMS["csv"](grid)))))  # no column twice
    for written, row in zip(table, grid.rows, strict=True):
        for column, cell in zip(grid.columns, row, strict=True):
            if isinstance(cell, Cell) and not math.isnan(cell.value):
                assert float(written[column]) == cell.value
            elif not isinstance(cell, Cell):
                assert written[column] == cell
    if name != "variance":
        assert table[0]["Warning"].startswith("NOT COMPARABLE")


def test_html_escapes_names_and_loads_nothing(everything: dict[str, Grid]) -> None:
    page = FORMS["html"](everything["components"])
    assert "paw &lt;b&gt;&amp;_1" in page
    assert not re.search(r"<script|<link|src=|href=|url\(", page)
    assert page.count("<tr>") == page.count("</tr>") == len(everything["components"].rows) + 2


def test_settings_and_variants_are_read_from_the_runs(results: Results) -> None:
    found = settings(results)
    assert [(own.arm, own.variant, own.algorithm, own.benchmark) for own in found[:2]] == [
        ("grpo", "none", "grpo", "alfworld"),
        ("paw", "paw", "grpo", "alfworld"),
    ]
    assert found[0].rest == "world_model.selection.alpha=0.5"
    paw = presets()["paw"]
    for delta, name in (
        ({"loss": {"kind": "ce"}}, "paw_ce"),
        ({"balance": {"kind": "constant", "value": 1.0}}, "paw_fixed_lambda"),
        ({"selection": {"alpha": 0.5}}, "custom"),
        ({"targets": "shuffled"}, "shuffled"),
    ):
        assert variant_of(WorldModelConfig.model_validate(merge(paw, delta))) == name


def test_lookup_prefers_the_paper_and_the_row_with_a_spread() -> None:
    cell = {"algorithm": "grpo", "world_model": "none", "benchmark": "alfworld", "metric": "success_rate"}
    found = lookup("Qwen2.5-1.5B-Instruct", **cell, task="all")
    assert (found.value, found.sd, found.source) == (70.0, 4.2, published.PAW)
    tapo = lookup("Qwen2.5-1.5B-Instruct", **{**cell, "world_model": "tapo"}, task="all")
    assert (tapo.value, tapo.source) == (76.4, "arXiv:2607.27973")
    assert math.isnan(lookup("no model", **cell, task="all").value)
    assert model_of("Qwen/Qwen2.5-7B-Instruct", "alfworld") == "Qwen2.5-7B-Instruct"
    assert model_of("embedded", "search_qa") == "Qwen2.5-3B-Instruct"


def test_seeds_that_played_different_games_are_nested(results: Results) -> None:
    own = results.episodes[(results.episodes["arm"] == "grpo") & (results.episodes["phase"] == "after")]
    own = own[own["condition"] == results.conditions[0]]
    (part,) = grouped(own, ("arm",), ("seed", "task_id", "success")).values()
    assert components_of(part).layout == "crossed"
    assert components_of({name: values[1:] for name, values in part.items()}).layout == "nested"
