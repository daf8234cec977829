"""Server-sent events, as servers of OpenAI's API write them: JSON values out of a stream of bytes.

Source: WHATWG HTML, "Server-sent events", 9.2.6; and what servers do beyond it: no blank line at the end, none between
two events, an ``error:`` field (llama.cpp's server before 2025-08).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from llmkit.errors import StreamError

if TYPE_CHECKING:
    from collections.abc import Iterator

DONE: Final = "[DONE]"
"""Stands for the end that a server announces."""

MAX_EVENT: Final = 8 << 20
"""Bytes of one event; a piece of an answer is far below it."""

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class EventDecoder:
    """Cuts bytes into events, however they arrive."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[str] = []
        self._size = 0
        self._event = ""
        self._after_return = False

    def feed(self, data: bytes) -> Iterator[Any]:
        """Yield the JSON values of the events that are whole by now, and :data:`DONE`.

        Raises
        ------
        StreamError
            For an event that is no JSON, or too long.
        """
        if not data:
            return
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]
        self._after_return = data.endswith(b"\r")
        first, *rest = _LINE_END.split(data)
        self._add(first)
        for piece in rest:
            yield from self._end_line()
            self._add(piece)

    def finish(self) -> Iterator[Any]:
        """Yield the last event, if the stream ended without the blank line that ends one."""
        yield from self._end_line()
        yield from self._dispatch()

    def _add(self, piece: bytes) -> None:
        self._line.append(piece)
        self._size += len(piece)
        if self._size > MAX_EVENT:
            raise StreamError(
                f"The server sent a line of more than {MAX_EVENT >> 20} MiB, which is no piece of an answer."
            )

    def _end_line(self) -> Iterator[Any]:
        line = b"".join(self._line).decode("utf-8", "replace").removeprefix("\ufeff")
        self._line.clear()
        if not line:
            yield from self._dispatch()
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "error":
            self._event = "error"
            self._data.append(value)

    def _dispatch(self) -> Iterator[Any]:
        lines, event = self._data, self._event
        self._data, self._event, self._size = [], "", 0
        for value in _values(lines):
            wrap = event == "error" and not (isinstance(value, dict) and value.get("error"))
            yield {"error": value} if wrap else value


def _values(lines: list[str]) -> Iterator[Any]:
    """Yield an event's values: one over all its lines, or one a line where blank lines are missing."""
    text = "\n".join(lines)
    if not text.strip():
        return
    try:
        yield _value(text)
    except ValueError:
        if len(lines) == 1:
            raise _unreadable(text) from None
        for line in lines:
            yield from _values([line])


def _value(text: str) -> Any:
    try:
        return DONE if text.strip().startswith(DONE) else json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _unreadable(text: str) -> StreamError:
    return StreamError(f"The server sent an event that is no JSON: {text[:80]!r}{'…' if len(text) > 80 else ''}")
