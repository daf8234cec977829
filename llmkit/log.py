"""A run's events, kept from the first on, so that any number of readers can replay them early or late."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from llmkit import waiting
from llmkit.background import loop_thread
from llmkit.events import End, Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from llmkit.errors import Error

logger = logging.getLogger("llmkit")

E = TypeVar("E", bound=Event)
T = TypeVar("T")


class EventLog:
    """Events in order. Written on the event loop thread, read from any."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._subscribers: list[Callable[[Event], None]] = []
        self._watchers: set[waiting.Signal] = set()
        self._lock = threading.Lock()
        self._late = 0
        self.end: End | None = None
        """The event that ended the run; set only after every subscriber has seen it."""
        self.over = waiting.Signal()
        """Set when ``end`` is there."""

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        """Iterate the events so far, without waiting."""
        return iter(tuple(self._events))

    def __getitem__(self, index: int) -> Event:
        return self._events[index]

    def emit(self, kind: type[E], **fields: Any) -> E:
        """Append an event of ``kind`` and give it to all subscribers. Loop thread only.

        After the end nothing is appended: subscribers are told of what comes late, and no stream has it.
        """
        event = self.draft(kind, **fields)
        self.append(event)
        return event

    def draft(self, kind: type[E], **fields: Any) -> E:
        """Return what would be the next event, without appending it. Loop thread only."""
        self._late += self.end is not None
        return kind(index=len(self._events) + max(0, self._late - 1), **fields)

    def append(self, event: Event) -> None:
        """Append a drafted event and give it to all subscribers. Loop thread only."""
        if self.end is None:
            self._events.append(event)
        for subscriber in self._subscribers:
            _tell(subscriber, event)
        if self.end is not None:
            return
        if isinstance(event, End):
            self.end = event
        with self._lock:
            watchers = tuple(self._watchers)
        for watcher in watchers:
            watcher.set()
        if self.end is not None:
            self.over.set()

    def subscribe(self, callback: Callable[[Event], None]) -> None:
        """Call ``callback`` with every event from the first on, on the event loop thread."""
        loop_thread().call(self.follow, callback)

    def follow(self, callback: Callable[[Event], None]) -> None:
        """Do what :meth:`subscribe` does, at once. Loop thread only."""
        for event in self._events:
            _tell(callback, event)
        self._subscribers.append(callback)

    def watch(self) -> waiting.Signal:
        """Return a signal that is set whenever the log grows; give it back with :meth:`unwatch`."""
        watcher = waiting.Signal()
        with self._lock:
            self._watchers.add(watcher)
        return watcher

    def unwatch(self, watcher: waiting.Signal) -> None:
        """Stop setting ``watcher``."""
        with self._lock:
            self._watchers.discard(watcher)


def _tell(subscriber: Callable[[Event], None], event: Event) -> None:
    try:
        subscriber(event)
    except Exception:
        logger.exception("A subscriber failed on %s; the run goes on.", event.type)


class Replay(Generic[T]):
    """A stream over a run's events that starts from the first, each time it is iterated.

    Works with ``for`` and ``async for``. A run that failed or was cancelled raises its error at the end.

    Parameters
    ----------
    log : EventLog
        The events.
    pick : Callable
        Turns an event into an item; ``None`` leaves it out.
    failure : Callable, optional
        Returns the error to raise at the end, if any; without it the stream always ends cleanly.
    """

    def __init__(
        self,
        log: EventLog,
        pick: Callable[[Event], T | None],
        failure: Callable[[End], Error | None] | None = None,
    ) -> None:
        self._log = log
        self._pick = pick
        self._failure = failure

    def __iter__(self) -> Iterator[T]:
        """Iterate from the first event on, waiting for more."""
        with _Cursor(self._log, self._pick) as cursor:
            while True:
                yield from cursor.unseen()
                if cursor.end is not None:
                    break
                waiting.wait(cursor.grown)
        self._raise_failure(cursor.end)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Iterate from the first event on, waiting for more."""
        with _Cursor(self._log, self._pick) as cursor:
            while True:
                for item in cursor.unseen():
                    yield item
                if cursor.end is not None:
                    break
                await waiting.wait_async(cursor.grown)
        self._raise_failure(cursor.end)

    def _raise_failure(self, end: End) -> None:
        error = self._failure(end) if self._failure is not None else None
        if error is not None:
            raise error


class _Cursor(Generic[T]):
    """One reader's place in a log."""

    def __init__(self, log: EventLog, pick: Callable[[Event], T | None]) -> None:
        self._log = log
        self._pick = pick
        self._position = 0
        self.grown = log.watch()
        self.end: End | None = None

    def unseen(self) -> Iterator[T]:
        """Yield what came since the last time; afterwards ``end`` says whether that was all."""
        self.grown.clear()
        end = self._log.end  # read before the events: once it is there, nothing follows
        while self._position < len(self._log):
            item = self._pick(self._log[self._position])
            self._position += 1
            if item is not None:
                yield item
        self.end = end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.unwatch(self.grown)
