"""What is made once and kept: gzipped JSON, made by a process of its own where it is absent or damaged.

The makers bring tens of megabytes of libraries and memory that they would not give back; the workers, of which there
may be many, need none of it.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import orjson

Read = TypeVar("Read")


def kept(path: Path | None, read: Callable[[Any], Read], maker: str, source: bytes) -> Read:
    """What `read` makes of the JSON at `path`, or else of what the module `maker` of this package makes of `source`.

    What was made is put there if possible; None: it is not kept. Raises RuntimeError with the maker's own words where
    it fails.
    """
    if path is not None:
        with contextlib.suppress(OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
            return read(orjson.loads(gzip.decompress(path.read_bytes())))
    command = [sys.executable, "-P", "-m", f"{__package__}.{maker}"]
    # A hash seed, so that every process makes the same of it.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    run = subprocess.run(command, input=source, capture_output=True, env=environment, check=False)
    if run.returncode:
        raise RuntimeError(f"{maker} failed on a game:\n{run.stderr.decode(errors='replace')}")
    if path is not None:
        # A cache that cannot be written costs time, not the run.
        with contextlib.suppress(OSError):
            _write(path, gzip.compress(run.stdout, compresslevel=1, mtime=0))
    return read(orjson.loads(run.stdout))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
