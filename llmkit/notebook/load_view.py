"""The progress of a model being fetched and loaded, wherever the user is."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

from llmkit.notebook.budget import BUDGET
from llmkit.notebook.markdown import TINT
from llmkit.notebook.words import joined
from llmkit.terminal import printable

if TYPE_CHECKING:
    from llmkit.errors import Error

PATIENCE = 0.3
"""Seconds before a bar shows: what is quicker needs none."""

WORTH_A_LINE = 1.0
"""Seconds from which on a line says that the model is there."""

_INTERVAL = 0.2
_FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:12px;line-height:20px"
_COLOURS = {
    "running": "var(--jp-brand-color1,#1976d2)",
    "done": "var(--jp-success-color1,#388e3c)",
    "failed": "var(--jp-error-color1,#d32f2f)",
}


class LiveLoad:
    """A bar in the cell's output, in whose place a line comes at the end.

    Parameters
    ----------
    title : str
        The model's name.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._progress: dict[str, Any] = {}
        self._started = time.monotonic()
        self._context = contextvars.copy_context()
        self._handle: Any = None
        self._final: dict[str, str] | None = None
        self._channel = BUDGET.channel(lambda: self._context.run(self._draw), _INTERVAL, delay=PATIENCE)
        self._channel.mark()

    def update(self, **progress: object) -> None:
        """Take a report; the fields are those of :class:`llmkit.events.Load`."""
        self._progress = progress
        self._channel.mark()

    def finish(self, note: str) -> None:
        """Show that it is there, unless it came too quickly to be noticed."""
        slow = time.monotonic() - self._started >= WORTH_A_LINE
        if slow or self._handle is not None:
            self._end(line("done", note))
        else:
            self._channel.discard()

    def fail(self, error: Error) -> None:
        """Show why it isn't there."""
        self._end(line("failed", f"{self._title}: {type(error).__name__}: {error.message}"))

    def _end(self, final: dict[str, str]) -> None:
        self._final = final
        self._channel.close()

    def _draw(self) -> None:
        from IPython.display import display

        data = self._final or bar(self._title, self._progress)
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(data, raw=True)


class HeadlessLoad:
    """Nothing while it goes on; a line at the end of a fetch.

    Parameters
    ----------
    title : str
        The model's name.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._context = contextvars.copy_context()
        self._fetched = False

    def update(self, **progress: object) -> None:
        """Take a report; the fields are those of :class:`llmkit.events.Load`."""
        self._fetched |= progress.get("stage") == "fetch"

    def finish(self, note: str) -> None:
        """Show that it is there if it had to be fetched; else outputs would depend on how fast a disk is."""
        if self._fetched and time.monotonic() - self._started >= WORTH_A_LINE:
            self._display(line("done", note))

    def fail(self, error: Error) -> None:
        """Show why it isn't there."""
        self._display(line("failed", f"{self._title}: {type(error).__name__}: {error.message}"))

    def _display(self, data: dict[str, str]) -> None:
        from IPython.display import display

        self._context.run(display, data, raw=True)


class TerminalLoad:
    """A bar on stderr, if that is a terminal. Of several at a time only the first shows.

    Parameters
    ----------
    title : str
        The model's name.
    """

    _lock = threading.Lock()
    _shown: ClassVar[TerminalLoad | None] = None

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None
        self._of: tuple[object, ...] = ()

    def update(self, **progress: object) -> None:
        """Take a report; the fields are those of :class:`llmkit.events.Load`."""
        if not sys.stderr.isatty() or not self._is_mine():
            return
        what = (progress.get("stage"), progress.get("file"), progress.get("total"))
        if what != self._of:
            self._of = what
            self._open(progress)
        done = progress.get("downloaded") if self._bar.unit == "B" else progress.get("percentage")
        self._bar.update((done or 0) - self._bar.n)

    def finish(self, note: str) -> None:  # noqa: ARG002 - in a terminal the bar has said it
        """Take the bar away."""
        self._close()

    def fail(self, error: Error) -> None:  # noqa: ARG002 - the run that needs the model says it
        """Take the bar away."""
        self._close()

    def _is_mine(self) -> bool:
        with self._lock:
            if TerminalLoad._shown is None:
                TerminalLoad._shown = self
            return TerminalLoad._shown is self

    def _open(self, progress: dict[str, Any]) -> None:
        from tqdm import tqdm

        if self._bar is not None:
            self._bar.close()
        total = progress.get("total")
        verb = "Fetching" if progress.get("stage") == "fetch" else "Loading"
        self._bar = tqdm(
            desc=printable(f"{verb} {progress.get('file') or self._title}"),
            total=total or 100,
            unit="B" if total else "%",
            unit_scale=bool(total),
            leave=False,
            file=sys.stderr,
        )

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        with self._lock:
            if TerminalLoad._shown is self:
                TerminalLoad._shown = None


def bar(title: str, progress: dict[str, Any]) -> dict[str, str]:
    """Return a picture of the progress as a MIME bundle."""
    verb = "Fetching" if progress.get("stage") == "fetch" else "Loading"
    percentage = progress.get("percentage")
    share = "" if percentage is None else f"{percentage:.0f} %"
    words = joined(f"{verb} {title}", progress.get("file") or "", _megabytes(progress), share)
    return picture(words, percentage)


def picture(words: str, percentage: float | None) -> dict[str, str]:
    """Return words with a bar below, faint where nobody knows how much is done, as a MIME bundle."""
    value = "" if percentage is None else f' aria-valuenow="{percentage:.0f}"'
    width = 100.0 if percentage is None else min(100.0, max(0.0, float(percentage)))
    faint = ";opacity:.35" if percentage is None else ""
    shape = "height:3px;border-radius:2px"
    fill = f'<div style="{shape};width:{width:.1f}%;background:{_COLOURS["running"]}{faint}"></div>'
    track = f"{shape};margin:4px 0 2px;max-width:420px;background:{TINT}"
    html = (
        f'<div style="{_FONT}"><div style="opacity:.8">{escape(words)}</div>'
        f'<div role="progressbar" aria-label="{escape(words)}"{value} style="{track}">{fill}</div></div>'
    )
    return {"text/plain": printable(words), "text/html": html}


def line(state: str, words: str) -> dict[str, str]:
    """Return one line, with a mark for `state` ("done" or "failed"), as a MIME bundle."""
    mark = "✓" if state == "done" else "✗"
    html = (
        f'<div style="{_FONT}"><span style="color:{_COLOURS[state]}">{mark}</span> '
        f'<span style="opacity:.8">{escape(words)}</span></div>'
    )
    return {"text/plain": printable(f"{mark} {words}"), "text/html": html}


def _megabytes(progress: dict[str, Any]) -> str:
    done, total = progress.get("downloaded"), progress.get("total")
    if done is None:
        return ""
    return f"{done / 1e6:.0f} MB" if total is None else f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
