"""One file over HTTP, resumed where it broke off.

What has arrived is kept beside the target as `NAME.part`, with the server's mark of the file's version (its ETag) in
`NAME.part.etag`, so that two versions are never put together.
"""

from __future__ import annotations

import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from paw_bench.errors import UserError
from paw_bench.store.atomic import no_space, writing

_BLOCK = 1 << 18
_TRIES = 4
"""Connections that may end one after the other without bringing anything."""
_TIMEOUT_SECONDS = 60.0
_HEADERS = {
    "Accept-Encoding": "identity",
    "User-Agent": "paw-bench",
    "x-ms-version": "2020-04-08",  # the store behind GitHub's releases answers to ranges only with it
}
Shown = Callable[[int, int | None], None]
"""Told of the bytes that are there, and of those that there will be (None: the server does not say)."""


class _Ended(Exception):
    """The connection ended before the file did."""


def fetch(url: str, path: Path, shown: Shown, *, wait_s: float = 2.0) -> None:
    """Bring `url` to `path`, going on where an earlier call stopped. `wait_s`: pause before another try.

    Raises UserError where the server refuses, cannot resume, or ends too often; what has arrived is kept. Raises
    StoreError where the disk is full or cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    tries = 0
    while True:
        before = _size(part)
        try:
            _bring(url, part, shown)
        except urllib.error.HTTPError as error:
            raise UserError(f"{url}: the server answers {error.code} {error.reason}", "check the address") from error
        except (_Ended, http.client.HTTPException, ConnectionError, TimeoutError, urllib.error.URLError) as error:
            tries = 1 if _size(part) > before else tries + 1
            if tries == _TRIES:
                raise UserError(
                    f"{url}: the connection ended after {_size(part)} bytes ({error})",
                    "give the same command again: it goes on from there",
                ) from error
            time.sleep(wait_s)
        else:
            part.replace(path)
            _mark(part).unlink(missing_ok=True)
            return


def _bring(url: str, part: Path, shown: Shown) -> None:
    """Append what is missing. `_Ended` where the server stops before the end."""
    have = _size(part)
    try:
        answer = urllib.request.urlopen(_request(url, part, have), timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{have}":
            return  # nothing is missing
        raise
    with answer:
        if have and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
            raise UserError(
                f"{url}: the server cannot go on after the {have} bytes that are here: it knows no ranges, or its file "
                "has changed",
                f"delete {part} and give the same command again to start over, or give another --url",
            )
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        if total and shutil.disk_usage(part.parent).free < total - have:
            raise no_space(part, total - have)
        with writing(part):
            _mark(part).write_text(answer.headers.get("ETag") or "")
        _append(answer, part, total, shown)
    if total and _size(part) < total:
        raise _Ended(f"of {total}")


def _append(answer: http.client.HTTPResponse, part: Path, total: int | None, shown: Shown) -> None:
    with writing(part):
        file = part.open("ab")
    with file:
        shown(file.tell(), total)
        while block := answer.read(_BLOCK):
            with writing(part, needed=len(block)):
                file.write(block)
            shown(file.tell(), total)


def _request(url: str, part: Path, have: int) -> urllib.request.Request:
    headers = dict(_HEADERS)
    if have:
        headers["Range"] = f"bytes={have}-"
        if mark := _mark(part).read_text() if _mark(part).exists() else "":
            headers["If-Range"] = mark
    try:
        return urllib.request.Request(url, headers=headers)
    except ValueError as error:
        raise UserError(f"{url}: is no address ({error})", "give one such as https://host/folder") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _mark(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")
