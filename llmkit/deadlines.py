"""A run's time limits: total, step and chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.errors import TimeoutError  # noqa: A004 - llmkit's own, which is a built-in one too

if TYPE_CHECKING:
    import asyncio

    from llmkit.cancellation import CancelToken
    from llmkit.settings import Timeouts


class Deadlines:
    """Cancels a run when a limit passes. Used on the event loop thread only.

    Parameters
    ----------
    limits : Timeouts
        The limits in seconds.
    cancel : CancelToken
        What is thrown, with a :class:`llmkit.errors.TimeoutError`, when one passes.
    loop : asyncio.AbstractEventLoop
        Whose clock counts.
    """

    def __init__(self, limits: Timeouts, cancel: CancelToken, loop: asyncio.AbstractEventLoop) -> None:
        self._limits = {"total": limits.total, "step": limits.step, "chunk": limits.chunk}
        self._cancel = cancel
        self._loop = loop
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._left: dict[str, float] = {}

    def start(self, limit: str) -> None:
        """Count ``limit`` from now on, anew if it was counting."""
        self.stop(limit)
        seconds = self._limits[limit]
        if seconds is not None:
            self._set(limit, seconds)

    def stop(self, *limits: str) -> None:
        """Stop counting ``limits``."""
        for limit in limits:
            self._left.pop(limit, None)
            timer = self._timers.pop(limit, None)
            if timer is not None:
                timer.cancel()

    def pause(self) -> None:
        """Stop all clocks, until :meth:`resume`."""
        for limit, timer in self._timers.items():
            self._left[limit] = timer.when() - self._loop.time()
            timer.cancel()
        self._timers.clear()

    def resume(self) -> None:
        """Let the clocks go on from where they were paused."""
        for limit, left in self._left.items():
            self._set(limit, max(0.0, left))
        self._left.clear()

    def _set(self, limit: str, seconds: float) -> None:
        self._timers[limit] = self._loop.call_later(seconds, self._pass, limit)

    def _pass(self, limit: str) -> None:
        seconds = self._limits[limit]
        message = f"The {limit} limit of {seconds:g} s passed. Raise timeout={{'{limit}': …}} or ask for less."
        self._cancel.cancel(TimeoutError(message, limit=limit))
