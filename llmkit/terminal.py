"""Runs in a terminal: the text on stdout as it comes; a line for each tool call, then a line of stats, on stderr.

JSON that was asked for comes at the end, indented: in the making it can't be.

Model text is hostile here too: escape sequences could hide text, rewrite lines, or type for the user. They show as
visible characters.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, TextIO

from llmkit import events
from llmkit.notebook.call_state import SETTLED
from llmkit.notebook.output_answer import Answer
from llmkit.notebook.run_state import Change, RunState
from llmkit.notebook.words import call_line, error_line, summary
from llmkit.waiting import wait_or_stop

if TYPE_CHECKING:
    from llmkit.notebook.load_view import TerminalLoad
    from llmkit.notebook.run_view import Run

_logger = logging.getLogger("llmkit")

# Control characters but tab and newline, and Unicode's that break or reorder lines.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
CATCH_UP_TIME = 5.0
"""Seconds that the events of a run which has ended may take to arrive."""

_DIM, _NORMAL = "\x1b[2m", "\x1b[0m"


def printable(text: str) -> str:
    """Return `text` with control characters made visible; carriage returns, which end lines on Windows, are dropped."""
    return _CONTROL.sub(lambda match: _visible(match[0]), text.replace("\r", ""))


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's control pictures, ␀ to ␟
    return "␡" if code == 0x7F else "�"


class Terminal:
    """Prints runs one after the other, in the order in which they were shown.

    The first streams; what comes of the others meanwhile is printed when their turn comes. Printing is done where the
    events come from, so that a run ends only after its text is out, unless one shown before it still goes on.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._shown: deque[_Printed] = deque()
        self._all_printed = threading.Event()
        self._awaits_at_exit = False

    def show(self, run: Run) -> None:
        """Print a run, from its first event on."""
        printed = _Printed(run)
        with self._lock:
            if not self._awaits_at_exit:
                self._awaits_at_exit = True
                atexit.register(self.wait)
            self._shown.append(printed)
            self._all_printed.clear()
        run.subscribe(lambda event: self._take(printed, event))

    def wait(self) -> None:
        """Wait until all shown runs have ended and are printed. An interrupt stops them."""
        with self._lock:
            runs = [printed.run for printed in self._shown]
        wait_or_stop(*runs)
        if runs:
            self._all_printed.wait(CATCH_UP_TIME)

    def _take(self, printed: _Printed, event: events.Event) -> None:
        with self._lock:
            printed.take(event)
            while self._shown and self._shown[0].print():
                self._shown.popleft()
            if not self._shown:
                self._all_printed.set()


class _Printed:
    """One run, and what of it isn't printed yet."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._state = RunState(run.id)
        self._pending: list[tuple[str, str]] = []
        self._ends_line = True
        self._load: TerminalLoad | None = None
        self._held: list[str] = []

    def take(self, event: events.Event) -> None:
        """Take the run's next event."""
        if isinstance(event, events.StepStart):
            self._release()
        change = self._state.take(event)
        self._pending.append(("reasoning", change.reasoning))
        if self._state.awaits_json:
            self._held.append(change.text)
        else:
            self._pending.append(("text", change.text))
        settled = self._settled(change)
        if settled or self._state.is_over:
            self._release()
        self._pending += [("call", line) for line in settled]
        self._show_load(event)

    def _release(self) -> None:
        """Let the step's answer be printed, which was held back as long as it wasn't whole."""
        answer = Answer("json", "".join(self._held))
        self._pending.append(("text", answer.written() if answer.is_json else answer.text))
        self._held.clear()

    def print(self) -> bool:
        """Print what is new; return whether that was all of it."""
        pending, self._pending = self._pending, []
        for kind, text in pending:
            match kind:
                case "text" if text:
                    self._ends_line = text.endswith("\n")
                    write(sys.stdout, printable(text))
                case "reasoning" if text and sys.stderr.isatty():
                    write(sys.stderr, _dim(printable(text), sys.stderr))
                case "call":
                    self._end_line()
                    write(sys.stderr, _dim(text, sys.stderr) + "\n")
        if self._state.is_over:
            self._print_end()
        return self._state.is_over

    def _print_end(self) -> None:
        state = self._state.to_dict()
        self._end_line()
        lines = (line for line in (error_line(state), summary(state)) if line)
        write(sys.stderr, "".join(_dim(printable(line), sys.stderr) + "\n" for line in lines))

    def _settled(self, change: Change) -> list[str]:
        """Return a line for each call that a change settled."""
        settled = {name for name, each in change.calls.items() if each.set.get("status") in SETTLED}
        return [call_line(card) for card in self._state.calls if card["id"] in settled]

    def _end_line(self) -> None:
        if not self._ends_line:
            write(sys.stdout, "\n")
            self._ends_line = True

    def _show_load(self, event: events.Event) -> None:
        from llmkit.notebook.load_view import TerminalLoad

        if isinstance(event, events.Load):
            self._load = self._load or TerminalLoad(self._state.model)
            self._load.update(**event.to_dict())
        elif self._load is not None:
            self._load.finish("")
            self._load = None


def _dim(text: str, stream: TextIO) -> str:
    return f"{_DIM}{text}{_NORMAL}" if stream.isatty() else text


def write(stream: TextIO, text: str) -> None:
    """Write as much of `text` as the stream's encoding has; a stream that is gone stops no run."""
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except (OSError, ValueError) as error:
        _logger.debug("Could not print: %s", error)


TERMINAL = Terminal()
"""The process's own."""
