"""Errors that a user can mend. Each names where, what and how; the CLI prints them without a traceback and exits 2."""

from __future__ import annotations


class UserError(Exception):
    """A problem the user can mend: what is wrong, and the remedy."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}\n  remedy: {remedy}" if remedy else problem)


class ConfigError(UserError):
    """A bad value in an experiment, scale or profile file."""

    def __init__(self, *, file: str, key: str, value: object, problem: str, remedy: str = "") -> None:
        self.file = file
        self.key = key
        self.value = value
        super().__init__(f"{file}: {key}: {problem} (got {value!r})", remedy)


class StoreError(UserError):
    """A file of a results folder that cannot be used as it is."""


class WriteError(StoreError):
    """A file that the system would not write: no space left, a quota, permissions."""
