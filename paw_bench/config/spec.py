"""Checking the top level of a document against its typed spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from paw_bench.config.messages import refusal
from paw_bench.config.schema import SCHEMA_VERSION
from paw_bench.config.yaml_reader import Document, Place, dotted
from paw_bench.errors import ConfigError

Spec = TypeVar("Spec", bound=BaseModel)


def check_spec(document: Document, spec: type[Spec], *, replaced: Mapping[str, Any] | None = None) -> Spec:
    """The document's keys as `spec`, with the top-level keys of `replaced` taking the place of the file's.

    Raises ConfigError for another schema version, an unknown or missing key, a wrong type.
    """
    _check_version(document)
    replaced = replaced or {}

    def locate(path: Place) -> tuple[str, str]:
        return ("--set" if path[0] in replaced else document.where(path)), dotted(path)

    try:
        return spec.model_validate({**document.data, **replaced})
    except ValidationError as error:
        raise refusal(error.errors()[0], spec, locate) from None


def _check_version(document: Document) -> None:
    version = document.data.get("schema_version")
    if version == SCHEMA_VERSION and not isinstance(version, bool | float):
        return
    problem = "this key is missing" if version is None else f"this paw_bench reads version {SCHEMA_VERSION}"
    remedy = (
        f"write schema_version: {SCHEMA_VERSION}"
        if version is None
        else f"convert the file to version {SCHEMA_VERSION}, or use the paw_bench version it was written for"
    )
    raise ConfigError(
        file=document.where(("schema_version",)), key="schema_version", value=version, problem=problem, remedy=remedy
    )
