"""A live view of a comparison: it turns its cells' events into messages for the grid, and the grid's into actions."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from llmkit.notebook.budget import BUDGET, Budget
from llmkit.notebook.grid_judge import Judge
from llmkit.notebook.grid_state import GridState
from llmkit.notebook.run_view import UNSEEN_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.events import Event
    from llmkit.notebook.budget import Channel
    from llmkit.notebook.grid_comparison import Cell, Comparison
    from llmkit.notebook.run_view import Page

FRAME = 0.2
"""Seconds between two messages: eyes follow one of the cells, and what sending takes the model can't have."""

UNSEEN_CHARACTER = 1e-6
"""Seconds more, a character, between two messages as long as these are whole states."""

_logger = logging.getLogger("llmkit")


class GridView:
    """A subscriber of a comparison's events that keeps one widget up to date for all cells.

    Every message has the number of the state it leads to, so that a page knows when it missed one. Until a page says
    hello, messages are whole states. When all cells have ended something else may take the grid's place, but not
    while a page says that it is in use: somebody judges, or reads one cell large.

    What pages say::

        hello, resync          answered with a snapshot
        stop, rerun            cell
        stop-all
        hold                   held: whether the grid is in use
        judge, vote, skip      see :mod:`llmkit.notebook.grid_judge`
        gone                   the page doesn't show the grid any more

    Parameters
    ----------
    comparison : Comparison
        The comparison to show.
    page : callable
        Makes the widget, given a function that returns the state and one that takes the page's messages.
    on_end : callable, optional
        Called after the last state has been sent and nobody uses the grid; and again after a cell that was asked
        again has ended.
    budget : Budget
        Says when messages may go.
    """

    def __init__(
        self,
        comparison: Comparison,
        page: Callable[[Callable[[], dict[str, Any]], Callable[[Any], None]], Page],
        *,
        on_end: Callable[[GridView], None] | None = None,
        budget: Budget = BUDGET,
    ) -> None:
        self._comparison = comparison
        self._on_end = on_end
        self._budget = budget
        self._state = GridState(comparison)
        self._seq = 0
        self._lock = threading.RLock()
        self._hellos = 0
        self._held = False
        self._released = False
        self._closed = False
        self._channel: Channel | None = None
        self.page = page(self.snapshot, self.receive)
        self._judge = Judge(comparison, self._state, self.page.send)

    def open(self) -> None:
        """Begin to follow the comparison."""
        self._mark()
        if self._state.is_over:
            self._end()
        self._comparison.subscribe(self.take)

    @property
    def state(self) -> GridState:
        """The comparison's state; complete once all cells have ended."""
        return self._state

    def take(self, cell: Cell | None, event: Event | None) -> None:
        """Take a cell's next event; without an event the cell begins anew, without a cell the scores have changed."""
        with self._lock:
            was_over = self._state.is_over
            if cell is None:
                news = self._state.score()
            elif event is None:
                news = self._state.begin(cell)
                self._judge.forget(cell.index)
            else:
                self._state.take(cell.index, event)
                news = not was_over
            is_over = self._state.is_over
        self._mark()
        if is_over and news:
            self._end()

    def snapshot(self) -> dict[str, Any]:
        """Return the state, with its number, as of the last message."""
        with self._lock:
            self._send_patch()
            return {"seq": self._seq, **self._state.to_dict()}

    def receive(self, message: Any) -> None:
        """Take a message from a page; it may hold anything."""
        match message:
            case {"kind": "hello"}:
                self._greet()
            case {"kind": "resync"}:
                self._send_snapshot()
            case {"kind": "stop" | "rerun" as kind, "cell": int(index)} if 0 <= index < len(self._comparison.cells):
                cell = self._comparison.cells[index]
                cell.cancel() if kind == "stop" else cell.rerun()
            case {"kind": "stop-all"}:
                self._comparison.cancel()
            case {"kind": "hold", "held": bool(held)}:
                self._hold(held=held)
            case {"kind": "gone"}:
                self._hold(held=False)
                if self._released and self._hellos <= 1:
                    self.close()
            case {"kind": str()} if self._judge.receive(message):
                pass
            case _:
                _logger.warning("The grid got a message that it doesn't know: %.200r", message)

    def release(self) -> None:
        """Close the view as soon as the page says that it doesn't show it any more.

        Something else takes its place in the output. A page that is just being reloaded misses that, and one that was
        reloaded, or a second one, doesn't follow: these go on to show the view.
        """
        self._released = True

    def close(self) -> None:
        """Take the view from the page."""
        with self._lock:
            self._closed = True
        self._close_channel()
        self.page.close()

    def _greet(self) -> None:
        with self._lock:
            self._hellos += 1
            if self._channel is not None:
                self._channel.interval = FRAME
            self._send_snapshot()
        self._hold(held=False)

    def _mark(self) -> None:
        """Say that there is something to send."""
        with self._lock:
            if self._closed:
                return
            if self._channel is None:
                self._channel = self._budget.channel(self._flush, FRAME if self._hellos else UNSEEN_INTERVAL)
            channel = self._channel
        channel.mark()

    def _end(self) -> None:
        """Send the last state; a budget's share isn't needed until a cell is asked again."""
        self._close_channel()
        self.page.push_state()
        if self._on_end is not None and not self._held:
            self._on_end(self)

    def _close_channel(self) -> None:
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _hold(self, *, held: bool) -> None:
        let_go = self._held and not held
        self._held = held
        if let_go and self._state.is_over and self._on_end is not None:
            self._on_end(self)

    def _flush(self) -> None:
        with self._lock:
            if self._hellos:
                self._send_patch()
                return
            self._seq += bool(self._state.patch())
            self._send_snapshot()
            if self._channel is not None:
                self._channel.interval = UNSEEN_INTERVAL + UNSEEN_CHARACTER * self._state.length

    def _send_patch(self) -> None:
        patch = self._state.patch()
        if patch:
            self._seq += 1
            self.page.send({"kind": "patch", "seq": self._seq, **patch})

    def _send_snapshot(self) -> None:
        with self._lock:
            self.page.send({"kind": "snapshot", "state": self.snapshot()})
