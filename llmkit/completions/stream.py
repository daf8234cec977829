"""A completion that streams."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Self

from llmkit import waiting
from llmkit.background import loop_thread
from llmkit.errors import StreamClosed, TimeoutError  # noqa: A004 - a built-in TimeoutError too

if TYPE_CHECKING:
    from collections.abc import Generator

    from llmkit.completions.completion import Completion
    from llmkit.completions.flight import Flight


class CompletionStream:
    """The chunks of a completion as they come; :meth:`llmkit.completions.Completions.create_stream` makes it.

    Each chunk is a :class:`Completion` with a piece of one choice; the last has the usage. ``for`` and ``async for``
    go through them once and end with the completion; a failure is raised where it came. ``result()`` and ``await``
    give the whole completion, whether or not anyone reads the chunks. Leaving a ``with`` block closes the stream.

    Examples
    --------
    >>> import llmkit as lk
    >>> session = lk.Session(engine=lk.Scripted([" upon a time."]), show=False, ledger=None)
    >>> with session.completions.create_stream("Once") as stream:
    ...     for chunk in stream:
    ...         print(chunk.text, end="")
     upon a time.
    """

    def __init__(self, flight: Flight) -> None:
        self.id = flight.request.id
        self._flight = flight
        self._closed = False
        # Not in the finalizer itself: it may run while its thread holds a lock that cancelling needs.
        abandon = loop_thread().call
        weakref.finalize(self, abandon, flight.cancel, "nobody reads the stream any more").atexit = False

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Completion:
        while (chunk := self._next()) is None:
            if self._over:
                raise StopIteration
            waiting.wait(self._flight.grown)
        return chunk

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Completion:
        while (chunk := self._next()) is None:
            if self._over:
                raise StopAsyncIteration
            await waiting.wait_async(self._flight.grown)
        return chunk

    def result(self, timeout: float | None = None) -> Completion:
        """Wait for the end and return the whole completion.

        Parameters
        ----------
        timeout : float, optional
            Seconds at most. The stream goes on when they pass.

        Raises
        ------
        StreamClosed
            If it was closed.
        TimeoutError
            If ``timeout`` passed.
        Error
            What it failed with.
        """
        self._check_open()
        if not waiting.wait(self._flight.over, timeout):
            raise TimeoutError(f"The stream hasn't ended in {timeout:g} s; it goes on.", limit="wait")
        self._check_open()
        return self._flight.completion()

    def __await__(self) -> Generator[Any, None, Completion]:
        """Wait for the end in any event loop and return the whole completion."""
        return self._ended().__await__()

    def close(self) -> None:
        """Stop decoding, within a token, and wait until it has stopped. A second call does nothing."""
        if self._give_up() and threading.current_thread() is not loop_thread().thread:
            waiting.wait(self._flight.over)

    async def aclose(self) -> None:
        """Do what :meth:`close` does, without blocking the running loop."""
        if self._give_up():
            await waiting.wait_async(self._flight.over)

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "over" if self._flight.over.is_set() else "streaming"
        return f"<CompletionStream {self.id} · {self._flight.request.model} · {state}>"

    @property
    def _over(self) -> bool:
        return self._flight.over.is_set() and not self._flight.chunks

    def _next(self) -> Completion | None:
        """Return the next chunk, ``None`` if there is none yet or any more."""
        self._check_open()
        flight = self._flight
        flight.grown.clear()
        if flight.over.is_set():
            flight.grown.set()  # for whoever waits beside this reader
        if flight.chunks:
            return flight.chunks.popleft()
        if flight.over.is_set() and flight.error is not None:
            raise flight.error
        return None

    def _give_up(self) -> bool:
        """Close it; return whether this call did."""
        if self._closed:
            return False
        self._closed = True
        self._flight.cancel("the stream was closed")
        return True

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("The stream was closed. Ask anew: session.completions.create_stream(…).")

    async def _ended(self) -> Completion:
        self._check_open()
        await waiting.wait_async(self._flight.over)
        self._check_open()
        return self._flight.completion()
