"""The worker's lines to the kernel: at once, or gathered for some milliseconds."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import Any, BinaryIO

# Tokens are gathered this long, so that the kernel wakes at most 40 times a second.
GATHER_TIME = 0.025


class Outbox:
    """Lines to the kernel: at once, or gathered."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._gathered: dict[str, list[Any]] = {}
        self._begun: set[str] = set()
        self._filled = threading.Event()
        threading.Thread(target=self._flush, name="outbox", daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        """Send at once, after what is gathered for the same request."""
        with self._lock:
            self._write(self._take(message.get("id", "")), message)
            if "done" in message:
                self._begun.discard(message["id"])

    def gather(self, id_: str, tokens: list[Any]) -> None:
        """Send a request's first tokens at once, later ones within ``GATHER_TIME``."""
        with self._lock:
            if id_ in self._begun:
                self._gathered.setdefault(id_, []).extend(tokens)
                self._filled.set()
            else:
                self._begun.add(id_)
                self._write({"id": id_, "tokens": tokens})

    def _flush(self) -> None:
        while self._filled.wait():
            time.sleep(GATHER_TIME)
            with self._lock:
                self._filled.clear()
                self._write(*[self._take(id_) for id_ in tuple(self._gathered)])

    def _take(self, id_: str) -> dict[str, Any] | None:
        tokens = self._gathered.pop(id_, None)
        return {"id": id_, "tokens": tokens} if tokens else None

    def _write(self, *messages: dict[str, Any] | None) -> None:
        lines = [json.dumps(message, separators=(",", ":")) for message in messages if message]
        with contextlib.suppress(BrokenPipeError):  # the kernel is gone; the reader of the other pipe ends the process
            self._pipe.write("".join(f"{line}\n" for line in lines).encode())
            self._pipe.flush()
