from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from faults import full_disk, killed_everywhere
from hypothesis import given, settings
from hypothesis import strategies as st

from paw_bench.errors import StoreError
from paw_bench.store import jsonl
from paw_bench.store.jsonl import TornLineWarning, append, read, rewrite


def quiet_read(path: Path) -> list[jsonl.Record]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TornLineWarning)
        return read(path)


def test_append_killed_anywhere_keeps_every_old_record_and_takes_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    old, new = [{"update": 1}], [{"update": 2, "text": "x" * 100}, {"update": 3}]
    torn = 0
    append(path, old)
    for _ in killed_everywhere(lambda: append(path, new)):
        torn += not path.read_bytes().endswith(b"\n")
        kept = quiet_read(path)
        assert kept[:1] == old
        assert kept[1:] == new[: len(kept) - 1]
        append(path, [{"update": 9}])
        assert read(path) == [*kept, {"update": 9}]
        rewrite(path, old)
    assert torn, "no kill tore a line: the test does not test what it says"


def test_the_first_append_killed_anywhere_leaves_a_file_that_can_be_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for _ in killed_everywhere(lambda: append(path, [{"event": "a"}])):
        before = quiet_read(path)
        append(path, [{"event": "b"}])
        assert read(path) == [*before, {"event": "b"}]
        path.unlink()


def test_rewrite_killed_anywhere_leaves_the_old_or_the_new_records(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    old, new = [{"n": 1}, {"n": 2}], [{"n": 1}]
    rewrite(path, old)
    for _ in killed_everywhere(lambda: rewrite(path, new)):
        assert read(path) in (old, new)
        rewrite(path, old)


@settings(max_examples=50, deadline=None)
@given(cut=st.integers(min_value=0, max_value=200))
def test_a_file_cut_at_any_byte_is_read_up_to_there_and_repaired(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "metrics.jsonl"
    records = [{"update": number, "text": "ü\n" * number} for number in range(6)]
    append(path, records)
    data = path.read_bytes()[:cut]
    path.write_bytes(data)
    kept = quiet_read(path)
    assert kept == records[: max(0, data.count(b"\n") - 1)]
    append(path, [{"update": 99}])
    assert read(path) == [*kept, {"update": 99}]


def test_a_torn_line_longer_than_a_block_is_cut_off_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, [{"update": 1}])
    with path.open("ab") as file:
        file.write(b'{"text": "' + b"x" * 200_000)
    append(path, [{"update": 2}])
    assert read(path) == [{"update": 1}, {"update": 2}]


def test_a_torn_last_line_is_dropped_with_a_warning_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, [{"update": 1}])
    with path.open("ab") as file:
        file.write(b'{"update": 2}')
    with pytest.warns(TornLineWarning, match=r"metrics\.jsonl: the last line is torn"):
        assert read(path) == [{"update": 1}]


@pytest.mark.parametrize("garbage", [b"\x00\x00\x00\n", b"[1]\n", b"\n"])
def test_garbage_in_the_middle_is_refused_with_file_and_line(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, [{"update": 1}])
    path.write_bytes(path.read_bytes() + garbage + b'{"update": 2}\n')
    with pytest.raises(StoreError, match=r"metrics\.jsonl:3: is no JSON object"):
        read(path)


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"schema_version":2}\n{"update":1}\n')
    with pytest.raises(StoreError, match=r"metrics\.jsonl: has schema_version 2"):
        read(path)


@pytest.mark.parametrize("after", [0, 5])
def test_a_full_disk_is_named_and_the_file_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, [{"update": 1}])
    before = path.read_bytes()
    full_disk(monkeypatch, after=after)
    with pytest.raises(StoreError, match=r"metrics\.jsonl: no space left on the disk"):
        append(path, [{"update": 2}])
    assert path.read_bytes() == before


def test_no_file_means_no_records(tmp_path: Path) -> None:
    assert read(tmp_path / "metrics.jsonl") == []
    append(tmp_path / "metrics.jsonl", [])
    assert not (tmp_path / "metrics.jsonl").exists()
