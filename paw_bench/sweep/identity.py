"""The identity of a run: a hash of everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from paw_bench.config.schema import ExperimentConfig

DIGITS = 12

LATER_KEYS: dict[str, Any] = {
    "algorithm": {
        "gigpo": {"step_weight": 1.0, "discount": 0.95, "similarity": 1.0},
        "ppo": {
            "critic_learning_rate": 1e-5,
            "value_coefficient": 0.5,
            "value_clip": 0.5,
            "discount": 1.0,
            "gae_lambda": 1.0,
        },
    },
    "environment": {"options": {}},
    "model": {"lora_rank": None, "lora_alpha": 32.0},
    "world_model": {
        "loss": {"q": 0.7},
        "balance": {"final": None, "over": "group"},
        "max_target_tokens": None,
        "inverse_dynamics": False,
        "schedule": {"every": 1, "separate": False, "rl_term": True},
    },
}
"""Keys that the schema got after runs had been named, with the value at which a run is what it was before.

At that value a key is left out of the hash, so earlier runs keep their ids. The value stays as it is here even if the
schema's default should change.
"""


def canonical_json(document: dict[str, Any]) -> bytes:
    """The one JSON text of a dumped config: sorted keys, no spaces, UTF-8.

    Python's own encoder writes it, whose floats are the shortest repr in every version. Those of faster libraries have
    changed between versions, and then finished runs would get new names.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def hashed_part(document: dict[str, Any], later: dict[str, Any] = LATER_KEYS) -> dict[str, Any]:
    """A dumped config without those of the `later` keys that hold their old value; `document` is not changed."""
    kept = dict(document)
    for key in later.keys() & document.keys():
        section = isinstance(later[key], dict)
        if section:
            kept[key] = hashed_part(document[key], later[key])
        # A section that held later keys only is gone with them.
        if kept[key] == ({} if section else later[key]):
            del kept[key]
    return kept


def run_id(experiment: ExperimentConfig) -> str:
    """First 12 hex digits of the SHA-256 of the config's canonical JSON."""
    return hashlib.sha256(canonical_json(hashed_part(experiment.model_dump()))).hexdigest()[:DIGITS]


def run_ids(document: dict[str, Any], seeds: Iterable[int]) -> list[str]:
    """The run id of a dumped config with each of the seeds put in; the rest of its JSON is written once."""
    document = hashed_part(document)
    before = canonical_json({key: value for key, value in document.items() if key < "seed"})
    after = canonical_json({key: value for key, value in document.items() if key > "seed"})
    head = hashlib.sha256(before[:-1] + b',"seed":')
    ids = []
    for seed in seeds:
        whole = head.copy()
        whole.update(b"%d,%s" % (seed, after[1:]))
        ids.append(whole.hexdigest()[:DIGITS])
    return ids
