"""`python -m analysis SWEEP_DIR`: write the report of a sweep and print its table."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from paw_bench.errors import UserError


def main() -> int:
    """Exit code 0, 1 where --strict refuses, or 2 for a folder that cannot be reported on."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=main.__doc__)
    parser.add_argument("sweep", type=Path, help="a sweep directory: results/runs/<experiment>-<scale>")
    parser.add_argument("--strict", action="store_true", help="refuse, a line each, what a report would mark")
    arguments = parser.parse_args()
    from analysis.report import Refused, build  # here: --help needs none of it, and drawing takes a second to import

    try:
        report = build(arguments.sweep, width=shutil.get_terminal_size((100, 24)).columns, strict=arguments.strict)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(report.text)
    print(f"report: {report.files[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
