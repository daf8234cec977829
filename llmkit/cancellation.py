"""A switch that can be thrown once, from any thread, and that many can watch."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")


class Stopped(Exception):
    """A switch was thrown; whoever watches it gives up."""


class CancelToken:
    """Says whether to stop, and why.

    The first ``cancel`` wins; later ones change nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
        self._cause: str | Exception | None = None

    @property
    def cancelled(self) -> bool:
        """Whether it was thrown."""
        return self._cause is not None

    @property
    def cause(self) -> str | Exception | None:
        """Why: words for a person, or the error to end with; ``None`` while not thrown."""
        return self._cause

    def cancel(self, cause: str | Exception = "cancelled by the caller") -> bool:
        """Throw the switch and call everyone who watches, in this thread.

        Parameters
        ----------
        cause : str or Exception
            Words for a person; an exception if the run should fail with it rather than end as cancelled.

        Returns
        -------
        bool
            Whether this call threw it.
        """
        with self._lock:
            if self._cause is not None:
                return False
            self._cause = cause
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
        return True

    @contextmanager
    def event(self) -> Iterator[asyncio.Event]:
        """Provide, inside the block, an event of the running loop that is set when the switch is thrown."""
        loop = asyncio.get_running_loop()
        thrown = asyncio.Event()
        forget = self.on_cancel(lambda: loop.call_soon_threadsafe(thrown.set))
        try:
            yield thrown
        finally:
            forget()

    def on_cancel(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call ``callback`` once when the switch is thrown, at once if it was.

        Returns
        -------
        Callable
            Stops watching.
        """
        with self._lock:
            if self._cause is None:
                self._callbacks.append(callback)
                return lambda: self._forget(callback)
        callback()
        return lambda: None

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work``, but give up when the switch is thrown. What it waits for goes on for others.

        Raises
        ------
        Stopped
            If it was thrown first.
        """
        with self.event() as thrown:
            task = asyncio.ensure_future(work)
            stopped = asyncio.ensure_future(thrown.wait())
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not task.done():
                task.cancel()
                raise Stopped
            return task.result()

    def to_dict(self) -> dict[str, Any]:
        """Return its state as JSON values."""
        return {"cancelled": self.cancelled, "cause": None if self.cause is None else str(self.cause)}

    def _forget(self, callback: Callable[[], object]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
