"""What an experiment file says about its own tuning: on which panel its settings were chosen.

A score on the panel that settings were chosen on is too high, because the best of many noisy scores was taken. So a
tuned file that reports on that panel is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from paw_bench.config.section import Fraction, PositiveInt, Section
from paw_bench.errors import ConfigError

if TYPE_CHECKING:
    from paw_bench.config.effects import Resolved
    from paw_bench.config.experiment_file import ExperimentFile


class Tuned(Section):
    """The key `tuned` of an experiment file; `paw-bench tune` writes it into `best.yaml`."""

    study: str
    """Name of the study's folder."""
    panel: str
    """The panel that the settings were chosen on."""
    trials: dict[str, PositiveInt]
    """Arm -> settings that were tried."""
    seeds: list[int]
    """Training seeds of every trial."""
    scores: dict[str, Fraction]
    """Arm -> success (a share) of the best trial on that panel: the best of many, so too high."""


def refuse_tuned_panel(file: ExperimentFile, resolved: Iterable[Resolved]) -> None:
    """Raise ConfigError where a run would report on the panel that the file's settings were chosen on."""
    for entry in resolved:
        panel = entry.config.evaluation.panel
        if file.tuned is not None and panel == file.tuned.panel:
            where, written = file.locate(("evaluation", "panel"), entry.arm, entry.point)
            raise ConfigError(
                file=where,
                key=written,
                value=panel,
                problem=f"the settings were chosen on this panel by the study {file.tuned.study}: "
                "a result on it would be too high",
                remedy="report on valid_seen or valid_unseen",
            )
