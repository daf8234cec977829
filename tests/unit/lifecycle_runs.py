"""Runs whose callbacks and events are written down as tables."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import llmkit as lk
from llmkit import events
from llmkit.lifecycle import CALLBACKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.run import Run


def weather(city: str) -> dict[str, Any]:
    """Tell the weather of a city."""
    return {"temperature": 22, "city": city}


def population(city: str) -> int:
    """Tell how many people live in a city."""
    return {"Tokyo": 37_000_000}[city]


class Told:
    """Writes down each callback as it is called; ``callbacks`` are to be passed to what makes the run."""

    def __init__(self, name: str = "") -> None:
        self.lines: list[str] = []
        self.events: list[events.Event] = []
        self._name = name
        self._lock = threading.Lock()

    @property
    def callbacks(self) -> dict[str, Any]:
        return {name: self._callback(name) for name in CALLBACKS if name != "on_chunk"}

    @property
    def table(self) -> list[str]:
        with self._lock:
            return list(self.lines)

    def _callback(self, name: str) -> Callable[[events.Event], None]:
        def callback(event: events.Event) -> None:
            with self._lock:
                self.events.append(event)
                self.lines.append(" ".join(part for part in (self._name, name, words(event)) if part))

        return callback


_WORDS: dict[type[events.Event], Callable[[Any], str]] = {
    events.Start: lambda event: repr(event.prompt),
    events.StepStart: lambda event: f"{event.step}",
    events.ApprovalRequested: lambda event: f"{event.step} {event.request.call.name}",
    events.ApprovalDecided: lambda event: (
        f"{event.step} {event.ruling.tool} {event.ruling.verdict} by {event.ruling.by}"
    ),
    events.ToolStarted: lambda event: f"{event.step} {event.call.name} {json.dumps(event.arguments)}",
    events.ToolFinished: lambda event: f"{event.step} {event.result.call.name} {json.dumps(event.result.output)}",
    events.ToolFailed: lambda event: f"{event.step} {event.result.call.name} {type(event.result.error).__name__}",
    events.StepFinish: lambda event: f"{event.step} {event.result.finish_reason} {event.result.text!r}",
    events.Finish: lambda event: f"{event.finish_reason} {event.text!r} because {event.stop_reason}",
    events.Abort: lambda event: str(event.reason),
    events.Failure: lambda event: f"{type(event.error).__name__}: {event.error}",
}


def words(event: events.Event) -> str:
    """Return what matters in an event, without ids and times."""
    tried = f"success={event.success}" if isinstance(event, events.ToolFinished | events.ToolFailed) else ""
    return " ".join(part for part in (_WORDS[type(event)](event), tried) if part)


def kinds(run: Run) -> list[str]:
    """Return the types of a run's events; pieces of one stretch, and progress, once."""
    run.wait()
    found: list[str] = []
    for event in run.events:
        if not (found and found[-1] == event.type):
            found.append(event.type)
    return found


def session(*answers: Any, **options: Any) -> lk.Session:
    """Return a session that answers so."""
    return lk.Session(engine=lk.Scripted(answers, loop=False), show=False, ledger=None, **options)
