"""Search QA as an environment of the suite: search, read, answer; four turns in the paper's setting."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import Field

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.config.section import NonNegativeInt, PositiveInt
from paw_bench.envs.definition import Definition, Listed, Missing, PanelOptions
from paw_bench.envs.protocol import Demonstrator, Environment, Player, StepResult, Task
from paw_bench.envs.words import Words
from paw_bench.errors import ConfigError

if TYPE_CHECKING:
    from paw_bench.envs.search_qa.environment import Desk
    from paw_bench.envs.search_qa.library import Library, Question


Kind = Literal["one hop", "two hops", "three hops", "comparison"]


class SearchQaOptions(PanelOptions):
    """Which library, and how many questions of each panel."""

    source: Literal["generated", "data"] = "generated"
    """`generated`: a world made from the seed; `data`: your own files under `$SEARCH_QA_DATA`."""
    seed: NonNegativeInt = 0
    documents: PositiveInt = 2000
    """Size of the generated library."""
    kinds: list[Kind] = Field(default=list(get_args(Kind)), min_length=1)
    """Kinds of generated questions that are asked."""
    hits: PositiveInt = 3
    """Documents that a search shows."""


class SearchQa(Definition):
    """Questions over a library with a search box."""

    options = SearchQaOptions
    words = Words(
        role="You are an expert agent that answers questions with the help of a search engine.",
        instruction=re.compile(r"Your question is: (.*?)\s*\Z", re.DOTALL),
        task="Your question is: {}",
        ask=(
            "Now take a step. First reason step by step about what you know and what you lack, inside <think> </think> "
            "tags. Then either search, giving a query inside <search> </search> tags, and you will be shown what is "
            "found inside <information> </information> tags; or, when you know enough, give the answer alone inside "
            "<answer> </answer> tags."
        ),
        tags=("search", "answer"),
        listed=False,
    )

    def tasks(self, config: EnvironmentConfig, cache: Path) -> dict[str, list[Listed]]:
        """The questions of every panel."""
        library = _library_of(config)
        options = self.read_options(config)
        panels: dict[str, list[Listed]] = {}
        for name, size in self.sizes(config).items():
            panels[name] = [
                _listed(library, question)
                for question in library.questions[name]
                if options.source == "data" or question.kind in options.kinds
            ]
            if len(panels[name]) < size:
                raise ConfigError(
                    file="experiment",
                    key=f"environment.options.{name}",
                    value=size,
                    problem=f"there are only {len(panels[name])} questions for the panel {name}",
                    remedy="set it to that or less, or give the library more questions",
                )
        return panels

    def make(self, config: EnvironmentConfig) -> Environment:
        """A seat at the desk, which the episodes of a process share."""
        from paw_bench.envs.search_qa.environment import SearchQaEnvironment

        return SearchQaEnvironment(config, _desk(*_key(config), self.read_options(config).hits))

    def player(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Player:
        """One who knows what to look up, and the answer."""
        library = _library_of(config)
        found = (question for panel in library.questions.values() for question in panel)
        return Reader(next(question for question in found if question.name == task.location), config.max_turns)

    def demonstrator(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Demonstrator:
        """One who reads what is found. It understands the questions of the generated library only."""
        from paw_bench.envs.search_qa.demonstrator import Researcher

        found = self.words.instruction.search(opening.observation)
        return Researcher.start(found[1] if found else "", config.max_turns)

    def missing(self, config: EnvironmentConfig) -> Missing | None:
        """The user's files, where the config asks for them."""
        if self.read_options(config).source == "generated":
            return None
        from paw_bench.envs.data_folder import missing_data
        from paw_bench.envs.search_qa.files import VARIABLE, lacking

        return missing_data("the search QA files", VARIABLE, lacking)


class Reader:
    """Looks up every hop and answers; at the last turn it answers at once."""

    def __init__(self, question: Question, turns: int) -> None:
        self._question = question
        self._left = turns
        self._hops = list(question.hops)

    def choices(self, admissible: tuple[str, ...]) -> tuple[str, ...]:
        """The next search, or the answer."""
        if self._hops and self._left > 1:
            return (f"search[{self._hops[0]}]",)
        return (f"answer[{self._question.answers[0]}]",)

    def read(self, action: str, observation: str) -> None:
        """A turn is gone, and perhaps a hop is done."""
        self._left -= 1
        if self._hops and action == f"search[{self._hops[0]}]":
            self._hops.pop(0)


def _listed(library: Library, question: Question) -> Listed:
    digest = hashlib.sha256(f"{library.digest} {question!r}".encode()).hexdigest()
    return Listed(Task(question.name, question.kind, question.name), digest)


def _key(config: EnvironmentConfig) -> tuple[str, int, int]:
    options = SEARCH_QA.read_options(config)
    if options.source == "data":
        from paw_bench.envs.search_qa.files import data_root

        return str(data_root()), 0, 0
    return "", options.seed, options.documents


def _library_of(config: EnvironmentConfig) -> Library:
    return _library(*_key(config))


@lru_cache(maxsize=2)
def _library(folder: str, seed: int, documents: int) -> Library:
    if folder:
        from paw_bench.envs.search_qa.files import load_library

        return load_library(Path(folder))
    from paw_bench.envs.search_qa.generator import generate

    return generate(seed, documents)


@lru_cache(maxsize=2)
def _desk(folder: str, seed: int, documents: int, hits: int) -> Desk:
    from paw_bench.envs.search_qa.environment import Desk

    return Desk(_library(folder, seed, documents), hits)


SEARCH_QA = SearchQa()
