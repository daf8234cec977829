"""When views may send: at once when it is quiet, coalesced when it is not.

A Jupyter server drops a kernel's messages above 1,000 a second (over a window of 3 s), and each message of a widget
counts. So a view doesn't send for every event: it says that it has something (:meth:`Channel.mark`), and the budget
calls it back when it may send.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES_PER_SECOND = 400
"""For all channels together; what is left is for printing, plots and other widgets."""

SHORTEST_INTERVAL = 0.08
"""Seconds between two messages of a channel: a page paints about as often, and more would only take time from it."""

_logger = logging.getLogger("llmkit")


class Budget:
    """Messages per second, shared by all open channels.

    A thread waits for the next channel that is due; without one it waits for nothing and costs nothing.

    Parameters
    ----------
    messages_per_second : float
        For all channels together.
    """

    def __init__(self, messages_per_second: float = MESSAGES_PER_SECOND) -> None:
        self._share = 1 / messages_per_second
        self._open = 0
        self._changed = threading.Condition()
        self._order = itertools.count()
        self._due: list[tuple[float, int, Channel]] = []
        self._thread: threading.Thread | None = None

    def channel(self, flush: Callable[[], None], interval: float = SHORTEST_INTERVAL, *, delay: float = 0.0) -> Channel:
        """Open a channel.

        Parameters
        ----------
        flush : callable
            Sends what has gathered; called from any thread, one at a time.
        interval : float
            Seconds at least between two messages.
        delay : float
            Seconds until the first one.
        """
        with self._changed:
            self._open += 1
        return Channel(self, flush, interval, delay)

    def interval(self) -> float:
        """Return the seconds between two messages that each open channel can afford."""
        return self._share * self._open

    def close(self, channel: Channel) -> None:
        """Forget a channel."""
        with self._changed:
            self._open -= 1
            self._due = [entry for entry in self._due if entry[2] is not channel]
            heapq.heapify(self._due)

    def schedule(self, when: float, channel: Channel) -> None:
        """Let `channel` flush at `when`, in seconds of the monotonic clock."""
        with self._changed:
            heapq.heappush(self._due, (when, next(self._order), channel))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="llmkit-views", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _serve(self) -> None:
        while True:
            self._next().flush()

    def _next(self) -> Channel:
        """Wait for the next channel that is due."""
        with self._changed:
            while True:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)


class Channel:
    """One view's share of the budget. Made by :meth:`Budget.channel`."""

    def __init__(self, budget: Budget, flush: Callable[[], None], interval: float, delay: float) -> None:
        self.interval = interval
        self._budget = budget
        self._flush = flush
        self._lock = threading.Lock()
        self._flushing = threading.RLock()
        self._scheduled = False
        self._closed = False
        self._earliest = time.monotonic() + delay

    def mark(self) -> None:
        """Say that there is something to send: it goes now if it may, else as soon as it may."""
        with self._lock:
            if self._scheduled or self._closed:
                return
            self._scheduled = True
        if self._earliest <= time.monotonic():
            self.flush()
        else:
            self._budget.schedule(self._earliest, self)

    def flush(self) -> None:
        """Send what there is, now."""
        with self._flushing:
            with self._lock:
                if self._closed:
                    return
                self._scheduled = False
                self._earliest = time.monotonic() + max(self.interval, self._budget.interval())
            try:
                self._flush()
            except Exception:
                _logger.exception("A view could not send its state.")

    def close(self) -> None:
        """Send what there is for the last time; further marks do nothing. A second close does nothing."""
        self.flush()
        self.discard()

    def discard(self) -> None:
        """Close without sending what there is."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._budget.close(self)


BUDGET = Budget()
"""The one that all views of a kernel share."""
