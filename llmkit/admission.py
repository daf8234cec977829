"""Whose turn it is: runs of one model share it up to a limit, then wait in order."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from llmkit.errors import QueueFull, QueueTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from llmkit.cancellation import CancelToken


class Admission:
    """A first-come-first-served gate with a number of places. Used on the event loop thread only.

    Parameters
    ----------
    places : int
        How many may be inside at once.
    queue_limit : int, optional
        How many may wait; ``None`` is no limit.
    queue_timeout : float, optional
        Seconds that one may wait.
    """

    def __init__(self, places: int, *, queue_limit: int | None = None, queue_timeout: float | None = None) -> None:
        self.places = places
        self.inside = 0
        self._queue_limit = queue_limit
        self._queue_timeout = queue_timeout
        self._waiting: deque[_Waiter] = deque()
        self._peaks: list[Peak] = []

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def place(self, cancel: CancelToken, on_position: Callable[[int], None]) -> AsyncIterator[Peak]:
        """Hold a place while inside the block; wait for one first.

        Parameters
        ----------
        cancel : CancelToken
            Ends the waiting; the block is then entered without a place, for its holder to find out and leave.
        on_position : Callable
            Told how many are ahead, each time that changes.

        Yields
        ------
        Peak
            Counts how many were inside at once.

        Raises
        ------
        QueueFull
            If ``queue_limit`` runs wait already.
        QueueTimeout
            If no place came free in ``queue_timeout`` seconds.
        """
        held = await self._enter(cancel, on_position)
        peak = Peak(self.inside)
        self._peaks.append(peak)
        for each in self._peaks:
            each.count = max(each.count, self.inside)
        try:
            yield peak
        finally:
            self._peaks.remove(peak)
            if held:
                self._leave()

    async def _enter(self, cancel: CancelToken, on_position: Callable[[int], None]) -> bool:
        if cancel.cancelled:
            return False
        if self.inside < self.places and not self._waiting:
            self.inside += 1
            return True
        if self._queue_limit is not None and len(self._waiting) >= self._queue_limit:
            raise QueueFull(
                f"{len(self._waiting)} runs wait for this model already, as many as queue_limit allows. "
                "Wait for some to end, cancel some, or raise queue_limit."
            )
        return await self._wait(cancel, on_position)

    async def _wait(self, cancel: CancelToken, on_position: Callable[[int], None]) -> bool:
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future(), on_position)
        self._waiting.append(waiter)
        on_position(len(self._waiting) - 1)
        forget = cancel.on_cancel(lambda: loop.call_soon_threadsafe(waiter.settle, "cancelled"))
        timer = loop.call_later(self._queue_timeout, waiter.settle, "timeout") if self._queue_timeout else None
        try:
            outcome = await waiter.turn
        finally:
            forget()
            if timer is not None:
                timer.cancel()
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                self._tell_positions()
        if outcome == "timeout":
            raise QueueTimeout(f"No place came free within queue_timeout={self._queue_timeout:g} s.")
        return outcome == "admitted"

    def _leave(self) -> None:
        while self._waiting and self.inside <= self.places:
            if self._waiting.popleft().settle("admitted"):
                self._tell_positions()
                return  # the place is handed on
        self.inside -= 1

    def _tell_positions(self) -> None:
        for position, waiter in enumerate(self._waiting):
            waiter.on_position(position)


class Peak:
    """The most that were inside at once while it was watched."""

    def __init__(self, count: int) -> None:
        self.count = count


class _Waiter:
    def __init__(self, turn: asyncio.Future[str], on_position: Callable[[int], None]) -> None:
        self.turn = turn
        self.on_position = on_position

    def settle(self, outcome: str) -> bool:
        if self.turn.done():
            return False
        self.turn.set_result(outcome)
        return True
