"""Where generated games and translations are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """`$PAW_BENCH_CACHE`, else `~/.cache/paw_bench`."""
    given = os.environ.get("PAW_BENCH_CACHE")
    return Path(given).expanduser().absolute() if given else Path.home() / ".cache" / "paw_bench"
