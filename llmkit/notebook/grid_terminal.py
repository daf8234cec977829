"""A comparison in a terminal or script: a table, to which each cell adds its line when it ends."""

from __future__ import annotations

import atexit
import shutil
import sys
import threading
from typing import TYPE_CHECKING, Any

from llmkit.notebook.grid_state import GridState
from llmkit.notebook.grid_words import rate_words, summary
from llmkit.notebook.visible import one_line
from llmkit.notebook.words import STATUS_WORDS, error_line
from llmkit.terminal import CATCH_UP_TIME, write
from llmkit.waiting import wait_or_stop

if TYPE_CHECKING:
    from llmkit.events import Event
    from llmkit.notebook.grid_comparison import Cell, Comparison

WIDEST_LABEL = 28
NARROWEST_TEXT = 20


class GridTable:
    """Prints a comparison, from its first event on; what still runs when the interpreter exits is awaited.

    Parameters
    ----------
    comparison : Comparison
        The comparison to print.
    """

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._state = GridState(comparison)
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._columns = {
            name: max(len(label) for label in (one_line(name, WIDEST_LABEL), *map(_label, levels)))
            for name, levels in comparison.factors.items()
            if len(levels) > 1
        }

    def open(self) -> None:
        """Print the head and begin to follow."""
        head = [one_line(name, width).ljust(width) for name, width in self._columns.items()]
        _print("  ".join([*head, "state".ljust(9), "tokens/s".rjust(8), "answer"]))
        for index, cell in enumerate(self._state.cells):
            if cell.is_over:
                self._print_cell(index)
        if self._state.is_over:
            self._end()
        atexit.register(self.wait)
        self._comparison.subscribe(self._take)

    def wait(self) -> None:
        """Wait until all cells have ended and are printed. An interrupt stops them."""
        atexit.unregister(self.wait)
        wait_or_stop(self._comparison)
        self._ended.wait(CATCH_UP_TIME)

    def _take(self, cell: Cell | None, event: Event | None) -> None:
        if cell is None:
            return
        with self._lock:
            was_over = self._state.cells[cell.index].is_over
            if event is None:
                self._state.begin(cell)
                was_over = False
            else:
                self._state.take(cell.index, event)
            if self._state.cells[cell.index].is_over and not was_over:
                self._print_cell(cell.index)
                if self._state.is_over:
                    self._end()

    def _end(self) -> None:
        self._state.patch()
        _print(f"[{summary(self._state.to_dict())}]")
        self._ended.set()

    def _print_cell(self, index: int) -> None:
        cell = self._state.cells[index].to_dict()
        place = self._state.place(index)
        labels = [
            _label(self._comparison.factors[name][place[name]]).ljust(width) for name, width in self._columns.items()
        ]
        told = [*labels, STATUS_WORDS[cell["status"]].ljust(9), rate_words(cell["rate"]).rjust(8)]
        before = sum(map(len, told)) + 2 * len(told)
        width = max(NARROWEST_TEXT, shutil.get_terminal_size().columns - before - 1)
        _print("  ".join([*told, one_line(error_line(cell) or cell["text"], width)]))


def _label(label: Any) -> str:
    return one_line(str(label), WIDEST_LABEL)


def _print(line: str) -> None:
    write(sys.stdout, line.rstrip() + "\n")
