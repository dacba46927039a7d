"""`python -m analysis SWEEP_DIR`: write the report of a sweep and print its table."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from analysis.report import build
from paw_bench.errors import UserError


def main() -> int:
    """Exit code 0, or 2 for a folder that cannot be reported on."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=main.__doc__)
    parser.add_argument("sweep", type=Path, help="a sweep directory: results/runs/<experiment>-<scale>")
    arguments = parser.parse_args()
    try:
        report = build(arguments.sweep, width=shutil.get_terminal_size((100, 24)).columns)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(report.text)
    print(f"report: {report.files[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
