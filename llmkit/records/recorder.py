"""The recorder of a run: takes its events on the event loop's thread, hands them to the writer's."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from llmkit.events import (
    Abort,
    Event,
    Failure,
    Finish,
    ReasoningDelta,
    Start,
    StepFinish,
    StepStart,
    TextDelta,
    TokensDecoded,
)
from llmkit.records.calls import CALL_EVENTS
from llmkit.records.record import RunRecord

if TYPE_CHECKING:
    from collections.abc import Callable

_MILESTONES = frozenset({Start, StepFinish, Finish, Abort, Failure}) | CALL_EVENTS
_PIECES = frozenset({TextDelta, ReasoningDelta, TokensDecoded, StepStart})

_logger = logging.getLogger("llmkit")


class Recorder:
    """Takes a run's events; costs well under a microsecond for each.

    Milestones are passed on at once. Pieces of the answer only gather: the first since the last save asks for a save
    a second later, so that a stream of any speed wakes the writer once a second.

    Parameters
    ----------
    submit : callable
        Takes the recorder, and whether it has come to a milestone; returns at once.
    """

    __slots__ = ("__weakref__", "_asked", "_events", "_submit", "record")

    def __init__(self, submit: Callable[[Recorder, bool], None]) -> None:
        self.record = RunRecord()
        self._events: deque[Event] = deque()
        self._asked = False
        self._submit = submit

    def __call__(self, event: Event) -> None:
        """Take the run's next event."""
        kind = type(event)
        if kind in _PIECES:
            self._events.append(event)
            if not self._asked:
                self._asked = True
                self._submit(self, False)
        elif kind in _MILESTONES:
            self._events.append(event)
            self._submit(self, True)

    def fold(self) -> None:
        """Fold what has come into the record; for the writer alone."""
        # In this order an event that comes meanwhile is either folded now or asks anew.
        self._asked = False
        while self._events:
            event = self._events.popleft()
            try:
                self.record.add(event)
            except Exception:
                _logger.exception("An event of kind %s couldn't be recorded", event.type)
        self.record.draw_up()
