"""How llmkit waits, in a cell, a coroutine or a script, so that interrupts and whatever else must get through do.

Everything that blocks until a run has got further goes through :func:`wait` or :func:`wait_async`. What they do is
up to the waiter in use: a plain one to begin with; in a notebook, one that lets widget messages in meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEARTBEAT = 0.05
"""Seconds after which a waiting coroutine runs at the latest, so that its loop sees an interrupt."""

logger = logging.getLogger("llmkit")


class Signal(threading.Event):
    """An event that can also call back when it is set, so that a waiter in another loop or thread wakes at once.

    Like any event it can be cleared and used again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.RLock()
        self._callbacks: list[Callable[[], object]] = []

    def set(self) -> None:
        """Set the event, and call what is registered, in this thread."""
        super().set()
        with self._guard:
            for callback in tuple(self._callbacks):
                callback()

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call ``callback`` whenever the event is set, and at once if it is; after the block, never again.

        Parameters
        ----------
        callback : Callable
            Short, and from any thread: it must not block or raise.
        """
        with self._guard:
            self._callbacks.append(callback)
            if self.is_set():
                callback()
        try:
            yield
        finally:
            with self._guard:
                self._callbacks.remove(callback)


class Waiter(Protocol):
    """A way to wait for an event. A :class:`Signal` wakes it at once, a bare event within :data:`HEARTBEAT`."""

    def wait(self, done: threading.Event, timeout: float | None) -> bool:
        """Block until ``done`` is set or ``timeout`` seconds have passed; return whether it is set."""
        ...

    async def wait_async(self, done: threading.Event, timeout: float | None) -> bool:  # noqa: ASYNC109
        """Do the same without blocking the running loop."""
        ...


class PlainWaiter:
    """Waits, and does nothing else meanwhile."""

    def wait(self, done: threading.Event, timeout: float | None) -> bool:
        """Block until ``done`` is set or ``timeout`` seconds have passed; return whether it is set."""
        return done.wait(timeout)

    async def wait_async(self, done: threading.Event, timeout: float | None) -> bool:  # noqa: ASYNC109
        """Do the same without blocking the running loop."""
        deadline = Deadline(timeout)
        woken = asyncio.Event()
        with calling(done, _waker(asyncio.get_running_loop(), woken)):
            while not done.is_set() and not deadline.passed:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(deadline.left(HEARTBEAT)):
                        await woken.wait()
        return done.is_set()


class Deadline:
    """A point in time that may never come.

    Parameters
    ----------
    timeout : float or None
        Seconds from now; ``None`` for never.
    """

    def __init__(self, timeout: float | None) -> None:
        self._end = float("inf") if timeout is None else time.monotonic() + timeout

    @property
    def passed(self) -> bool:
        """Whether it is over."""
        return time.monotonic() >= self._end

    def left(self, at_most: float) -> float:
        """Return the seconds that are left, but no more than ``at_most``."""
        return max(0.0, min(at_most, self._end - time.monotonic()))


def calling(done: threading.Event, callback: Callable[[], object]) -> contextlib.AbstractContextManager[None]:
    """Call ``callback`` when ``done`` is set, if it is a signal; a bare event can't call."""
    return done.calling(callback) if isinstance(done, Signal) else contextlib.nullcontext()


def _waker(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> Callable[[], None]:
    def wake() -> None:
        try:
            loop.call_soon_threadsafe(woken.set)
        except RuntimeError:  # the loop was closed with the coroutine still in it
            logger.debug("Nobody is left to wake.", exc_info=True)

    return wake


_waiter: Waiter = PlainWaiter()


def current_waiter() -> Waiter:
    """Return the waiter in use."""
    return _waiter


def use_waiter(waiter: Waiter) -> Waiter:
    """Put ``waiter`` in use, for the whole process, and return the one that was."""
    global _waiter
    previous, _waiter = _waiter, waiter
    return previous


def wait(done: threading.Event, timeout: float | None = None) -> bool:
    """Block until ``done`` is set, and let through what must get through meanwhile.

    Parameters
    ----------
    done : threading.Event
        Best a :class:`Signal`.
    timeout : float, optional
        Seconds to wait at most.

    Returns
    -------
    bool
        Whether ``done`` is set.

    Raises
    ------
    KeyboardInterrupt
        When interrupted, at once.
    """
    return _waiter.wait(done, timeout)


async def wait_async(done: threading.Event, timeout: float | None = None) -> bool:  # noqa: ASYNC109
    """Do what :func:`wait` does, without blocking the running loop; parameters and result are the same."""
    return await _waiter.wait_async(done, timeout)


class Going(Protocol):
    """Something that goes on by itself and can be stopped: a run, or a comparison of them."""

    def wait(self) -> object:
        """Wait for the end."""

    def cancel(self) -> object:
        """Stop it; returns at once."""


def wait_or_stop(*going: Going) -> None:
    """Wait until all have ended. An interrupt stops them, and their ends are awaited all the same."""
    try:
        for each in going:
            each.wait()
    except KeyboardInterrupt:
        for each in going:
            each.cancel()
        for each in going:
            each.wait()
