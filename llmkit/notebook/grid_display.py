"""Showing comparisons in a notebook: a live grid, or static output at the end of the cell."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from llmkit.notebook import grid_static
from llmkit.notebook.grid_state import GridState
from llmkit.notebook.grid_view import GridView
from llmkit.notebook.output import Output
from llmkit.terminal import CATCH_UP_TIME
from llmkit.waiting import wait_or_stop

if TYPE_CHECKING:
    from llmkit.events import Event
    from llmkit.notebook.grid_comparison import Cell, Comparison


class GridFollower:
    """A subscriber that keeps a comparison's state until all cells have ended.

    Parameters
    ----------
    comparison : Comparison
        The comparison to follow.
    """

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._state = GridState(comparison)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        if self._state.is_over:
            self._ended.set()
        comparison.subscribe(self._take)

    def final(self) -> dict[str, str]:
        """Wait for the end and return the static output. An interrupt stops all cells."""
        wait_or_stop(self._comparison)
        self._ended.wait(CATCH_UP_TIME)
        with self._lock:
            self._state.patch()
            return grid_static.bundle(self._state.to_dict())

    def _take(self, cell: Cell | None, event: Event | None) -> None:
        with self._lock:
            if cell is None:
                self._state.score()
            elif event is None:
                self._state.begin(cell)
            else:
                self._state.take(cell.index, event)
            if self._state.is_over:
                self._ended.set()


def show_grid(comparison: Comparison, *, keep: bool) -> None:
    """Display the widget; unless it is to be kept, static output takes its place when all cells have ended."""
    from llmkit.notebook.grid_widget import GridWidget

    output = Output(lambda: grid_static.bundle(view.snapshot()))
    view = GridView(comparison, GridWidget, on_end=None if keep else output.settle)
    output.open(view, f"Comparison {comparison.id}")
