"""Running a handler: in a thread or on the loop, with its yields, its prints, its time limit and its cancelling."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
import time
from contextlib import aclosing
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from llmkit.cancellation import CancelToken
from llmkit.errors import RunCancelled, TimeoutError  # noqa: A004 - llmkit's own, which is a built-in one too
from llmkit.tools.capture import Printed, keep_prints, streams_watched

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

logger = logging.getLogger("llmkit")

STOP_GRACE = 1.0
"""Seconds that an async handler has to clean up after it was told to stop; then it is left behind."""

Status = Literal["success", "error", "timeout", "cancelled"]


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What running a handler came to.

    Parameters
    ----------
    status : {"success", "error", "timeout", "cancelled"}
        How it ended.
    value : Any
        What it returned, or yielded last; ``None`` without success.
    error : BaseException, optional
        What it raised; :class:`llmkit.TimeoutError` or :class:`llmkit.RunCancelled` if it was stopped.
    duration : float
        Seconds that the handler ran.
    printed : str
        What it printed, standard output and error in order.
    displayed : tuple of dict
        What it displayed in a notebook, each as data by MIME type.
    """

    status: Status
    value: Any = None
    error: BaseException | None = None
    duration: float = 0.0
    printed: str = ""
    displayed: tuple[dict[str, Any], ...] = ()

    @property
    def success(self) -> bool:
        """Whether there is a value."""
        return self.status == "success"


def runs_on_loop(handler: Callable[..., Any]) -> bool:
    """Return whether calling a handler gives something to await, so that it needs no thread."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not inspect.isroutine(handler):
        handler = type(handler).__call__
    return inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler)


class Execution:
    """One run of one handler. Used once, on a running event loop.

    Every handler that isn't async has a thread of its own, not one of a pool: one that never returns, or that waits
    for a run whose own tools need threads, would otherwise take the pool's last thread from everybody else.

    Parameters
    ----------
    name : str
        The tool's name, for messages.
    call : Callable
        Calls the handler, given the token that tells it to stop.
    on_loop : bool
        Whether ``call`` must be called on the loop, not in a thread.
    timeout : float, optional
        Seconds it may take.
    on_preliminary : Callable, optional
        Called on the loop with each value that a generator yields, before the next one is asked for.
    echo : bool
        Whether what it prints is also printed.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[CancelToken], Any],
        *,
        on_loop: bool,
        timeout: float | None = None,
        on_preliminary: Callable[[Any], object] | None = None,
        echo: bool = True,
    ) -> None:
        self._name = name
        self._call = call
        self._on_loop = on_loop
        self._timeout = timeout
        self._on_preliminary = on_preliminary
        self._printed = Printed(echo=echo)
        self._stop = CancelToken()

    async def run(self, cancel: CancelToken) -> ToolOutcome:
        """Run the handler and return what it came to; never raises but when the awaiting task itself is cancelled."""
        self._loop = asyncio.get_running_loop()
        self._began = time.perf_counter()
        if cancel.cancelled:
            return self._stopped("cancelled", self._cancelled(cancel))
        forget = cancel.on_cancel(lambda: self._stop.cancel(cancel.cause or "cancelled"))
        try:
            with streams_watched(), cancel.event() as thrown:
                return await self._watch(thrown, cancel)
        finally:
            forget()

    async def _watch(self, thrown: asyncio.Event, cancel: CancelToken) -> ToolOutcome:
        """Wait for the handler, the cancel token and the time limit, whichever comes first."""
        context = copy_context()
        context.run(keep_prints, self._printed)
        handler = self._loop.create_task(self._settle(), name=f"llmkit-tool-{self._name}", context=context)
        stopped = self._loop.create_task(thrown.wait())
        try:
            await asyncio.wait({handler, stopped}, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if cancel.cancelled:  # also if the handler saw that and gave up with some value
                outcome = self._stopped("cancelled", self._cancelled(cancel))
            elif handler.done():
                return handler.result()
            else:
                outcome = self._stopped("timeout", self._timed_out())
            await self._end(handler)
        except asyncio.CancelledError:
            self._stop.cancel("the run was cancelled")
            await self._end(handler)
            raise
        else:
            return outcome
        finally:
            stopped.cancel()

    async def _end(self, handler: asyncio.Task[ToolOutcome]) -> None:
        """Cancel the handler's task and give it a moment to clean up."""
        handler.cancel()
        _, pending = await asyncio.wait({handler}, timeout=STOP_GRACE)
        if pending:
            logger.warning(
                "The tool %r didn't stop within %g s of being told to; it is left behind.", self._name, STOP_GRACE
            )

    async def _settle(self) -> ToolOutcome:
        """Return what the handler came to by itself."""
        try:
            answer = await self._answer()
        except asyncio.CancelledError as error:
            if self._stop.cancelled:
                raise
            answer = _Answer(error=error)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise
            answer = _Answer(error=error)
        return self._outcome("success" if answer.error is None else "error", answer)

    async def _answer(self) -> _Answer:
        answer = _Answer(self._call(self._stop)) if self._on_loop else await self._answer_from_thread()
        value = answer.value
        if inspect.isasyncgen(value):
            return _Answer(await self._last_of(cast("AsyncGenerator[Any, None]", value)))
        return _Answer(await value) if inspect.isawaitable(value) else answer

    async def _last_of(self, generator: AsyncGenerator[Any, None]) -> Any:
        last: Any = None
        async with aclosing(generator) as values:
            async for last in values:
                self._report(last)
        return last

    async def _answer_from_thread(self) -> _Answer:
        answer: asyncio.Future[_Answer] = self._loop.create_future()
        work = functools.partial(copy_context().run, self._work, answer)
        threading.Thread(target=work, name=f"llmkit-tool-{self._name}", daemon=True).start()
        return await answer

    def _work(self, answer: asyncio.Future[_Answer]) -> None:
        """Call the handler in this thread, and its generator if it is one."""
        try:
            value: Any = self._call(self._stop)
            if inspect.isgenerator(value):
                value = self._last_in_thread(cast("Generator[Any, None, Any]", value))
            done = _Answer(value)
        except BaseException as error:  # noqa: BLE001 - carried over to the loop
            done = _Answer(error=error)
        try:
            self._loop.call_soon_threadsafe(self._take, answer, done)
        except RuntimeError:  # the loop is closed
            self._drop(done)

    def _last_in_thread(self, generator: Generator[Any, None, Any]) -> Any:
        last: Any = None
        try:
            while not self._stop.cancelled:
                last = next(generator)
                self._hand_over(last)
        except StopIteration as end:
            return last if end.value is None else end.value
        finally:
            generator.close()
        return last

    def _hand_over(self, value: Any) -> None:
        """Have a yielded value reported on the loop and wait for that, or until nobody wants it any more."""
        delivered = threading.Event()

        def deliver() -> None:
            self._report(value)
            delivered.set()

        self._loop.call_soon_threadsafe(deliver)
        forget = self._stop.on_cancel(delivered.set)
        delivered.wait()
        forget()

    def _report(self, value: Any) -> None:
        if self._on_preliminary is None or self._stop.cancelled:
            return
        try:
            self._on_preliminary(value)
        except Exception:
            logger.exception("What takes the preliminary results of the tool %r failed.", self._name)

    def _take(self, answer: asyncio.Future[_Answer], done: _Answer) -> None:
        if answer.done():
            self._drop(done)
        else:
            answer.set_result(done)

    def _drop(self, done: _Answer) -> None:
        """Let go of what a handler gave after it was told to stop."""
        if inspect.iscoroutine(done.value):
            done.value.close()
        logger.info(
            "The tool %r ended after it was told to stop; its result is dropped.", self._name, exc_info=done.error
        )

    def _stopped(self, status: Status, error: Exception) -> ToolOutcome:
        self._stop.cancel(error)
        return self._outcome(status, _Answer(error=error))

    def _outcome(self, status: Status, answer: _Answer) -> ToolOutcome:
        elapsed = time.perf_counter() - self._began
        printed = self._printed
        return ToolOutcome(status, answer.value, answer.error, elapsed, printed.text, printed.displays)

    def _cancelled(self, cancel: CancelToken) -> RunCancelled:
        return RunCancelled(f"The call of {self._name!r} was cancelled: {cancel.cause}.")

    def _timed_out(self) -> TimeoutError:
        message = f"The tool {self._name!r} took longer than its limit of {self._timeout:g} s."
        return TimeoutError(message, limit="tool")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a handler gave or raised, as a value: ``StopIteration`` can cross neither a future nor a coroutine."""

    value: Any = None
    error: BaseException | None = None
