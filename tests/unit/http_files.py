"""A small HTTP server for tests of fetching; it can misbehave on request."""

from __future__ import annotations

import contextlib
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Fault:
    """How one answer is wrong.

    Parameters
    ----------
    status : int, optional
        Answer with this status and no content.
    cut : int, optional
        Close the connection after this many bytes of content.
    announce : bool
        Whether the Content-Length is that of the whole content.
    ranges : bool
        Whether byte ranges are honoured.
    shift : int
        Answer a range request with a range that starts this much later.
    """

    status: int | None = None
    cut: int | None = None
    announce: bool = True
    ranges: bool = True
    shift: int = 0


@dataclass
class FileServer:
    """What is served and what was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    statuses: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    before: Callable[[str, str], None] = lambda _method, _path: None

    def gets(self, path: str) -> list[str | None]:
        """Return the Range headers of the GET requests for ``path``."""
        return [headers.get("range") for method, asked, headers in self.requests if (method, asked) == ("GET", path)]


@contextlib.contextmanager
def serve() -> Iterator[FileServer]:
    served = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(content=True)

        def do_HEAD(self) -> None:
            self.answer(content=False)

        def answer(self, *, content: bool) -> None:
            path = self.path.partition("?")[0]
            headers = {name.lower(): value for name, value in self.headers.items()}
            served.requests.append((self.command, path, headers))
            served.before(self.command, path)
            fault = served.faults.popleft() if content and served.faults else Fault()
            status, extra = served.statuses.get(path, (200 if path in served.files else 404, {}))
            if fault.status or status not in {200, 206}:
                self.plain(fault.status or status, extra)
                return
            raw = served.files[path]
            start = self.first_byte(headers, fault) if content else 0
            if start and start + fault.shift >= len(raw):
                self.plain(416, {})
                return
            self.send_response(206 if start else 200)
            start += fault.shift if start else 0
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(raw) - 1}/{len(raw)}")
            if fault.announce:
                self.send_header("Content-Length", str(len(raw) - start))
            for name, value in served.headers.get(path, {}).items():
                self.send_header(name, value)
            self.end_headers()
            if content:
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(raw[start : None if fault.cut is None else start + fault.cut])

        def first_byte(self, headers: dict[str, str], fault: Fault) -> int:
            match = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
            return int(match[1]) if match and fault.ranges else 0

        def plain(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
