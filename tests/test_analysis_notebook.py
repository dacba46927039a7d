"""`import analysis` as in a notebook: cheap, without torch, and tidy."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
from analysis_sweep import Sweep

import analysis
from analysis import frames


def test_a_notebook_session(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "sweep", updates=4, games=12).finish()
    results = analysis.load(str(sweep.path))
    assert analysis.load(sweep.path).name == results.name  # also after the import of the submodule
    last = results.metrics.groupby("run_id")["update"].max()
    joined = results.runs.set_index("run_id").join(last.rename("last"))
    assert (joined["last"] == 4).all()
    success = results.episodes.groupby(["run_id", "phase"])["success"].mean().unstack()
    pd.testing.assert_series_equal(
        success["after"].sort_index(),
        results.runs.set_index("run_id")["success_after"].sort_index(),
        check_names=False,
    )


def test_the_documented_columns_and_dtypes_are_those_of_the_frames(tmp_path: Path) -> None:
    for sweep in (Sweep(tmp_path / "full", updates=2, games=12).finish(), Sweep(tmp_path / "empty")):
        results = analysis.load(sweep.path)
        for name in ("runs", "evaluation", "metrics", "episodes", "fixed_transitions"):
            found = getattr(results, name)
            for column, dtype in getattr(frames, name.upper()).items():
                assert str(found[column].dtype) == dtype, (name, column)


def test_importing_the_package_imports_nothing_heavy_and_loading_no_torch(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "sweep", updates=2, games=12).finish()
    code = (
        "import sys, analysis\n"
        "assert not {'pandas', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        f"analysis.load({str(sweep.path)!r})\n"
        "import analysis.explain\n"
        "assert not {'matplotlib', 'scipy.stats'} & set(sys.modules)\n"
        "assert not {'torch', 'transformers', 'trl', 'alfworld', 'textworld'} & set(sys.modules)\n"
        "import analysis.report\n"
        f"assert analysis.load({str(sweep.path)!r}).problems == ()\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_help_is_there_at_once() -> None:
    code = "import sys, analysis.__main__ as m\nsys.argv[1:] = ['--help']\ntry: m.main()\n"
    code += "except SystemExit: assert not {'pandas', 'numpy', 'matplotlib', 'pydantic'} & set(sys.modules)\n"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert "usage: python -m analysis" in process.stdout
