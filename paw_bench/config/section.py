"""What every section of the schema is made of: the base class, the bounded numbers, and impossible combinations."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFraction = Annotated[float, Field(gt=0.0, le=1.0)]


IMPOSSIBLE = "impossible"
"""Error type of a combination of valid values that makes no sense together."""


def impossible(key: str, problem: str, remedy: str) -> PydanticCustomError:
    """The error of an impossible combination; `key` is dotted, relative to the section that raises it."""
    return PydanticCustomError(IMPOSSIBLE, "{problem}: {remedy}", {"key": key, "problem": problem, "remedy": remedy})


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, no silent coercion between types, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
