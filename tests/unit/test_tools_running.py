"""Handlers of every kind run, end, and are stopped as they should be."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import sys
import threading
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from llmkit.cancellation import CancelToken
from llmkit.errors import RunCancelled, TimeoutError, ValidationError  # noqa: A004 - llmkit's own
from llmkit.messages import Message
from llmkit.tools import running
from llmkit.tools.arguments import ToolArgumentsError
from llmkit.tools.capture import MOST_KEPT
from llmkit.tools.context import ToolContext
from llmkit.tools.define import tool_from

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from llmkit.tools.running import ToolOutcome

FOREVER = 60.0
SOON = 0.05


class GetWeather(BaseModel):
    city: str
    day: date | None = None


def run(value: Any, arguments: Any = "", context: ToolContext | None = None, **options: Any) -> ToolOutcome:
    """Run a tool made of a value; ``on_preliminary`` and ``echo`` go to the run, other options to the tool."""
    told = {name: options.pop(name) for name in ("on_preliminary", "echo") if name in options}
    return asyncio.run(tool_from(value, **options).run(arguments, context, **told))


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Give handlers what to hang on; set at the end."""
    event = threading.Event()
    yield event
    event.set()


def test_a_sync_handler_runs_in_a_thread_with_coerced_arguments() -> None:
    """CONTRACT 19: the handler runs with the validated, coerced arguments."""

    def f(day: date, count: int = 2) -> Any:
        return day, count, threading.current_thread() is threading.main_thread()

    outcome = run(f, '{"day": "2026-05-01"}')
    assert outcome.value == (date(2026, 5, 1), 2, False)
    assert (outcome.status, outcome.success, outcome.error) == ("success", True, None)
    assert outcome.duration > 0


def test_an_async_handler_is_awaited_on_the_callers_loop() -> None:
    """CONTRACT 19: sync, async and generator handlers."""

    async def f() -> asyncio.AbstractEventLoop:
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    async def check() -> None:
        assert (await tool_from(f).run("")).value is asyncio.get_running_loop()

    asyncio.run(check())


def test_what_a_plain_function_returns_may_have_to_be_awaited() -> None:
    async def later() -> int:
        return 5

    assert run(lambda: later(), name="f").value == 5  # noqa: PLW0108 - it is what is tested
    assert run(functools.partial(later)).value == 5


def collected(handler: Callable[..., Any]) -> tuple[list[Any], Any]:
    seen: list[Any] = []
    outcome = run(handler, on_preliminary=seen.append)
    assert outcome.success
    return seen, outcome.value


def test_a_generators_yields_are_preliminary_and_its_last_value_the_result() -> None:
    """CONTRACT 19: a generator's yields are preliminary results and its last value is the result."""

    def sync() -> Iterator[int]:
        yield 1
        yield 2

    def returning() -> Any:
        yield 1
        return 2

    def empty() -> Iterator[int]:
        yield from ()

    async def asynchronous() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0)
        yield 2

    assert collected(sync) == ([1, 2], 2)
    assert collected(returning) == ([1], 2)
    assert collected(empty) == ([], None)
    assert collected(asynchronous) == ([1, 2], 2)


def test_preliminary_results_are_taken_on_the_loop_before_the_next_is_asked_for() -> None:
    order: list[Any] = []

    def f() -> Iterator[int]:
        for number in range(3):
            order.append(("yield", number))
            yield number

    def take(value: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        order.append(("take", value))

    run(f, on_preliminary=take)
    assert order == [(word, number) for number in range(3) for word in ("yield", "take")]


def test_a_generator_stays_in_one_thread_and_context() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    def f() -> Iterator[Any]:
        variable.set(1)
        first = threading.get_ident()
        yield None
        yield threading.get_ident() == first, variable.get()

    assert run(f).value == (True, 1)


def test_what_takes_preliminary_results_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    def f() -> Iterator[int]:
        yield 1

    def take(value: int) -> None:
        raise ValueError("no")

    assert run(f, on_preliminary=take).value == 1
    assert "preliminary results of the tool 'f' failed" in caplog.text


def test_handlers_run_in_a_copy_of_the_callers_context() -> None:
    variable = contextvars.ContextVar("variable", default="")

    def sync() -> str:
        seen = variable.get()
        variable.set("changed")
        return seen

    async def asynchronous() -> str:
        return sync()

    variable.set("caller")
    assert run(sync).value == run(asynchronous).value == "caller"
    assert variable.get() == "caller"


def test_a_handler_that_takes_a_context_is_given_it() -> None:
    """CONTRACT 19: call id, messages so far, cancellation token, user context."""

    def f(city: str, context: ToolContext) -> Any:
        return city, context.call_id, context.messages, context.context, context.cancel.cancelled

    messages = (Message("user", "Hi."),)
    outcome = run(f, {"city": "Kyoto"}, ToolContext("call-1", messages, context={"user": 5}))
    assert outcome.value == ("Kyoto", "call-1", messages, {"user": 5}, False)


def test_a_models_handler_gets_an_instance_and_the_context_if_it_wants_it() -> None:
    """CONTRACT 11: a pydantic model with a handler."""
    plain = tool_from(GetWeather, handler=lambda arguments: arguments)
    knowing = tool_from(GetWeather, handler=lambda arguments, context: (arguments.city, context.call_id))
    assert run(plain, {"city": "Kyoto", "day": "2026-05-01"}).value == GetWeather(city="Kyoto", day=date(2026, 5, 1))
    assert run(knowing, {"city": "Kyoto"}, ToolContext("call-1")).value == ("Kyoto", "call-1")


def test_a_raw_schemas_handler_gets_the_properties_by_name() -> None:
    """CONTRACT 11: a raw JSON schema."""
    schema = {"name": "find", "parameters": {"properties": {"query": {"type": "string"}}}}
    made = tool_from(schema, handler=lambda context, **arguments: (context.call_id, arguments))
    assert run(made, {"query": "x"}, ToolContext("call-1")).value == ("call-1", {"query": "x"})


def test_a_tool_without_a_handler_says_that_it_needs_one() -> None:
    """CONTRACT 11: then invoke() needs a handler or says so."""
    for value in ({"name": "find"}, GetWeather):
        with pytest.raises(ValidationError, match="has no handler") as caught:
            run(value)
        assert caught.value.field == "handler"


def test_invalid_arguments_never_reach_the_handler() -> None:
    calls: list[Any] = []
    with pytest.raises(ToolArgumentsError):
        run(tool_from(GetWeather, handler=calls.append), {"city": 5})
    assert calls == []


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), StopIteration(5), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), BaseException()],
    ids=repr,
)
def test_an_exception_is_an_error_that_keeps_it(error: BaseException) -> None:
    """CONTRACT 20: a handler that raises gives a tool error."""

    def f() -> None:
        raise error

    outcome = run(f)
    assert (outcome.status, outcome.success, outcome.value) == ("error", False, None)
    assert outcome.error is error


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(1), asyncio.CancelledError(), BaseException()], ids=repr
)
def test_an_async_handlers_exception_never_reaches_the_loop(error: BaseException) -> None:
    """CONTRACT 20: the loop goes on."""

    async def f() -> None:
        raise error

    async def generator() -> AsyncIterator[int]:
        yield 1
        raise error

    for handler in (f, generator):
        outcome = run(handler)
        assert (outcome.status, outcome.error) == ("error", error)


def test_a_slow_async_handler_is_cancelled_and_the_timeout_is_its_result() -> None:
    """CONTRACT 20: per-tool timeout: error as result (default)."""
    ends = []

    async def f(context: ToolContext) -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            ends.append(context.cancel.cause)

    outcome = run(f, timeout=SOON)
    assert (outcome.status, outcome.value) == ("timeout", None)
    assert isinstance(outcome.error, TimeoutError)
    assert outcome.error.limit == "tool"
    assert "'f' took longer than its limit of 0.05 s" in outcome.error.message
    assert ends == [outcome.error]
    assert outcome.duration >= SOON


def test_a_timeout_is_raised_where_the_tool_says_so(released: threading.Event) -> None:
    """CONTRACT 20: per-tool timeout: … or raised."""

    async def asynchronous() -> None:
        await asyncio.sleep(FOREVER)

    for handler in (asynchronous, lambda: released.wait(FOREVER)):
        with pytest.raises(TimeoutError, match="limit of"):
            run(handler, name="slow", timeout=SOON, timeout_error="raise")


def test_a_slow_sync_handler_sees_that_its_time_is_over() -> None:
    seen = threading.Event()

    def f(context: ToolContext) -> None:
        context.cancel.on_cancel(seen.set)
        seen.wait(FOREVER)

    assert run(f, timeout=SOON).status == "timeout"
    assert seen.wait(FOREVER)


def test_handlers_that_hang_take_no_thread_from_others(released: threading.Event) -> None:
    def hang() -> None:
        released.wait(FOREVER)

    async def check() -> None:
        hung = [tool_from(hang, timeout=SOON).run("") for _ in range(24)]
        assert {outcome.status for outcome in await asyncio.gather(*hung)} == {"timeout"}
        assert (await tool_from(lambda: 5, name="f").run("")).value == 5

    asyncio.run(check())


def test_cancelling_reaches_an_async_handler() -> None:
    """CONTRACT 19: cancellation token."""
    ends = []

    async def check() -> ToolOutcome:
        token, began = CancelToken(), asyncio.Event()

        async def f() -> None:
            began.set()
            try:
                await asyncio.sleep(FOREVER)
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        task = asyncio.ensure_future(tool_from(f).run("", ToolContext(cancel=token)))
        await began.wait()
        threading.Thread(target=token.cancel, args=("enough",)).start()
        return await task

    outcome = asyncio.run(check())
    assert ends == ["cancelled"]
    assert outcome.status == "cancelled"
    assert isinstance(outcome.error, RunCancelled)
    assert "enough" in outcome.error.message


def test_cancelling_ends_the_call_of_a_sync_handler_which_can_see_it() -> None:
    token, began, seen = CancelToken(), threading.Event(), threading.Event()

    def f(context: ToolContext) -> None:
        context.cancel.on_cancel(seen.set)
        began.set()
        seen.wait(FOREVER)

    def cancel() -> None:
        began.wait(FOREVER)
        token.cancel("enough")

    threading.Thread(target=cancel).start()
    outcome = run(f, "", ToolContext(cancel=token))
    assert outcome.status == "cancelled"
    assert seen.wait(FOREVER)


def test_a_call_cancelled_before_it_begins_never_runs() -> None:
    token, calls = CancelToken(), []
    token.cancel()
    outcome = run(lambda: calls.append(1), "", ToolContext(cancel=token), name="f")
    assert (outcome.status, calls) == ("cancelled", [])


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_a_generator_that_is_stopped_is_closed(how: str) -> None:
    token, closed = CancelToken(), threading.Event()

    def sync() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    async def asynchronous() -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(0)
                yield 1
        finally:
            closed.set()

    for handler in (sync, asynchronous):
        token = CancelToken()
        take = token.cancel if how == "cancel" else None
        closed.clear()
        outcome = run(
            handler,
            "",
            ToolContext(cancel=token),
            timeout=SOON if how == "timeout" else None,
            on_preliminary=(lambda _, stop=take: stop()) if take else None,
        )
        assert outcome.status == ("timeout" if how == "timeout" else "cancelled")
        assert closed.wait(FOREVER)


def test_cancelling_the_awaiting_task_stops_the_handler_too() -> None:
    ends = []

    async def check() -> None:
        began = asyncio.Event()

        async def f() -> None:
            began.set()
            try:
                await asyncio.sleep(FOREVER)
            finally:
                ends.append("ended")

        task = asyncio.ensure_future(tool_from(f).run(""))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ends == ["ended"]

    asyncio.run(check())


def test_an_async_handler_that_will_not_stop_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(running, "STOP_GRACE", SOON)

    async def check() -> None:
        free = asyncio.Event()

        async def stubborn() -> None:
            while not free.is_set():
                try:
                    await free.wait()
                except asyncio.CancelledError:
                    continue

        outcome = await tool_from(stubborn, timeout=SOON).run("")
        assert outcome.status == "timeout"
        assert "'stubborn' didn't stop" in caplog.text
        free.set()

    asyncio.run(check())


def test_what_a_left_behind_thread_gives_is_dropped_and_recorded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llmkit")
    released = threading.Event()

    async def later() -> None: ...

    def fails() -> None:
        released.wait(FOREVER)
        raise ValueError("too late")

    def gives_coroutine() -> Any:
        released.wait(FOREVER)
        return later()

    async def check() -> None:
        for handler in (fails, gives_coroutine):
            assert (await tool_from(handler, timeout=SOON).run("")).status == "timeout"
        threads = [each for each in threading.enumerate() if each.name.startswith("llmkit-tool-")]
        released.set()
        for thread in threads:
            await asyncio.to_thread(thread.join, FOREVER)
        await asyncio.sleep(0)

    asyncio.run(check())
    assert caplog.text.count("its result is dropped") == 2
    assert "too late" in caplog.text


def test_a_thread_may_end_after_its_loop_was_closed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llmkit")
    released = threading.Event()

    def f() -> None:
        released.wait(FOREVER)

    assert run(f, timeout=SOON).status == "timeout"
    thread = next(each for each in threading.enumerate() if each.name == "llmkit-tool-f")
    released.set()
    thread.join(FOREVER)
    assert "its result is dropped" in caplog.text


def test_what_a_handler_prints_is_kept_and_still_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def sync() -> None:
        print("out")
        print("err", file=sys.stderr)

    async def asynchronous() -> None:
        sync()

    def generator() -> Iterator[None]:
        print("out")
        yield
        print("err", file=sys.stderr)

    for handler in (sync, asynchronous, generator):
        assert run(handler).printed == "out\nerr\n"
        assert capsys.readouterr() == ("out\n", "err\n")
        assert run(handler, echo=False).printed == "out\nerr\n"
        assert capsys.readouterr() == ("", "")


def test_prints_of_handlers_side_by_side_and_of_others_are_kept_apart(capsys: pytest.CaptureFixture[str]) -> None:
    async def check() -> None:
        both = asyncio.Barrier(2)
        threads = threading.Barrier(2)

        async def asynchronous(word: str) -> None:
            print(word, 1)
            await both.wait()
            print(word, 2)

        def sync(word: str) -> None:
            print(word, 1)
            threads.wait(FOREVER)
            print(word, 2)

        for handler in (asynchronous, sync):
            made = tool_from(handler)
            calls = [asyncio.ensure_future(made.run({"word": word}, echo=False)) for word in "ab"]
            await asyncio.sleep(0)
            print("mine")
            a, b = await asyncio.gather(*calls)
            assert (a.printed, b.printed) == ("a 1\na 2\n", "b 1\nb 2\n")

    asyncio.run(check())
    assert capsys.readouterr().out == "mine\nmine\n"


def test_what_failed_and_slow_handlers_printed_is_kept(released: threading.Event) -> None:
    def fails() -> None:
        print("before")
        raise ValueError

    def slow() -> None:
        print("before")
        released.wait(FOREVER)

    assert run(fails).printed == "before\n"
    assert run(slow, timeout=0.5).printed == "before\n"


def test_no_more_than_a_mebibyte_of_prints_is_kept() -> None:
    def f() -> None:
        for _ in range(3):
            print("x" * MOST_KEPT, end="")

    printed = run(f, echo=False).printed
    assert printed.startswith("x" * MOST_KEPT)
    assert printed.endswith("… and 2,097,152 more characters")
    assert len(printed) < MOST_KEPT + 100


def test_the_streams_are_put_back() -> None:
    before = sys.stdout, sys.stderr
    run(lambda: None, name="f")
    assert (sys.stdout, sys.stderr) == before


def test_a_stream_redirected_meanwhile_stays_redirected(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    mine = io.StringIO()

    def f() -> None:
        monkeypatch.setattr(sys, "stdout", mine)

    run(f)
    assert sys.stdout is mine


class Publisher:
    """Stands where IPython publishes displays."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []

    def publish(self, data: dict[str, Any], **_: Any) -> None:
        self.published.append(data)


@pytest.mark.parametrize("echo", [True, False])
def test_what_a_handler_displays_is_kept_with_its_outcome(monkeypatch: pytest.MonkeyPatch, *, echo: bool) -> None:
    publisher = Publisher()
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(display_pub=publisher))
    data = {"text/plain": "a picture"}

    def f() -> str:
        publisher.publish(data)
        return "done"

    outcome = run(f, echo=echo)
    publisher.publish({"text/plain": "later"})

    assert outcome.displayed == (data,)
    assert publisher.published == [*([data] if echo else []), {"text/plain": "later"}]
