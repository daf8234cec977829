"""What a handler prints and displays, kept with its call.

``sys.stdout`` and ``sys.stderr`` belong to the process, while handlers run side by side. So while any handler runs, a
stand-in takes their place, and looks in a context variable for whose handler is printing; everybody else's words pass
through untouched. What IPython displays goes the same way. Threads that a handler starts itself count as everybody
else.
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

MOST_DISPLAYS = 20
"""So many of a handler's displays are kept."""


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
        self._displays: list[dict[str, Any]] = []
        self._kept = 0
        self._dropped = 0

    @property
    def displays(self) -> tuple[dict[str, Any], ...]:
        """What was displayed so far: data by MIME type."""
        with self._lock:
            return tuple(self._displays)

    def show(self, data: dict[str, Any]) -> None:
        """Keep a display."""
        with self._lock:
            if len(self._displays) < MOST_DISPLAYS:
                self._displays.append(dict(data))

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


class _Publisher:
    """Stands in for the method that publishes what IPython displays."""

    def __init__(self, publisher: Any) -> None:
        self._publisher = publisher
        self._publish = publisher.publish
        publisher.publish = self

    def __call__(self, data: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        printed = _printing.get()
        if printed is not None:
            printed.show(data)
        if printed is None or printed.echo:
            return self._publish(data, *arguments, **options)
        return None

    def leave(self) -> None:
        del self._publisher.publish


def _ipython_publisher() -> Any:
    """Return what publishes displays in this process, ``None`` outside IPython."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "display_pub", None)


_lock = threading.Lock()
_captures = 0
_publisher: _Publisher | None = None


@contextmanager
def streams_watched() -> Iterator[None]:
    """Have prints and displays looked at inside the block. Which are kept, :func:`keep_prints` says."""
    global _captures, _publisher  # noqa: PLW0603 - the streams are the process's
    with _lock:
        _captures += 1
        if _publisher is None and (publisher := _ipython_publisher()) is not None:
            _publisher = _Publisher(publisher)
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and not isinstance(stream, _StandIn):
                setattr(sys, name, _StandIn(stream))
    try:
        yield
    finally:
        with _lock:
            _captures -= 1
            if _captures == 0 and _publisher is not None:
                _publisher.leave()
                _publisher = None
            for name in ("stdout", "stderr") if _captures == 0 else ():
                stream = getattr(sys, name)
                if isinstance(stream, _StandIn):  # else somebody redirected it since; what they put back passes through
                    setattr(sys, name, stream._stream)  # noqa: SLF001 - its own module's


def keep_prints(printed: Printed) -> None:
    """Keep what the current context prints from now on. Call it in a context made for that."""
    _printing.set(printed)
