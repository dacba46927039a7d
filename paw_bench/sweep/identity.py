"""The identity of a run: a hash of everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json

from paw_bench.config.schema import ExperimentConfig

DIGITS = 12


def canonical_json(experiment: ExperimentConfig) -> bytes:
    """The one JSON text of a config: sorted keys, no spaces, UTF-8.

    Python's own encoder writes it: its floats are the shortest repr in every version, whereas a library's may change
    and would then give finished runs new names.
    """
    document = experiment.model_dump()
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def run_id(experiment: ExperimentConfig) -> str:
    """First 12 hex digits of the SHA-256 of the config's canonical JSON."""
    return hashlib.sha256(canonical_json(experiment)).hexdigest()[:DIGITS]
