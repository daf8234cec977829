"""A live view of a run's timeline: it turns the run's events into rows for the widget, and answers what pages ask."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from llmkit.notebook.budget import BUDGET, Budget
from llmkit.notebook.run_view import UNSEEN_INTERVAL
from llmkit.notebook.trace_details import MESSAGES, Told, details
from llmkit.notebook.trace_rows import row_of
from llmkit.tracing.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.events import Event
    from llmkit.notebook.run_view import Page

FRAME = 0.3
"""Seconds between two messages: a timeline that moves more often is no easier to read."""

UNSEEN_ROW = 0.001
"""Seconds more, a row, between two messages as long as these are whole states."""

_logger = logging.getLogger("llmkit")


class Log(Protocol):
    """What views need of a run's events."""

    @property
    def end(self) -> Event | None:
        """The last event, once it is there."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __getitem__(self, index: int) -> Event:
        """Return one of them."""

    def subscribe(self, callback: Callable[[Event], None]) -> Any:
        """Call `callback` with every past event and then with each new one, from another thread."""


class TraceView:
    """A subscriber of a run's events that keeps a timeline up to date.

    The state that a page holds is ``seq``, ``now`` (seconds since the run's first event, when the message was made)
    and ``rows``. Every message has the number of the state it leads to and the rows that are new or have changed, so
    that a page knows when it missed one. Until a page says hello, messages are whole states: a page that opens late,
    because the kernel is busy with something else, is right with the first one it gets. What has happened already is
    there from the beginning.

    What pages say::

        hello, resync    seq: what the page has; answered with the state, or only with the time if that is all of it
        details          span, messages (how many of a step's), request_id → details: request_id, sections
        gone             the page doesn't show the timeline any more

    Parameters
    ----------
    log : Log
        The run's events.
    page : callable
        Makes the widget, given a function that returns the state and one that takes the page's messages.
    on_end : callable, optional
        Called after the last state has been sent; and again when something comes after the run's end, such as a call
        which is invoked later.
    budget : Budget
        Says when messages may go.
    """

    def __init__(
        self,
        log: Log,
        page: Callable[[Callable[[], dict[str, Any]], Callable[[Any], None]], Page],
        *,
        on_end: Callable[[TraceView], None] | None = None,
        budget: Budget = BUDGET,
    ) -> None:
        self._log = log
        self._on_end = on_end
        self._spans = Spans()
        self._told = Told()
        self._origin: float | None = None
        self._taken = 0
        self._rows: list[dict[str, Any]] = []
        self._changed: dict[int, None] = {}
        self._seq = 0
        self._lock = threading.RLock()
        self._hellos = 0
        self._released = False
        self._channel = budget.channel(self._flush, UNSEEN_INTERVAL)
        for index in range(len(log)):
            self._fold(log[index])
        if self._changed:
            self._advance()
        self.page = page(self.snapshot, self.receive)

    def open(self) -> None:
        """Begin to follow the run."""
        if self.is_over:
            self._finish()
        self._log.subscribe(self.take)

    @property
    def spans(self) -> Spans:
        """The run's spans; complete once the run has ended."""
        return self._spans

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return len(self._spans) > 0 and self._spans[0].status != "open"

    def take(self, event: Event) -> None:
        """Take the run's next event, or one that has been taken before."""
        with self._lock:
            if event.index < self._taken:
                return
            was_over = self.is_over
            changed = self._fold(event)
        if not changed:
            return
        if not self.is_over:
            self._channel.mark()
        elif not was_over:
            self._finish()
        else:
            self._flush()
            self._tell_end()

    def snapshot(self) -> dict[str, Any]:
        """Return the state, with its number, as of the last message."""
        with self._lock:
            self._send_pending()
            return {"seq": self._seq, "now": self._now(), "rows": list(self._rows)}

    def receive(self, message: Any) -> None:
        """Take a message from a page; it may hold anything."""
        match message:
            case {"kind": "hello"}:
                self._hellos += 1
                self._channel.interval = FRAME
                self._bring_up_to_date(message.get("seq"))
            case {"kind": "resync"}:
                self._bring_up_to_date(message.get("seq"))
            case {"kind": "details", "span": int(id_), "request_id": str(request_id)}:
                wanted = message.get("messages")
                self._send_details(id_, request_id[:100], wanted if isinstance(wanted, int) else MESSAGES)
            case {"kind": "gone"}:
                if self._released and self._hellos <= 1:
                    self.close()
            case _:
                _logger.warning("The timeline got a message that it doesn't know: %.200r", message)

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

    def _fold(self, event: Event) -> bool:
        """Fold an event into the spans; return whether it changed any."""
        if self._origin is None:
            self._origin = event.time
        self._taken = event.index + 1
        changed = self._spans.take(event)
        self._told.take(event, changed)
        self._changed |= dict.fromkeys(span.id for span in changed)
        return bool(changed)

    def _finish(self) -> None:
        self._channel.close()
        self.page.push_state()
        self._tell_end()

    def _tell_end(self) -> None:
        if self._on_end is not None:
            self._on_end(self)

    def _now(self) -> float:
        if self._origin is None:
            return 0.0
        end = self._spans[0].end
        return round((time.time() if end is None else end) - self._origin, 4)

    def _flush(self) -> None:
        with self._lock:
            if self._changed and not self._hellos:
                self._channel.interval = UNSEEN_INTERVAL + UNSEEN_ROW * len(self._spans)
                self._advance()
                self._send_snapshot()
            else:
                self._send_pending()

    def _send_pending(self) -> None:
        if self._changed:
            rows = self._advance()
            self.page.send({"kind": "patch", "seq": self._seq, "now": self._now(), "rows": rows})

    def _advance(self) -> list[dict[str, Any]]:
        """Bring the rows up to date and return those that changed."""
        assert self._origin is not None  # noqa: S101 - something changed, so there was an event
        rows = [row_of(self._spans[id_], self._origin) for id_ in sorted(self._changed)]
        for row in rows:  # ids are consecutive, so what isn't there yet comes next
            self._rows[row["id"] : row["id"] + 1] = [row]
        self._changed.clear()
        self._seq += 1
        return rows

    def _send_snapshot(self) -> None:
        with self._lock:
            self.page.send({"kind": "snapshot", "state": self.snapshot()})

    def _bring_up_to_date(self, seq: Any) -> None:
        with self._lock:
            if seq == self._seq and not self._changed:
                self.page.send({"kind": "patch", "seq": self._seq, "now": self._now(), "rows": []})
            else:
                self._send_snapshot()

    def _send_details(self, id_: int, request_id: str, messages: int) -> None:
        with self._lock:
            span = self._spans[id_] if 0 <= id_ < len(self._spans) else None
            told = () if span is None else self._told.of(span)
        answer: dict[str, Any] = {"kind": "details", "request_id": request_id, "sections": []}
        try:
            if span is not None:
                answer["sections"] = details(span, told, messages)
        except Exception as error:  # what is shown is anybody's: values, errors, names
            _logger.exception("The details of a %s can't be shown.", "span" if span is None else span.kind)
            words = f"This can't be shown: {type(error).__name__}."
            answer["sections"] = [{"title": "", "kind": "text", "text": words, "more": 0}]
        self.page.send(answer)
