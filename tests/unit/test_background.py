"""The event loop thread and its helpers."""

from __future__ import annotations

import contextvars
import threading

import pytest

from llmkit.background import in_thread, loop_thread

WHERE = contextvars.ContextVar("WHERE", default="nowhere")


def test_work_runs_in_the_callers_context_on_the_one_loop_thread() -> None:
    """Prints land in the cell that asked: the context is carried over."""
    WHERE.set("here")

    async def look() -> tuple[str, str]:
        return WHERE.get(), threading.current_thread().name

    assert loop_thread().start(look).result(5) == ("here", "llmkit-loop")


@pytest.mark.parametrize("error", [ValueError, StopIteration, KeyboardInterrupt])
def test_what_a_thread_raises_reaches_the_one_who_awaits(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    async def call() -> str:
        try:
            await in_thread(fail)
        except BaseException as caught:  # noqa: BLE001 - told by its name
            return type(caught).__name__
        return "nothing"

    expected = "RuntimeError" if error is StopIteration else error.__name__
    assert loop_thread().start(call).result(5) == expected
