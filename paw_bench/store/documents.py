"""Reading what the store wrote: JSON documents with a schema version."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson

from paw_bench.config.schema import SCHEMA_VERSION
from paw_bench.errors import StoreError


def read_json(path: Path) -> dict[str, Any]:
    """The document at `path`. Raises StoreError where it is absent, no JSON object, or of another schema version."""
    try:
        document = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no such file", "check the path: is this a results folder?") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}", "check the path and its permissions") from error
    except orjson.JSONDecodeError as error:
        raise StoreError(
            f"{path}: is not valid JSON ({error})", "restore it from a copy, or remove it to redo it"
        ) from None
    if not isinstance(document, dict):
        raise StoreError(f"{path}: holds no JSON object", "restore it from a copy, or remove it to redo it")
    check_version(path, document)
    return document


def check_version(path: Path, document: dict[str, Any]) -> None:
    """Raise StoreError unless `document`, read from `path`, has this package's schema version."""
    found = document.get("schema_version")
    if found != SCHEMA_VERSION:
        raise StoreError(
            f"{path}: has schema_version {found!r}, this paw_bench reads and writes {SCHEMA_VERSION}",
            "read it with the paw_bench version that wrote it, or use another folder with --results",
        )


def sha256_of(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
