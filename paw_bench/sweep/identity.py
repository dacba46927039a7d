"""The identity of a run: a hash of everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from paw_bench.config.schema import ExperimentConfig

DIGITS = 12

_ADDED_LATER = (("algorithm", "gigpo"), ("algorithm", "ppo"))
"""Keys younger than the first run ids. At their default they are left out of the hash, so that old ids stand."""


def canonical_json(document: dict[str, Any]) -> bytes:
    """The one JSON text of a dumped config: sorted keys, no spaces, UTF-8.

    Python's own encoder writes it, whose floats are the shortest repr in every version. Those of faster libraries have
    changed between versions, and then finished runs would get new names.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def run_id(experiment: ExperimentConfig) -> str:
    """First 12 hex digits of the SHA-256 of the config's canonical JSON."""
    return hashlib.sha256(canonical_json(_hashed(experiment.model_dump()))).hexdigest()[:DIGITS]


def run_ids(document: dict[str, Any], seeds: Iterable[int]) -> list[str]:
    """The run id of a dumped config with each of the seeds put in; the rest of its JSON is written once."""
    document = _hashed(document)
    before = canonical_json({key: value for key, value in document.items() if key < "seed"})
    after = canonical_json({key: value for key, value in document.items() if key > "seed"})
    head = hashlib.sha256(before[:-1] + b',"seed":')
    ids = []
    for seed in seeds:
        whole = head.copy()
        whole.update(b"%d,%s" % (seed, after[1:]))
        ids.append(whole.hexdigest()[:DIGITS])
    return ids


def _hashed(document: dict[str, Any]) -> dict[str, Any]:
    """A dumped config without the younger keys that have their default."""
    default = ExperimentConfig().model_dump()
    for section, key in _ADDED_LATER:
        if document[section][key] == default[section][key]:
            rest = {name: value for name, value in document[section].items() if name != key}
            document = {**document, section: rest}
    return document
