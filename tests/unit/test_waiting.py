from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from llmkit import waiting
from llmkit.waiting import HEARTBEAT, PlainWaiter, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOREVER = 60.0


@pytest.fixture(autouse=True)
def plain() -> Iterator[PlainWaiter]:
    waiter = PlainWaiter()
    before = waiting.use_waiter(waiter)
    yield waiter
    waiting.use_waiter(before)


@pytest.fixture
def later() -> Iterator[Callable[[float, Callable[[], object]], None]]:
    """Call something from another thread, after a while."""
    timers: list[threading.Timer] = []

    def call(delay: float, function: Callable[[], object]) -> None:
        timers.append(threading.Timer(delay, function))
        timers[-1].start()

    yield call
    for timer in timers:
        timer.join()


def test_a_signal_calls_back_in_the_thread_that_sets_it() -> None:
    done, names = Signal(), []
    with done.calling(lambda: names.append(threading.current_thread().name)):
        setter = threading.Thread(target=done.set, name="setter")
        setter.start()
        setter.join()
    assert names == ["setter"]


def test_a_signal_that_is_set_already_calls_back_at_once() -> None:
    done, calls = Signal(), []
    done.set()
    with done.calling(lambda: calls.append(1)):
        assert calls == [1]


def test_a_signal_can_be_cleared_and_calls_back_again() -> None:
    done, calls = Signal(), []
    with done.calling(lambda: calls.append(1)):
        done.set()
        done.clear()
        assert not done.is_set()
        done.set()
    assert calls == [1, 1]


def test_after_the_block_a_signal_never_calls_back() -> None:
    done, calls = Signal(), []
    with done.calling(lambda: calls.append(1)):
        pass
    done.set()
    assert calls == []


def test_two_blocks_with_the_same_callback_are_two_registrations() -> None:
    done, calls = Signal(), []

    def call() -> None:
        calls.append(1)

    with done.calling(call):
        with done.calling(call):
            pass
        done.set()
    assert calls == [1]


def test_wait_returns_whether_the_event_is_set(later: Callable[..., None]) -> None:
    done = Signal()
    assert not waiting.wait(done, timeout=0)
    assert not waiting.wait(done, timeout=0.01)
    later(0.01, done.set)
    assert waiting.wait(done, timeout=FOREVER)
    assert waiting.wait(done)


def test_wait_async_returns_whether_the_event_is_set(later: Callable[..., None]) -> None:
    async def main() -> None:
        done = Signal()
        assert not await waiting.wait_async(done, timeout=0)
        assert not await waiting.wait_async(done, timeout=0.01)
        later(0.01, done.set)
        assert await waiting.wait_async(done, timeout=FOREVER)
        assert await waiting.wait_async(done)

    asyncio.run(main())


def test_a_signal_wakes_a_coroutine_before_its_heartbeat(later: Callable[..., None]) -> None:
    async def main() -> float:
        done, set_at = Signal(), [0.0]

        def set_it() -> None:
            set_at[0] = time.perf_counter()
            done.set()

        later(HEARTBEAT / 5, set_it)
        await waiting.wait_async(done)
        return time.perf_counter() - set_at[0]

    # The best of some: this machine may be busy, but a coroutine that only polls is never that quick ten times.
    assert min(asyncio.run(main()) for _ in range(10)) < HEARTBEAT / 5


def test_a_bare_event_ends_a_coroutines_wait_too(later: Callable[..., None]) -> None:
    async def main() -> bool:
        done = threading.Event()
        later(0.01, done.set)
        return await waiting.wait_async(done, timeout=FOREVER)

    assert asyncio.run(main())


def test_many_coroutines_wait_for_one_signal(later: Callable[..., None]) -> None:
    async def main() -> list[bool]:
        done = Signal()
        later(0.01, done.set)
        return await asyncio.gather(*(waiting.wait_async(done, timeout=FOREVER) for _ in range(50)))

    assert asyncio.run(main()) == [True] * 50


def test_threads_and_loops_wait_for_one_signal() -> None:
    done, results = Signal(), []
    ready = threading.Barrier(7)

    def block() -> None:
        ready.wait()
        results.append(waiting.wait(done, timeout=FOREVER))

    async def suspend() -> None:
        ready.wait()
        results.append(await waiting.wait_async(done, timeout=FOREVER))

    threads = [threading.Thread(target=block) for _ in range(3)]
    threads += [threading.Thread(target=lambda: asyncio.run(suspend())) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait()
    done.set()
    for thread in threads:
        thread.join()
    assert results == [True] * 6


def test_a_coroutine_that_is_cancelled_while_it_waits_leaves_no_callback() -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_later(0.01, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await waiting.wait_async(done)
        task.uncancel()

    done = Signal()
    asyncio.run(main())
    assert done._callbacks == []


def test_setting_a_signal_survives_a_loop_that_was_closed_with_a_waiting_coroutine() -> None:
    done = Signal()
    loop = asyncio.new_event_loop()
    task = loop.create_task(waiting.wait_async(done))
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    loop.close()
    done.set()
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # the warning is what this test provokes
    task.get_coro().close()


def test_an_interrupt_ends_a_wait_and_the_next_one_works(later: Callable[..., None]) -> None:
    done = Signal()
    later(0.02, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        waiting.wait(done, timeout=FOREVER)
    later(0.01, done.set)
    assert waiting.wait(done, timeout=FOREVER)


def test_an_interrupt_ends_an_asynchronous_wait(later: Callable[..., None]) -> None:
    later(0.1, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(waiting.wait_async(Signal(), timeout=FOREVER))


def test_another_waiter_can_be_put_in_use(plain: PlainWaiter) -> None:
    class Never:
        def wait(self, done: threading.Event, timeout: float | None) -> bool:
            return False

        async def wait_async(self, done: threading.Event, timeout: float | None) -> bool:  # noqa: ASYNC109
            return False

    never = Never()
    assert waiting.use_waiter(never) is plain
    assert waiting.current_waiter() is never
    done = Signal()
    done.set()
    assert not waiting.wait(done)
    assert not asyncio.run(waiting.wait_async(done))
