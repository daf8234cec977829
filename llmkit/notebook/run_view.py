"""A live view of a run: it turns the run's events into messages for the widget, and the widget's into actions."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Protocol

from llmkit.notebook.budget import BUDGET, SHORTEST_INTERVAL, Budget
from llmkit.notebook.panel import Approvals, Panel
from llmkit.notebook.run_state import Change, RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.events import Event

UNSEEN_INTERVAL = 0.25
"""Seconds between two messages as long as no page has said hello."""

_logger = logging.getLogger("llmkit")


class Run(Protocol):
    """What views need of a run."""

    @property
    def id(self) -> str:
        """The run's id."""

    @property
    def approvals(self) -> Approvals:
        """Where the run's tool calls are decided on."""

    def cancel(self) -> Any:
        """Stop the run."""

    def subscribe(self, callback: Callable[[Event], None]) -> Any:
        """Call `callback` with every past event and then with each new one, from another thread."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the run's end; return whether it came within `timeout` seconds."""


class Page(Protocol):
    """What a view needs of its widget."""

    def send(self, content: dict[str, Any]) -> None:
        """Send a message to all pages that show the widget."""

    def push_state(self) -> None:
        """Bring the pages' copy of the whole state up to date."""

    def mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what displays the widget: data and metadata."""

    def close(self) -> None:
        """Take the widget from all pages."""


class RunView:
    """A subscriber of a run's events that keeps a widget up to date.

    Every message has the number of the state it leads to, so that a page knows when it missed one. Until a page says
    hello, messages are whole states: a page that opens late, because the kernel is busy with something else, is right
    with the first one it gets.

    Parameters
    ----------
    run : Run
        The run to show.
    page : callable
        Makes the widget, given a function that returns the state and one that takes the page's messages.
    on_end : callable, optional
        Called after the last state has been sent; and again when something changes that, such as a call which is
        invoked later.
    budget : Budget
        Says when messages may go.
    """

    def __init__(
        self,
        run: Run,
        page: Callable[[Callable[[], dict[str, Any]], Callable[[Any], None]], Page],
        *,
        on_end: Callable[[RunView], None] | None = None,
        budget: Budget = BUDGET,
    ) -> None:
        self._run = run
        self._on_end = on_end
        self._state = RunState(run.id)
        self._pending = Change()
        self._seq = 0
        self._lock = threading.RLock()
        self._hellos = 0
        self._released = False
        self._channel = budget.channel(self._flush, UNSEEN_INTERVAL)
        self.page = page(self.snapshot, self.receive)
        self._panel = Panel(run.approvals, self.page.send)

    def open(self) -> None:
        """Begin to follow the run."""
        self._run.subscribe(self.take)

    @property
    def state(self) -> RunState:
        """The run's state; complete once the run has ended."""
        return self._state

    def take(self, event: Event) -> None:
        """Take the run's next event."""
        with self._lock:
            was_over = self._state.is_over
            change = self._state.take(event)
            self._pending.add(change)
        if was_over and not change:
            return
        if not self._state.is_over:
            self._channel.mark()
            return
        self._channel.close()
        self.page.push_state()
        if self._on_end is not None:
            self._on_end(self)

    def snapshot(self) -> dict[str, Any]:
        """Return the state, with its number, as of the last message."""
        with self._lock:
            self._send_pending()
            return {"seq": self._seq, **self._state.to_dict()}

    def receive(self, message: Any) -> None:
        """Take a message from a page; it may hold anything."""
        match message:
            case {"kind": "hello"}:
                self._hellos += 1
                self._channel.interval = SHORTEST_INTERVAL
                self._panel.attended()
                self._send_snapshot()
            case {"kind": "resync"}:
                self._send_snapshot()
            case {"kind": "stop"}:
                self._run.cancel()
            case {"kind": "gone"}:
                if self._released and self._hellos <= 1:
                    self.close()
            case {"kind": str()} if self._panel.receive(message):
                pass
            case _:
                _logger.warning("The run widget got a message that it doesn't know: %.200r", message)

    def release(self) -> None:
        """Close the view as soon as the page says that it doesn't show it any more.

        Something else takes its place in the output. A page that is just being reloaded misses that, and one that was
        reloaded, or a second one, doesn't follow: these go on to show the view.
        """
        self._released = True

    def close(self) -> None:
        """Take the view from the page."""
        self._channel.close()
        self.page.close()

    def _flush(self) -> None:
        with self._lock:
            if self._pending and not self._hellos:
                self._seq += 1
                self._pending = Change()
                self._send_snapshot()
            else:
                self._send_pending()

    def _send_pending(self) -> None:
        if self._pending:
            self._seq += 1
            patch = {"kind": "patch", "seq": self._seq, **self._pending.to_dict()}
            self._pending = Change()
            self.page.send(patch)

    def _send_snapshot(self) -> None:
        with self._lock:
            self.page.send({"kind": "snapshot", "state": self.snapshot()})
