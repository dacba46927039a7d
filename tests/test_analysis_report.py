import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from analysis_sweep import Sweep

from analysis import figures, report
from paw_bench.errors import StoreError
from paw_bench.store import atomic

ARMS = ("grpo", "paw_$5|100%", "paw & shuffled")
DATA = ("report.md", "table.md", "table.tex", "table.csv", "cells.csv", "comparisons.csv", "evaluation.csv", "runs.csv")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    made = Sweep(tmp_path_factory.mktemp("report") / "sweep", arms=ARMS, seeds=(0, 1), updates=3, games=12)
    made.finish(skip=[(ARMS[1], 1)]).failed(ARMS[1], 1, "OutOfMemoryError: too big")
    return made


@pytest.fixture(scope="module")
def built(sweep: Sweep) -> report.Report:
    return report.build(sweep.path, width=90)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what surrounds the figures."""
    monkeypatch.setattr(figures, "draw", lambda results, folder: [])


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_everything_is_written_and_the_page_links_it(built: report.Report) -> None:
    assert built.files[0] == built.folder / "report.md"
    assert {path.relative_to(built.folder).as_posix() for path in built.files} == set(digests(built.folder))
    assert set(DATA) <= {path.name for path in built.files}
    page = built.files[0].read_text()
    assert (built.folder / "report.html").is_file()
    for name in set(figures.FIGURES) - {"profiles", "sensitivity"}:
        assert f"figures/{name}.png" in page
        assert (built.folder / "figures" / f"{name}.pdf").is_file()


def test_an_unfinished_sweep_says_what_is_missing_and_why(built: report.Report) -> None:
    assert (built.done, built.planned) == (5, 6)
    assert "missing: paw_$5|100% seed 1: failed: OutOfMemoryError: too big" in built.text
    assert "PARTIAL: 5 of 6 planned runs are finished; what is resolved now may not stay so." in built.text
    assert max(map(len, built.text.splitlines())) <= 90
    page = built.files[0].read_text()
    assert "5 of 6 planned runs are finished" in page
    assert "failed: OutOfMemoryError: too big" in page


def test_runs_that_are_missing_for_one_reason_share_a_line(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "sweep", arms=("grpo", "paw"), seeds=(0, 1, 2), updates=2, games=12)
    sweep.done("grpo", 0)
    sweep.failed("grpo", 2, "OutOfMemoryError: too big")
    lines = [line for line in report.build(sweep.path).text.splitlines() if line.startswith("missing: ")]
    assert lines == [
        "missing: paw seeds 0, 1, 2: not started",
        "missing: grpo seed 1: not started",
        "missing: grpo seed 2: failed: OutOfMemoryError: too big",
    ]


def test_every_number_is_traced_to_the_result_files_that_are_on_disk(sweep: Sweep, built: report.Report) -> None:
    cells = pd.read_csv(built.folder / "cells.csv", keep_default_na=False)
    assert len(cells) == 3 * 3 * 7
    for row in cells.to_dict("records"):
        for run_id, sha256 in zip(row["run_ids"].split(), row["result_sha256"].split(), strict=True):
            result = sweep.path / "runs" / run_id / "result.json"
            assert hashlib.sha256(result.read_bytes()).hexdigest() == sha256
            assert json.loads(result.read_text())["run_id"] == run_id


def test_csv_files_hold_full_precision(sweep: Sweep, built: report.Report) -> None:
    evaluation = pd.read_csv(built.folder / "evaluation.csv")
    table = pd.read_csv(built.folder / "table.csv").set_index("arm")
    after = evaluation[(evaluation["phase"] == "after") & (evaluation["task_type"] == "all")]
    for arm, mean in after.groupby("arm")["success"].mean().items():
        assert table.at[arm, "all_mean"] == pytest.approx(mean, abs=1e-15)
    assert "paw & shuffled" in table.index


def test_prediction_stands_beside_measurement(built: report.Report) -> None:
    page = built.files[0].read_text()
    assert "Predicted: 11.7 min with 2 runs at a time." in page
    assert "Measured: " in page


def test_the_same_run_files_give_the_same_bytes_anywhere_and_leave_torch_alone(
    sweep: Sweep, built: report.Report, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(sweep.path, copy, ignore=shutil.ignore_patterns("report*", ".report*"))
    code = (
        "import sys\nfrom analysis.report import build\nbuild(sys.argv[1])\n"
        "loaded = {'torch', 'transformers', 'trl', 'alfworld', 'textworld'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    process = python("-c", code, str(copy), PYTHONHASHSEED="7")
    assert process.returncode == 0, process.stderr
    assert digests(copy / "report") == digests(built.folder)


@pytest.mark.usefixtures("no_figures")
def test_a_report_that_fails_half_way_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep(tmp_path, arms=("grpo",), updates=1, games=6)
    before = digests(report.build(sweep.path).folder)
    sweep.finish()

    def broken(*_: object) -> list[Path]:
        raise RuntimeError("no pens")

    with monkeypatch.context() as patch:
        patch.setattr(figures, "draw", broken)
        with pytest.raises(RuntimeError, match="no pens"):
            report.build(sweep.path)
    assert digests(sweep.path / "report") == before
    with monkeypatch.context() as patch:
        patch.setattr(report, "publish_directory", broken)
        with pytest.raises(RuntimeError, match="no pens"):
            report.build(sweep.path)
    assert digests(sweep.path / "report") == before
    assert not list(sweep.path.glob(".report.*.tmp"))
    assert digests(report.build(sweep.path).folder) != before


@pytest.mark.usefixtures("no_figures")
def test_what_a_killed_report_left_is_cleared(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo",), updates=1, games=6)
    leftover = atomic.temporary_sibling(sweep.path / "report")
    leftover.mkdir()
    report.build(sweep.path)
    assert not leftover.exists()


def test_a_full_disk_is_said_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "_text", full)
    with pytest.raises(StoreError, match=r"no space left on the disk[\s\S]*remedy: free some space"):
        report.build(Sweep(tmp_path).path)
    assert not (tmp_path / "report").exists()


def test_a_sweep_without_any_run_has_a_report_that_says_so(tmp_path: Path) -> None:
    written = report.build(Sweep(tmp_path).path)
    assert (written.done, written.planned) == (0, 6)
    page = written.files[0].read_text()
    assert "0 of 6 planned runs are finished" in page
    assert "Nothing to draw yet" in page


@pytest.mark.usefixtures("no_figures")
def test_problems_stand_on_the_page_and_in_the_terminal(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, arms=("grpo",), updates=1, games=6).finish()
    (sweep.folder("grpo", 0) / "episodes.jsonl").write_text("")
    written = report.build(sweep.path)
    for text in (written.text, written.files[0].read_text()):
        assert "changed after the result was published" in text
    assert str(tmp_path) not in written.files[0].read_text()


def test_the_module_prints_the_table_and_refuses_a_foreign_folder(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "sweep", arms=("grpo",), updates=1, games=6).finish()
    good = python("-m", "analysis", str(sweep.path))
    assert good.returncode == 0, good.stderr
    assert "ablations (embedded): success after training" in good.stdout
    assert f"report: {sweep.path / 'report' / 'report.md'}" in good.stdout
    bad = python("-m", "analysis", str(tmp_path))
    assert bad.returncode == 2
    assert "is no sweep directory" in bad.stderr
    assert "Traceback" not in bad.stderr
