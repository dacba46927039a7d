"""The tables on a sweep whose every win is written down, so that each number can be checked by hand.

Golden files: rewrite them with `PAW_BENCH_GOLDEN=write pytest tests/test_analysis_tables.py`, then read the diff.
"""

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from analysis_sweep import Sweep
from scipy import optimize, stats

from analysis import cells, grid, run_tables, tables
from analysis.load import load
from analysis.report import build
from analysis.statistics_power import detectable
from analysis.statistics_variance import crossed

GOLDEN = Path(__file__).parent / "golden" / "analysis"
SPECIAL = "paw_$5|100% & #1 {x}~^\\ <b>*y*"
ARMS = ("grpo", SPECIAL, "[late] arm")
# Two games of each of the six types, in the order pick look clean heat cool pick2, twice.
BEFORE = "100000 100000"
AFTER = {
    ("grpo", 0): "110000 100000",
    ("grpo", 1): "110100 100100",
    ("grpo", 2): "111000 100000",
    (SPECIAL, 0): "111100 110010",
    (SPECIAL, 1): "111110 111110",
    (SPECIAL, 2): "111110 111010",
    ("[late] arm", 1): "111111 000000",
}


def wins(pattern: str) -> list[int]:
    return [int(digit) for digit in pattern.replace(" ", "")]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    made = Sweep(tmp_path / "sweep", arms=ARMS, seeds=(0, 1, 2), updates=3, games=12)
    for (arm, seed), after in AFTER.items():
        made.done(arm, seed, wins={"before": wins(BEFORE), "after": wins(after)})
    return made


def built(sweep: Sweep) -> tuple[pd.DataFrame, pd.DataFrame, grid.Grid]:
    results = load(sweep.path)
    assert results.problems == ()
    long, compared = cells.cells(results), cells.comparisons(results)
    return long, compared, tables.ablation(results, long, compared)


def cell(table: grid.Grid, arm: str, column: str) -> str:
    row = next(row for row in table.rows if row[0] == arm)
    return row[table.columns.index(column)]


def check_golden(name: str, content: str) -> None:
    path = GOLDEN / name
    if os.environ.get("PAW_BENCH_GOLDEN") == "write":
        path.write_text(content, encoding="utf-8")
    assert content == path.read_text(encoding="utf-8")


def test_golden_tables(sweep: Sweep) -> None:
    results = load(sweep.path)
    _, compared, ablation = built(sweep)
    check_golden("table.md", grid.markdown(ablation))
    check_golden("table.tex", grid.latex(ablation))
    check_golden("table.txt", grid.text(ablation, 100))
    check_golden("comparisons.md", grid.markdown(tables.comparison_table(results, compared)))
    check_golden("cost.md", grid.markdown(run_tables.cost(results)))


def test_cells_hold_mean_and_interval_over_seeds_at_full_precision(sweep: Sweep) -> None:
    long, _, table = built(sweep)
    values = np.array([3, 5, 4]) / 12  # grpo, wins of 12 games
    low, high = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
    found = long[(long["arm"] == "grpo") & (long["phase"] == "after") & (long["task_type"] == "all")].iloc[0]
    assert found["mean"] == pytest.approx(values.mean(), abs=1e-15)
    assert found["mean"] + found["half_width"] == pytest.approx(high)
    assert found["mean"] - found["half_width"] == pytest.approx(low)
    assert (found["n"], found["planned"], found["seeds"], found["games"]) == (3, 3, "0 1 2", "12")
    assert cell(table, "grpo", "All") == f"{100 * values.mean():.1f} ± {100 * (high - low) / 2:.1f}"
    assert cell(table, "grpo", "Pick") == "100.0 ‡"
    assert cell(table, "grpo", "Pick2") == "0.0 ‡"
    assert cell(table, "[late] arm", "All") == "50.0 † ◦"
    assert cell(table, "[late] arm", "Seeds") == "1/3"


def test_all_is_weighted_by_episodes(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0,), updates=1, games=7)  # two pick games, one of the others
    for arm in ("grpo", "paw"):
        sweep.done(arm, 0, wins={"after": wins("100000 1"), "before": wins("000000 0")})
    _, _, table = built(sweep)
    assert cell(table, "paw", "Pick") == "100.0 †"
    assert cell(table, "paw", "All") == f"{100 * 2 / 7:.1f} †"


def test_gain_is_paired_run_by_run(sweep: Sweep) -> None:
    _, _, table = built(sweep)
    gains = np.array([3, 5, 4]) / 12 - 2 / 12
    half = stats.t.ppf(0.975, 2) * stats.sem(gains)
    assert cell(table, "grpo", "Gain") == f"+{100 * gains.mean():.1f} ± {100 * half:.1f}"


def test_the_difference_is_paired_adjusted_and_has_a_verdict(sweep: Sweep) -> None:
    _, compared, table = built(sweep)
    arm, reference = np.array([7, 10, 9]) / 12, np.array([3, 5, 4]) / 12
    found = compared[compared["arm"] == SPECIAL].iloc[0]
    test = stats.ttest_rel(arm, reference)
    assert found["method"] == "paired t"
    assert found["p"] == pytest.approx(test.pvalue)
    assert found["p_holm"] == pytest.approx(2 * test.pvalue)  # two comparisons are planned, one can be tested
    assert found["correlation"] == pytest.approx(np.corrcoef(arm, reference)[0, 1])
    assert found["welch_p"] == pytest.approx(stats.ttest_ind(arm, reference, equal_var=False).pvalue)
    assert cell(table, SPECIAL, "Verdict") == "resolved"
    assert bool(found["resolved"])
    assert cell(table, "grpo", "All against grpo") == "reference"
    assert cell(table, "[late] arm", "All against grpo") == "+8.3 † ◦"
    assert cell(table, "[late] arm", "Verdict") == "not resolved"


def test_what_would_have_been_found_is_not_below_the_luck_of_the_episodes(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0, 1, 2), updates=1, games=12)
    rng = np.random.default_rng(0)
    won = {"grpo": (4, 5, 4), "paw": (6, 6, 6)}
    games = {arm: [rng.permutation(12) < number for number in of_seeds] for arm, of_seeds in won.items()}
    for arm, of_seeds in games.items():
        for seed, own in enumerate(of_seeds):
            sweep.done(arm, seed, wins={"after": own.astype(int).tolist()})
    _, compared, _ = built(sweep)
    (row,) = compared.to_dict("records")
    apart = np.array(games["paw"], dtype=float) - np.array(games["grpo"], dtype=float)
    luck = crossed(apart).episode / math.sqrt(3)
    assert luck > stats.sem(apart.mean(axis=1))
    assert row["detectable"] == pytest.approx(detectable(luck, 2.0))


def test_an_open_verdict_says_what_would_have_been_found_and_the_correlation_is_printed(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0, 1, 2), updates=1, games=12)
    won = {"grpo": (3, 5, 4), "paw": (4, 4, 6)}
    for arm, of_seeds in won.items():
        for seed, games in enumerate(of_seeds):
            sweep.done(arm, seed, wins={"after": [1] * games + [0] * (12 - games)})
    _, compared, table = built(sweep)
    differences = (np.array(won["paw"]) - np.array(won["grpo"])) / 12

    def power(effect: float) -> float:
        beyond = stats.nct(2, effect / stats.sem(differences))
        quantile = stats.t.ppf(0.975, 2)
        return beyond.sf(quantile) + beyond.cdf(-quantile)

    detectable = optimize.brentq(lambda effect: power(effect) - 0.8, 1e-6, 5.0)
    assert cell(table, "paw", "Verdict") == f"not resolved ({100 * detectable:.1f})"
    pairs = tables.comparison_table(load(sweep.path), compared)
    (row,) = pairs.rows
    found = next(text for name, text in zip(pairs.columns, row, strict=True) if "orrelation" in name)
    assert found.startswith(f"{np.corrcoef(won['paw'], won['grpo'])[0, 1]:.2f}")


def test_a_sweep_that_has_not_begun_is_a_table_of_gaps(tmp_path: Path) -> None:
    _, compared, table = built(Sweep(tmp_path))
    for row in table.rows:
        assert set(row[1:]) <= {"—", "reference", "", "0/2"}
    assert not compared["resolved"].any()
    assert "PARTIAL: 0 of 6 planned runs are finished; what is resolved now may not stay so." in table.notes
    assert "Procedural" not in " ".join(table.notes)


def test_arms_without_common_seeds_are_compared_by_welch_and_the_note_says_so(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0, 1, 2, 3), updates=2, games=60)
    sweep.finish(skip=[("grpo", 0), ("grpo", 1), ("paw", 2), ("paw", 3)])
    _, compared, table = built(sweep)
    assert compared["method"].tolist() == ["Welch t"]
    assert any("but by Welch's t for paw" in note for note in table.notes)


def test_arms_that_were_evaluated_on_different_games_are_not_compared(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), updates=2, games=12).finish(skip=[("paw", 0), ("paw", 1)])
    for seed in (0, 1):
        sweep.done("paw", seed, panel_hash="0" * 64)
    _, compared, table = built(sweep)
    assert compared["gap"].tolist() == ["different games"]
    assert math.isnan(compared["mean"].iloc[0])
    assert cell(table, "paw", "Verdict") == "different games"
    sweep.done("paw", 1)
    long, _, table = built(sweep)
    assert cell(table, "paw", "All").endswith("§")
    assert long["mixed_games"].any()
    assert any(note.startswith("§") for note in table.notes)


def test_each_condition_of_the_axes_is_a_block_and_holm_counts_them_all(tmp_path: Path) -> None:
    axes = [{"model.name": "embedded"}, {"model.name": "embedded-small"}]
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0, 1, 2), axes=axes, updates=2, games=60).finish()
    _, compared, table = built(sweep)
    assert table.headings == {0: "model.name=embedded", 2: "model.name=embedded-small"}
    assert len(compared) == 2
    assert compared["p_holm"].min() == pytest.approx(min(1.0, 2 * compared["p"].min()))


def test_comparisons_of_the_plan_that_leave_out_the_reference_stand_in_their_own_table(tmp_path: Path) -> None:
    pairs = [["paw with shuffled observations", "paw"]]
    sweep = Sweep(tmp_path, seeds=(0, 1, 2), updates=2, games=60, comparisons=pairs).finish()
    results = load(sweep.path)
    _, compared, table = built(sweep)
    assert cell(table, "paw", "Verdict") == "not planned"
    words = tables.comparison_table(results, compared)
    assert [row[:2] for row in words.rows] == [("paw with shuffled observations", "paw")]
    between = tables.between_arms(words, results.reference)
    assert between is not None
    assert between.rows == tuple((row[0], row[1], row[2], row[9]) for row in words.rows)
    terminal = build(sweep.path).text.partition("Planned comparisons with other arms:")[2]
    assert "paw with shuffled observations paw" in " ".join(terminal.split())


def test_comparisons_with_the_reference_stand_in_the_ablation_table_alone(tmp_path: Path) -> None:
    results = load(Sweep(tmp_path, seeds=(0, 1, 2), updates=2, games=60).finish().path)
    words = tables.comparison_table(results, cells.comparisons(results))
    assert tables.between_arms(words, results.reference) is None


def test_failed_runs_are_named_below_the_table_that_leaves_them_out(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo", "paw"), seeds=(0, 1), updates=2, games=12).finish(skip=[("paw", 1)])
    sweep.failed("paw", 1, "PolicyCollapsed: no success in updates 3 to 7")
    *_, table = built(sweep)
    assert "Failed runs are in no mean, which can flatter their arms: paw seed 1 (PolicyCollapsed)." in table.notes


def test_no_comparison_at_all(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo",), updates=2, games=12).finish()
    _, compared, table = built(sweep)
    assert compared.empty
    assert cell(table, "grpo", "Verdict") == ""


def test_every_cell_names_the_runs_and_results_behind_it(sweep: Sweep) -> None:
    results = load(sweep.path)
    long, compared, _ = built(sweep)
    hashes = results.runs.set_index("run_id")["result_sha256"]
    for row in long.to_dict("records"):
        ids = row["run_ids"].split()
        assert len(ids) == row["n"]
        assert row["result_sha256"].split() == [hashes[run_id] for run_id in ids]
    wide = cells.wide(results, long, compared).set_index("arm")
    assert wide.at[SPECIAL, "run_ids"].split() == [sweep.folder(SPECIAL, seed).name for seed in (0, 1, 2)]
    assert wide.at[SPECIAL, "difference_p"] == compared["p"].iloc[0]


def test_the_world_model_table_averages_runs_not_updates_and_marks_arms_without_the_term(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, seeds=(0, 1, 2), updates=4, games=12).finish()
    results = load(sweep.path)
    table = run_tables.world_model(results)
    own = results.metrics[results.metrics["arm"] == "paw"].groupby("seed")["wm.lambda_mean"].mean()
    half = stats.t.ppf(0.975, 2) * stats.sem(own)
    assert cell(table, "paw", "Mean λ") == f"{own.mean():.2f} ± {half:.2f}"
    assert cell(table, "grpo", "Mean λ").startswith("(")
    assert cell(table, "paw", "Perplexity before").endswith("‡")
    after = results.fixed_transitions[results.fixed_transitions["phase"] == "after"]
    after = after[after["arm"] == "paw"]["perplexity"]
    assert table.rows[1][2] == f"{after.mean():.2f} ± {stats.t.ppf(0.975, 2) * stats.sem(after):.2f}"
    sweep.done("paw", 2, set_hash="0" * 64)
    assert any(note.startswith("NOT COMPARABLE") for note in run_tables.world_model(load(sweep.path)).notes)


def test_a_prediction_that_could_not_be_made_is_a_gap(tmp_path: Path) -> None:
    cost = {"run_seconds": {"grpo": None}, "total_seconds": None, "parallel": 1}
    table = run_tables.cost(load(Sweep(tmp_path, arms=("grpo",), updates=2, games=12, cost=cost).finish().path))
    assert cell(table, "grpo", "Predicted") == "—"
    assert cell(table, "grpo", "Measured (range)") == "1.8 (1.8–1.8)"  # noqa: RUF001
    assert any("could not be predicted" in note for note in table.notes)
