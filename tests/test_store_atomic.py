from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from faults import full_disk, killed_everywhere

from paw_bench.errors import StoreError
from paw_bench.store.atomic import publish_once, remove_leftovers, write_json
from paw_bench.store.documents import read_json


def test_write_json_killed_anywhere_leaves_the_old_or_the_new_document(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_json(path, {"value": "old"})
    seen = []
    for point in killed_everywhere(lambda: write_json(path, {"value": "new" * 1000})):
        value = read_json(path)["value"]
        assert value in {"old", "new" * 1000}
        seen.append((point, value == "old"))
        write_json(path, {"value": "old"})
        remove_leftovers(tmp_path)
        assert os.listdir(tmp_path) == ["status.json"]
    assert len(seen) > 5
    assert {old for _, old in seen} == {True, False}


def test_publish_once_killed_anywhere_leaves_nothing_or_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for point in killed_everywhere(lambda: publish_once(path, {"by": "first"})):
        was_there = path.exists()
        assert was_there or point
        assert publish_once(path, {"by": "second"}) is not was_there
        assert read_json(path)["by"] == ("first" if was_there else "second")
        path.unlink()
        remove_leftovers(tmp_path)


def test_the_first_publisher_wins(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert publish_once(path, {"by": 1})
    assert not publish_once(path, {"by": 2})
    assert read_json(path) == {"schema_version": 1, "by": 1}
    assert os.listdir(tmp_path) == ["result.json"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_publishing_works_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "result.json"
    assert publish_once(path, {"by": 1})
    assert not publish_once(path, {"by": 2})
    assert read_json(path)["by"] == 1


@pytest.mark.parametrize("after", [0, 7])
def test_a_full_disk_is_named_and_leaves_the_old_document_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    path = tmp_path / "config.json"
    write_json(path, {"value": "old"})
    full_disk(monkeypatch, after=after)
    with pytest.raises(StoreError, match=r"config\.json: no space left on the disk for \d+ bytes") as caught:
        write_json(path, {"value": "new"})
    assert "--results" in caught.value.remedy
    monkeypatch.undo()
    assert read_json(path)["value"] == "old"
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_json(tmp_path / "file" / "config.json", {})


def test_another_schema_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"schema_version": 7}))
    with pytest.raises(StoreError, match=r"config\.json: has schema_version 7, this paw_bench reads and writes 1"):
        read_json(path)


@pytest.mark.parametrize("text", ["", "[1]", '{"schema_version": 1', '{"a": 1}'])
def test_a_damaged_document_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"config\.json"):
        read_json(path)
