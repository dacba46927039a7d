"""The study's journal: torn lines, locks that nobody holds any more, and how Optuna's own file fares."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from paw_bench.errors import StoreError, UserError
from paw_bench.tune.storage import JOURNAL, JournalFile, mend, open_storage

TORN = b'{"op_code":5,"worker_id":"half a rec'


def _study(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="s", load_if_exists=True)


def _tell(study: optuna.Study, value: float) -> None:
    trial = study.ask()
    trial.suggest_float("x", 0.0, 1.0)
    study.tell(trial, value)


def _tear(path: Path) -> None:
    with path.open("ab") as file:
        file.write(TORN)


def test_optunas_own_file_is_unreadable_after_tear_append_read(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    _tell(_study(JournalStorage(JournalFileBackend(str(path)))), 1.0)
    _tear(path)
    with pytest.raises(json.JSONDecodeError):
        _tell(_study(JournalStorage(JournalFileBackend(str(path)))), 2.0)


@pytest.mark.parametrize("opened_before", [True, False])
def test_ours_survives_tear_append_read_and_keeps_a_copy(tmp_path: Path, opened_before: bool) -> None:
    path = tmp_path / JOURNAL
    study = _study(open_storage(None, tmp_path))
    _tell(study, 1.0)
    _tear(path)
    _tell(study if opened_before else _study(open_storage(None, tmp_path)), 2.0)
    assert [trial.value for trial in _study(open_storage(None, tmp_path)).trials] == [1.0, 2.0]
    assert [trial.value for trial in _study(JournalStorage(JournalFileBackend(str(path)))).trials] == [1.0, 2.0]
    (copy,) = tmp_path.glob(f"{JOURNAL}.damaged-*")
    assert copy.read_bytes().endswith(TORN)


@pytest.mark.parametrize("kept", range(0, 60, 7))
def test_a_line_torn_anywhere_costs_that_line_only(tmp_path: Path, kept: int) -> None:
    path = tmp_path / JOURNAL
    study = _study(JournalStorage(JournalFile(path)))
    _tell(study, 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1][:kept])
    assert (mend(path) is None) == (kept == 0)
    assert path.read_bytes() == whole


def test_a_last_line_that_lacks_its_newline_only_is_completed(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    _tell(_study(JournalStorage(JournalFile(path))), 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert mend(path) is not None
    assert path.read_bytes() == whole


def test_a_record_that_another_writer_appended_to_a_torn_line_is_kept(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    _tell(_study(JournalStorage(JournalFile(path))), 1.0)
    whole = path.read_bytes()
    *before, last = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(before) + TORN + last)
    _tell(_study(JournalStorage(JournalFile(path))), 2.0)
    assert path.read_bytes().startswith(whole)


def test_other_damage_is_refused_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    _tell(_study(JournalStorage(JournalFile(path))), 1.0)
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"what is this\n" + b"".join(rest))
    with pytest.raises(StoreError, match=rf"{JOURNAL}:2: is no record of a study: b'what is this'"):
        JournalFile(path)


def test_a_writer_that_is_killed_while_it_holds_the_lock_holds_up_nobody(tmp_path: Path) -> None:
    backend = JournalFile(tmp_path / JOURNAL)
    child = os.fork()
    if child == 0:
        try:
            with backend._held():
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    started = time.monotonic()
    _tell(_study(JournalStorage(backend)), 1.0)
    assert time.monotonic() - started < 10


def test_a_database_that_cannot_be_opened_is_refused_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the database cannot be opened") as refused:
        open_storage("postgresql://me:secret@nowhere/study", tmp_path)
    assert "secret" not in str(refused.value)


def test_a_database_serves_as_well(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    _tell(_study(open_storage(url, tmp_path)), 1.0)
    assert len(_study(open_storage(url, tmp_path)).trials) == 1
    assert not (tmp_path / JOURNAL).exists()
