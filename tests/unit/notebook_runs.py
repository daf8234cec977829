"""A run for the tests of views: events come when the test says so, in the test's own thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit import events
from llmkit.errors import EngineError
from llmkit.results import Stats, Usage
from llmkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

E = TypeVar("E", bound=events.Event)

STATS = Stats(
    prompt_tokens=20, cache_tokens=8, generated_tokens=12, time_to_first_token=0.25, decode_time=0.15, device="cpu"
)


class FakeRun:
    """What views see of a run."""

    def __init__(self, number: int = 1) -> None:
        self.id = f"run-{number}"
        self.cancelled = 0
        self.events: list[events.Event] = []
        self._subscribers: list[Callable[[events.Event], object]] = []
        self._ended = threading.Event()

    def emit(self, kind: type[E], **fields: Any) -> E:
        event = kind(index=len(self.events), **fields)
        self.events.append(event)
        for subscriber in self._subscribers:
            subscriber(event)
        if isinstance(event, events.End):
            self._ended.set()
        return event

    def subscribe(self, callback: Callable[[events.Event], object]) -> None:
        for event in self.events:
            callback(event)
        self._subscribers.append(callback)

    def wait(self, timeout: float | None = None) -> bool:
        return self._ended.wait(timeout)

    def cancel(self) -> bool:
        self.cancelled += 1
        return True

    def start(self, *, model: str = "SmolLM2", engine: str = "llamacpp", note: str = "") -> None:
        self.emit(
            events.Start,
            run_id=self.id,
            session_id="session-1",
            model=model,
            engine=engine,
            messages=(),
            settings=Settings(),
            note=note,
        )

    def text(self, *pieces: str) -> None:
        for piece in pieces:
            self.emit(events.TextDelta, step=0, text=piece)

    def finish(self, text: str = "", **changes: Any) -> None:
        self.emit(events.Finish, **_end(text, **{"finish_reason": "stop", **changes}))

    def abort(self, text: str = "") -> None:
        self.emit(events.Abort, **_end(text, finish_reason="cancelled"))

    def fail(self, message: str = "No memory left.") -> None:
        self.emit(events.Failure, **_end("", finish_reason="error"), error=EngineError(message))

    def answer(self, *pieces: str) -> None:
        """Be a whole run."""
        self.start()
        self.emit(events.StepStart, step=0)
        self.text(*pieces)
        self.finish("".join(pieces))


def _end(text: str, **changes: Any) -> dict[str, Any]:
    end = {"text": text, "reasoning": "", "raw_finish_reason": "", "usage": Usage(), "stats": STATS}
    return {**end, **changes}
