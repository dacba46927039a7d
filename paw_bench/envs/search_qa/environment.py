"""Answer a question with a search box: `search[words]` shows documents, `answer[words]` ends the episode."""

from __future__ import annotations

from functools import lru_cache

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.bm25 import Index
from paw_bench.envs.protocol import StepResult, Task
from paw_bench.envs.search_qa.library import Library, Question, normalised
from paw_bench.envs.words import bracketed

ACTIONS = ("search[<your query>]", "answer[<your answer>]")
REFUSED = "Give one search or one answer."
_MAX_TEXT = 1200
"""Characters of a document that are shown."""
_MAX_SAID = 400


class Desk:
    """The search box over one library, for all episodes of a process."""

    def __init__(self, library: Library, hits: int) -> None:
        self.by_name = {question.name: question for panel in library.questions.values() for question in panel}
        self._documents = library.documents
        self._index = Index([f"{document.title} {document.text}" for document in library.documents])
        self._hits = hits
        self.search = lru_cache(maxsize=20_000)(self._search)

    def _search(self, query: str) -> str:
        found = [self._documents[number] for number in self._index.top(query, self._hits)]
        lines = [
            f"Doc {number} (Title: {document.title}) {document.text[:_MAX_TEXT]}"
            for number, document in enumerate(found, 1)
        ]
        return "<information>\n" + "\n".join(lines or ["Nothing was found."]) + "\n</information>"


class SearchQaEnvironment:
    """One episode at a time. Deterministic in (task, actions). The task's location is the name of its question.

    Success is exact match with one of the answers, after `normalised`. An action that is neither a search nor an answer
    takes a turn.
    """

    def __init__(self, config: EnvironmentConfig, desk: Desk) -> None:
        self._config = config
        self._desk = desk
        self._question: Question
        self._turns = 0
        self._done = True

    def reset(self, task: Task, seed: int) -> StepResult:
        """Ask the question of `task`."""
        self._question = self._desk.by_name[task.location]
        self._turns = 0
        return self._result(f"A search box is open.\n\nYour question is: {self._question.text}", accepted=True)

    def step(self, action: str) -> StepResult:
        """Play one action; RuntimeError when the episode is over."""
        if self._done:
            raise RuntimeError("the episode is over: reset first")
        self._turns += 1
        name, what = bracketed(action)
        if name not in ("search", "answer"):
            return self._result(REFUSED, accepted=False)
        what = what[:_MAX_SAID]
        if name == "search":
            return self._result(self._desk.search(what), accepted=True)
        right = normalised(what) in {normalised(answer) for answer in self._question.answers}
        return self._result("Right." if right else "Wrong.", accepted=True, right=right)

    def close(self) -> None:
        """Nothing to free: the index belongs to the process."""

    def _result(self, text: str, *, accepted: bool, right: bool | None = None) -> StepResult:
        self._done = right is not None or self._turns >= self._config.max_turns
        return StepResult(
            observation=text,
            admissible=() if right is not None else ACTIONS,
            reward=self._config.success_reward if right else 0.0,
            done=self._done,
            success=bool(right),
            accepted=accepted,
            score=float(bool(right)) if self._done else None,
        )
