"""Small experiment files for the tests of configs and plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from paw_bench.config.experiment_file import ExperimentFile
from paw_bench.config.load import load_experiment_file
from paw_bench.errors import ConfigError

ROOT = Path(__file__).parents[1]
SHIPPED = sorted(path for path in (ROOT / "experiments").glob("*.yaml") if not path.name.startswith("tune_"))
SCALES = sorted(path.stem for path in (ROOT / "experiments" / "scales").glob("*.yaml"))

HEAD = "schema_version: 1\nscale: embedded\n"
ARMS = "arms:\n  grpo: {}\n  paw: { world_model: paw }\n"
SEEDS = "seeds: [0, 1]\n"


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str, *overrides: str, scale: str | None = None) -> ExperimentFile:
    return load_experiment_file(write(folder, text), scale=scale, overrides=overrides)


def refused(folder: Path, text: str, *overrides: str, scale: str | None = None) -> ConfigError:
    """The refusal of a file; the same text must be refused with a remedy, always."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, *overrides, scale=scale)
    assert caught.value.remedy, "a refusal without a remedy"
    return caught.value
