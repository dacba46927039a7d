"""A local HTTP server of one folder, with ranges, that can be told to misbehave."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Server:
    folder: Path
    address: str = ""
    ranges: bool = True
    cut_after: int | None = None
    """Bytes after which every connection ends."""
    only_once: bool = False
    """Later connections, those that resume, end at once."""
    slow: bool = False
    asked: list[str | None] = field(default_factory=list)
    """The `Range` of each request."""


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.asked.append(wanted)
            path = server.folder / Path(self.path).name
            if not path.exists():
                self.send_error(404)
                return
            content = path.read_bytes()
            mark = f'"{hash(content)}"'
            first = 0
            if wanted and server.ranges and self.headers.get("If-Range", mark) == mark:
                first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if first >= len(content) > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - first))
            self.send_header("ETag", mark)
            self.end_headers()
            end = len(content) if server.cut_after is None else first + server.cut_after
            end = first if first and server.only_once else end
            for place in range(first, min(end, len(content)), 4096):
                self.wfile.write(content[place : min(place + 4096, end)])
                if server.slow:
                    threading.Event().wait(0.01)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        server.address = f"http://127.0.0.1:{listening.server_port}/mirror"
        yield server
        listening.shutdown()
