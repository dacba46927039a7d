"""`budget`: from how many hours on `paw-bench sweep` asks before it starts anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paw_bench.config.section import NonNegative, Section
from paw_bench.config.yaml_reader import Document

Unit = Literal["gpu", "core"]
"""What hours are counted of: the GPUs of runs that use any, the CPU cores of the others."""


class Budget(Section):
    """The keys of `budget`, in an experiment file and in a cluster profile. None: no limit."""

    gpu_hours: NonNegative | None = None
    """Hours x GPUs of the runs that use GPUs."""
    core_hours: NonNegative | None = None
    """Hours x CPU cores of the runs that use no GPU."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit and where it is written."""

    unit: Unit
    hours: float
    where: str
    """`file:line: key`."""


def limits(budget: Budget | None, document: Document) -> tuple[Limit, ...]:
    """The limits that `document` sets."""
    if budget is None:
        return ()
    units: tuple[Unit, ...] = ("gpu", "core")
    given = ((unit, f"{unit}_hours") for unit in units)
    return tuple(
        Limit(unit, getattr(budget, key), f"{document.where(('budget', key))}: budget.{key}")
        for unit, key in given
        if getattr(budget, key) is not None
    )
