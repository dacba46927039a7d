"""The wheel holds what a checkout holds, and works outside of one."""

import subprocess
import zipfile

import pytest
from release import ROOT, build, clean, install

from paw_bench import __version__

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def paw_bench(wheel, tmp_path_factory):
    """Calls the installed program in a folder outside of the checkout: (exit code, what it prints)."""
    program = install(wheel, tmp_path_factory.mktemp("installed") / "venv")
    folder = tmp_path_factory.mktemp("elsewhere")

    def call(*arguments):
        called = subprocess.run(
            [program, *arguments], cwd=folder, env=clean(), capture_output=True, text=True, check=False
        )
        return called.returncode, called.stdout + called.stderr

    return call


def test_every_file_that_the_package_reads_is_in_the_wheel(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "ls-files", "paw_bench", "analysis"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.split()) - held == set()
    for folder in ("experiments", "slurm", "results/published"):
        files = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.suffix in (".yaml", ".csv")}
        assert files
        assert {f"paw_bench/shipped/{path}" for path in files} - held == set()


def test_no_run_nor_test_is_in_the_wheel(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"paw_bench", "analysis", f"paw_bench-{__version__}.dist-info"}


def test_the_versions_agree(paw_bench):
    code, said = paw_bench("--version")
    assert (code, said.strip()) == (0, f"paw-bench {__version__}")
    for name, line in (
        ("pyproject.toml", f'version = "{__version__}"'),
        ("CITATION.cff", f"version: {__version__}"),
        ("CHANGELOG.md", f"## {__version__}"),
    ):
        assert line in (ROOT / name).read_text().splitlines(), name


def test_the_installed_program_is_the_wheel_s_and_plans_what_it_ships(paw_bench):
    code, said = paw_bench("init", "study")
    assert code == 0, said
    for name in ("quickstart", "calibration", "ablations"):
        code, said = paw_bench("sweep", f"study/experiments/{name}.yaml", "--scale", "embedded", "--dry-run")
        assert code == 0, said
    assert str(ROOT) not in said


def test_a_run_of_the_installed_program_ends_in_a_report(paw_bench):
    code, said = paw_bench(
        "sweep", "study/experiments/calibration.yaml", "--set", "seeds=0", "--set", "arms=grpo,paw",
        "--set", "training.updates=1", "--set", "evaluation.games=8", "--results", "runs",
    )  # fmt: skip
    assert code == 0, said
    code, said = paw_bench("verify", "calibration-embedded", "--results", "runs")
    assert code == 0, said
