"""What a handler prints, kept with its call.

``sys.stdout`` and ``sys.stderr`` belong to the process, while handlers run side by side. So while any handler runs, a
stand-in takes their place, and looks in a context variable for whose handler is printing; everybody else's words pass
through untouched. Threads that a handler starts itself count as everybody else.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_KEPT = 1 << 20
"""So many characters of a handler's prints are kept; the rest is only counted."""


class Printed:
    """What one handler printed.

    Parameters
    ----------
    echo : bool
        Whether it is also printed.
    """

    def __init__(self, *, echo: bool = True) -> None:
        self.echo = echo
        self._lock = threading.Lock()
        self._pieces: list[str] = []
        self._kept = 0
        self._dropped = 0

    @property
    def text(self) -> str:
        """Everything so far, both streams in order."""
        with self._lock:
            more = f"\n… and {self._dropped:,} more characters" if self._dropped else ""
            return "".join(self._pieces) + more

    def write(self, text: str) -> None:
        """Keep ``text``."""
        with self._lock:
            piece = text[: MOST_KEPT - self._kept]
            self._pieces.append(piece)
            self._kept += len(piece)
            self._dropped += len(text) - len(piece)


_printing: ContextVar[Printed | None] = ContextVar("llmkit_printing", default=None)


class _StandIn:
    """Stands in for a stream; whatever it doesn't do itself, the stream does."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> Any:
        printed = _printing.get()
        if printed is None:
            return self._stream.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        printed.write(text)
        if printed.echo:
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)


_lock = threading.Lock()
_captures = 0


@contextmanager
def streams_watched() -> Iterator[None]:
    """Have prints looked at inside the block. Which are kept, :func:`keep_prints` says."""
    global _captures  # noqa: PLW0603 - the streams are the process's
    with _lock:
        _captures += 1
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and not isinstance(stream, _StandIn):
                setattr(sys, name, _StandIn(stream))
    try:
        yield
    finally:
        with _lock:
            _captures -= 1
            for name in ("stdout", "stderr") if _captures == 0 else ():
                stream = getattr(sys, name)
                if isinstance(stream, _StandIn):  # else somebody redirected it since; what they put back passes through
                    setattr(sys, name, stream._stream)  # noqa: SLF001 - its own module's


def keep_prints(printed: Printed) -> None:
    """Keep what the current context prints from now on. Call it in a context made for that."""
    _printing.set(printed)
