"""The one event loop thread that owns all runs, and the threads that do blocking work for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import queue
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class LoopThread:
    """An asyncio loop in a daemon thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.thread = threading.Thread(target=self._run, name="llmkit-loop", daemon=True)
        self.thread.start()

    def start(self, work: Callable[[], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Start ``work()`` as a task, in a copy of the caller's context, so that prints land in the caller's cell.

        Raises
        ------
        EngineError
            In a forked child, where the thread doesn't exist.
        """
        if os.getpid() != self._pid:
            raise EngineError(
                "This process was forked after llmkit started. Start it with 'spawn', or import llmkit in it."
            )
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        context = copy_context()

        def begin() -> None:
            task = self.loop.create_task(work(), context=context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda done: _settle(future, done))

        self.loop.call_soon_threadsafe(begin)
        return future

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call ``function`` on the loop thread, soon."""
        self.loop.call_soon_threadsafe(function, *arguments)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


def _settle(future: concurrent.futures.Future[T], task: asyncio.Task[T]) -> None:
    if task.cancelled():
        future.cancel()
    elif (error := task.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(task.result())


class DaemonPool:
    """Threads for blocking work that never keep the interpreter from exiting.

    The standard executor refuses work once the interpreter shuts down, when runs that a script showed may still have
    to end; and it waits for work that hangs.

    Parameters
    ----------
    size : int
        How many threads at most.
    """

    def __init__(self, size: int = 8) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        for number in range(size):
            threading.Thread(target=self._serve, name=f"llmkit-work-{number}", daemon=True).start()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return ``function(*arguments)``, called in one of the threads, in a copy of the caller's context."""
        loop = asyncio.get_running_loop()
        context = copy_context()
        answer: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = context.run(function, *arguments)
            except StopIteration as error:  # which a future refuses
                wrapped = RuntimeError("StopIteration came out of a call in a thread")
                wrapped.__cause__ = error
                loop.call_soon_threadsafe(_set_exception, answer, wrapped)
            except BaseException as error:  # noqa: BLE001 - carried over to the one who awaits
                loop.call_soon_threadsafe(_set_exception, answer, error)
            else:
                loop.call_soon_threadsafe(_set_result, answer, result)

        self._work.put(work)
        return await answer

    def _serve(self) -> None:
        while True:
            self._work.get()()


def _set_result(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


_lock = threading.Lock()
_thread: LoopThread | None = None
_pool: DaemonPool | None = None


def loop_thread() -> LoopThread:
    """Return the process's loop thread, started at the first call."""
    global _thread  # noqa: PLW0603 - one a process
    with _lock:
        if _thread is None:
            _thread = LoopThread()
        return _thread


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Return ``function(*arguments)``, called in a daemon thread while the loop goes on."""
    global _pool  # noqa: PLW0603 - one a process
    with _lock:
        if _pool is None:
            _pool = DaemonPool()
    return await _pool.run(function, *arguments)
