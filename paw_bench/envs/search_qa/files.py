"""The user's own corpus and questions: `$SEARCH_QA_DATA` names the folder.

    corpus.jsonl   documents: {"title": ..., "text": ...}, or {"contents": "TITLE\\nTEXT"}
    train.jsonl    questions to train on; every twentieth (by the SHA-256 of the question) is held out for tune
    test.jsonl, or any of the seven data sets of the paper: nq.jsonl, triviaqa.jsonl, popqa.jsonl, hotpotqa.jsonl,
    2wikimultihopqa.jsonl, musique.jsonl, bamboogle.jsonl

A question: {"question": ..., "golden_answers": [...]} or "answers": [...] or "answer": ...; `id` is optional.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import orjson

from paw_bench.envs.data_folder import data_folder
from paw_bench.envs.search_qa.library import Document, Library, Question
from paw_bench.errors import UserError

VARIABLE = "SEARCH_QA_DATA"
CORPUS, TRAIN = "corpus.jsonl", "train.jsonl"
BENCHMARKS = ("nq", "triviaqa", "popqa", "hotpotqa", "2wikimultihopqa", "musique", "bamboogle")
"""The data sets of the paper: a file of that name becomes a task type of the test panel."""
TUNE_EVERY = 20
_REMEDY = f"set {VARIABLE} to the folder of your files, or use options.source: generated"

Made = TypeVar("Made")


def data_root() -> Path:
    """The folder of the user's files. Raises UserError where it is not there."""
    return data_folder(VARIABLE, _REMEDY)


def lacking(root: Path) -> str:
    """What the folder has not, in words; an empty text where nothing is missing."""
    absent = [name for name in (CORPUS, TRAIN) if not (root / name).is_file()]
    absent += [] if _tests(root) else ["test.jsonl or one of the seven data sets"]
    return f"lacks {', '.join(absent)}" if absent else ""


def load_library(root: Path) -> Library:
    """The library of the user's files. Raises UserError for a file that is missing or a line that is not as above."""
    absent = lacking(root)
    if absent:
        raise UserError(f"{root}: {absent}", _REMEDY)
    documents = tuple(_read(root / CORPUS, _document))
    asked = list(_read(root / TRAIN, _asked))
    held_out = {number for number, (_, _, digest) in enumerate(asked) if int(digest[:8], 16) % TUNE_EVERY == 0}
    questions = {
        "train": tuple(_question("train", *one) for number, one in enumerate(asked) if number not in held_out),
        "tune": tuple(_question("train", *one) for number, one in enumerate(asked) if number in held_out),
        "test": tuple(_question(path.stem, *one) for path in _tests(root) for one in _read(path, _asked)),
    }
    return Library(documents, questions, hashlib.sha256((root / CORPUS).read_bytes()).hexdigest())


def _tests(root: Path) -> list[Path]:
    return [path for name in (*BENCHMARKS, "test") if (path := root / f"{name}.jsonl").is_file()]


def _read(path: Path, make: Callable[[dict[str, Any]], Made]) -> Iterator[Made]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", "check the file and its permissions") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield make(orjson.loads(line))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UserError(
                f"{path}:{number}: is not as expected ({type(error).__name__}: {error})",
                "see docs/environments.md for the format",
            ) from error


def _document(entry: dict[str, Any]) -> Document:
    if "contents" in entry:
        title, _, text = entry["contents"].partition("\n")
        return Document(title.strip().strip('"'), text.strip() or title.strip())
    return Document(str(entry.get("title", "")).strip(), entry["text"].strip())


def _asked(entry: dict[str, Any]) -> tuple[str, tuple[str, ...], str]:
    text = " ".join(entry["question"].split())
    given = next(entry[key] for key in ("golden_answers", "answers", "answer") if key in (*entry, "answer"))
    answers = (given,) if isinstance(given, str) else tuple(map(str, given))
    if not text or not answers:
        raise ValueError("a question or its answers are empty")
    return text, answers, hashlib.sha256(text.encode()).hexdigest()


def _question(kind: str, text: str, answers: tuple[str, ...], digest: str) -> Question:
    return Question(f"{kind}-{digest[:16]}", kind, text, answers, (text,))
