"""Is the wheel a release? Builds it, installs it into a new virtual environment, and runs the tutorial there.

    python tests/release.py

Nothing of the checkout is on the path of what runs, and the folder that it runs in lies outside of it. The dependencies
are this interpreter's own, so that torch is not installed twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(folder: Path) -> Path:
    """The wheel of the checkout, made into `folder`. pip fetches the build backend."""
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("paw_bench-*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """A new virtual environment in `folder` with the wheel; its `paw-bench`.

    A line in a .pth file puts this interpreter's packages on the path, behind the wheel. An editable install among them
    stays out, because its own .pth file does not count there.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    _pip("--python", str(python), "install", "--no-deps", str(wheel))
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin" / "paw-bench"


def _pip(*arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *arguments], check=True, cwd=tempfile.gettempdir(), env=clean())


def clean() -> dict[str, str]:
    """This process's variables without those that lead Python to a checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def main() -> int:
    """Exit code of the tutorial's tests."""
    with tempfile.TemporaryDirectory(prefix="paw-bench-release-") as name:
        folder = Path(name)
        program = install(build(folder), folder / "venv")
        tests = [sys.executable, "-m", "pytest", str(ROOT / "tests" / "test_docs_tutorial.py"), "-v"]
        environment = {**os.environ, "PAW_BENCH_PROGRAM": str(program)}
        return subprocess.run([*tests, "--basetemp", str(folder / "runs")], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
