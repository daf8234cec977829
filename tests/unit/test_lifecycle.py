"""The order and the fields of events and callbacks, as tables."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

import llmkit as lk
from llmkit import events
from llmkit.errors import APIError
from tests.unit.lifecycle_runs import Told, kinds, population, session, weather

if TYPE_CHECKING:
    from collections.abc import Iterator

CALL = lk.Answer(tool_calls=[("weather", {"city": "Tokyo"})])
TWO_CALLS = lk.Answer(tool_calls=[("weather", {"city": "Tokyo"}), ("population", {"city": "Tokyo"})])


def test_one_step() -> None:
    """CONTRACT 34, 45: the order for an answer without tools."""
    told = Told()
    run = session("Hello.").complete("Hi", **told.callbacks)

    assert kinds(run) == [
        "start",
        "step-start", "prefill", "text-start", "text-delta", "text-end", "response-done", "step-finish", "finish",
    ]  # fmt: skip
    assert told.table == [
        "on_start 'Hi'",
        "on_step_start 0",
        "on_step_finish 0 stop 'Hello.'",
        "on_finish stop 'Hello.' because the model called no tool",
    ]


def test_two_steps_with_a_tool() -> None:
    """CONTRACT 34, 45: the order for a call, its handler and the answer."""
    told = Told()
    run = session(CALL, "22 degrees.").complete(
        "Weather?", tools=[weather], approval="allow", stop_when=5, **told.callbacks
    )

    assert kinds(run) == [
        "start",
        "step-start", "prefill", "tool-input-start", "tool-input-delta", "tool-input-end", "tool-call",
        "response-done", "approval-rules", "approval-decision", "tool-start", "tool-result", "step-finish",
        "step-start", "prefill", "text-start", "text-delta", "text-end", "response-done", "step-finish", "finish",
    ]  # fmt: skip
    assert told.table == [
        "on_start 'Weather?'",
        "on_step_start 0",
        "on_approval_decision 0 weather allow by rule",
        'on_tool_call_start 0 weather {"city": "Tokyo"}',
        'on_tool_call_finish 0 weather {"temperature": 22, "city": "Tokyo"} success=True',
        "on_step_finish 0 tool-calls ''",
        "on_step_start 1",
        "on_step_finish 1 stop '22 degrees.'",
        "on_finish stop '22 degrees.' because the model called no tool",
    ]


def test_calls_of_one_step_run_together_and_their_results_keep_their_order() -> None:
    """CONTRACT 22, 28: handlers of one step run at the same time; results go back in call order."""
    both = threading.Barrier(2, timeout=10)
    first_may_end = threading.Event()

    def slow(city: str) -> str:
        """Slow."""
        both.wait()
        first_may_end.wait(10)
        return f"slow {city}"

    def quick(city: str) -> str:
        """Quick."""
        both.wait()
        return f"quick {city}"

    answer = lk.Answer(tool_calls=[("slow", {"city": "Rome"}), ("quick", {"city": "Bonn"})])
    run = session(answer, "Done.").complete(
        "Go",
        tools=[slow, quick],
        approval="allow",
        stop_when=5,
        on_tool_call_finish=lambda event: first_may_end.set() if event.result.call.name == "quick" else None,
    )

    assert [result.output for result in run.steps[0].tool_results] == ["slow Rome", "quick Bonn"]
    assert [message.text for message in run.messages if message.role == "tool"] == ["slow Rome", "quick Bonn"]


def test_a_denied_call_has_no_start_and_the_model_reads_the_reason() -> None:
    """CONTRACT 27: denial and its reason reach the model; no tool-start event fires."""
    told = Told()
    run = session(CALL, "I may not look.").complete(
        "Weather?",
        tools=[weather],
        approval=[lk.Rule("weather", "deny", reason="no peeking")],
        stop_when=5,
        **told.callbacks,
    )
    run.wait()

    assert told.table == [
        "on_start 'Weather?'",
        "on_step_start 0",
        "on_approval_decision 0 weather deny by rule",
        "on_step_finish 0 tool-calls ''",
        "on_step_start 1",
        "on_step_finish 1 stop 'I may not look.'",
        "on_finish stop 'I may not look.' because the model called no tool",
    ]
    assert "tool-denied" in kinds(run)
    assert [message.text for message in run.messages if message.role == "tool"] == ["This call was denied: no peeking"]


def test_a_failing_handler_is_an_error_that_the_model_reads() -> None:
    """CONTRACT 20: a handler that raises gives a tool error; the loop goes on."""
    told = Told()
    answer = lk.Answer(tool_calls=[("population", {"city": "Atlantis"})])
    run = session(answer, "Nobody knows.").complete(
        "How many?", tools=[population], approval="allow", stop_when=5, **told.callbacks
    )
    run.wait()

    assert told.table[3:5] == [
        'on_tool_call_start 0 population {"city": "Atlantis"}',
        "on_tool_call_finish 0 population KeyError success=False",
    ]
    assert run.text == "Nobody knows."
    assert [message.text for message in run.messages if message.role == "tool"] == ["Error: KeyError: 'Atlantis'"]


def test_a_cancelled_run_tells_of_an_abort_and_its_handler_is_stopped() -> None:
    """CONTRACT 7, 34: a run cancelled while a handler runs ends as an abort, with a complete record."""
    told = Told()
    running = threading.Event()
    stopped = threading.Event()

    async def endless(city: str) -> str:
        """Never ends."""
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return city

    answer = lk.Answer(tool_calls=[("endless", {"city": "Rome"})])
    run = session(answer).complete("Go", tools=[endless], approval="allow", **told.callbacks)
    assert running.wait(10)
    run.cancel("enough")
    run.wait()

    assert stopped.is_set()
    assert told.table == [
        "on_start 'Go'",
        "on_step_start 0",
        "on_approval_decision 0 endless allow by rule",
        'on_tool_call_start 0 endless {"city": "Rome"}',
        "on_tool_call_finish 0 endless RunCancelled success=False",
        "on_step_finish 0 tool-calls ''",
        "on_abort enough",
    ]
    assert [result.outcome for result in run.steps[0].tool_results] == ["cancelled"]


def test_a_timed_out_run_tells_of_an_error() -> None:
    """CONTRACT 43, 34: a limit that passes ends the run with an error."""
    told = Told()
    slow = lk.Session(engine=lk.Scripted(["word " * 50], tokens_per_second=5), show=False, ledger=None)
    run = slow.complete("Go", timeout=0.2, **told.callbacks)
    run.wait()

    assert [line.split(":")[0] for line in told.table] == [
        "on_start 'Go'",
        "on_step_start 0",
        told.table[2].split(":")[0],
        "on_error TimeoutError",
    ]
    assert told.table[2].startswith("on_step_finish 0 cancelled")
    assert run.finish_reason == "error"


def test_a_failure_that_may_pass_is_tried_again() -> None:
    """CONTRACT 44: at most max_retries times, after the time that the server asked for, only retryable errors."""
    told = Told()
    busy = lk.Answer("", error=APIError("Too many requests.", status=429, retry_after=0.0))
    run = session(busy, busy, "At last.").complete("Go", max_retries=2, **told.callbacks)

    assert run.text == "At last."
    assert [event.attempt for event in run.events if isinstance(event, events.Retry)] == [1, 2]
    assert told.table == [
        "on_start 'Go'",
        "on_step_start 0",
        "on_step_finish 0 stop 'At last.'",
        "on_finish stop 'At last.' because the model called no tool",
    ]


@pytest.mark.parametrize(
    ("error", "retries"),
    [
        (APIError("Too many requests.", status=429, retry_after=0.0), 1),
        (APIError("No such model.", status=404, retry_after=0.0), 0),
    ],
)
def test_retries_end_and_only_what_may_pass_is_retried(error: APIError, retries: int) -> None:
    """CONTRACT 44: one retry asked for, one made; a 404 is never tried again."""
    run = session(*[lk.Answer("", error=error)] * 5).complete("Go", max_retries=1)
    run.wait()

    assert run.error is error
    assert sum(isinstance(event, events.Retry) for event in run.events) == retries


def test_callbacks_of_session_agent_and_call_come_in_that_order() -> None:
    """CONTRACT 35, 41: constructor callbacks first, then the call's; all run, in sequence; async ones are awaited."""
    order: list[str] = []

    async def slow(_: Any) -> None:
        await asyncio.sleep(0)
        order.append("agent")

    agent = lk.Agent(session("Hi.", on_finish=lambda _: order.append("session")), on_finish=slow)
    agent.generate("Go", on_finish=lambda _: order.append("call"))

    assert order == ["session", "agent", "call"]


@pytest.fixture
def warned() -> Iterator[None]:
    with pytest.warns(lk.CallbackWarning, match="The run goes on"):
        yield


@pytest.mark.usefixtures("warned")
def test_what_callbacks_raise_is_kept_and_never_felt() -> None:
    """CONTRACT 36: an exception in any callback changes nothing, is kept, and warned about once."""

    def bad(event: events.Event) -> None:
        raise RuntimeError(event.type)

    told = Told()
    bad_ones: dict[str, Any] = dict.fromkeys((*told.callbacks, "on_chunk"), bad)
    run = session(CALL, "22.", **told.callbacks).complete(
        "Weather?", tools=[weather], approval="allow", stop_when=5, **bad_ones
    )

    assert run.text == "22."
    assert told.table[-1] == "on_finish stop '22.' because the model called no tool"
    kept = [error.callback for error in run.callback_errors if error.callback != "on_chunk"]
    assert kept == [line.split()[0] for line in told.table]
    assert {type(error.error) for error in run.callback_errors} == {RuntimeError}


def test_all_callbacks_are_done_before_the_run_is() -> None:
    """CONTRACT 35: when the run is over, so are its callbacks."""
    done: list[bool] = []

    async def last(_: Any) -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        done.append(True)

    run = session("Hi.").complete("Go", on_finish=last)
    run.wait()

    assert done == [True]


def test_on_chunk_gets_the_pieces() -> None:
    pieces: list[str] = []
    run = session("One two three.").complete("Go", on_chunk=lambda event: pieces.append(event.text))
    run.wait()

    assert "".join(pieces) == "One two three."


def test_a_callback_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(lk.ValidationError, match="on_begin"):
        session("Hi.").complete("Go", on_begin=print)


def test_events_tell_all_that_was_asked() -> None:
    """CONTRACT 37: the fields of start and step-start are complete; to_dict loses nothing and is JSON."""
    told = Told()
    run = session(CALL, "22.", system="Be brief.").complete(
        "Weather?",
        tools=[weather],
        approval="allow",
        active_tools=["weather"],
        stop_when=[lk.step_count_is(4), lk.has_tool_call("other")],
        temperature=0.3,
        max_retries=1,
        timeout={"total": 60},
        headers={"X-Team": "blue", "X-Api-Key": "sesame"},
        provider_options={"vllm": {"n": 1}},
        include=["request"],
        function_id="forecast",
        metadata={"user": 7},
        context={"db": object()},
        **told.callbacks,
    )
    run.wait()
    start, step, *_ = told.events
    assert isinstance(start, events.Start)
    assert isinstance(step, events.StepStart)

    assert (start.engine, start.model, start.system, start.prompt) == ("scripted", "scripted", "Be brief.", "Weather?")
    assert [message.role for message in start.messages] == ["system", "user"]
    assert [tool.name for tool in start.tools] == ["weather"]
    assert (start.tool_choice.mode, start.active_tools) == ("auto", ("weather",))
    assert (start.settings.temperature, start.settings.max_retries, start.settings.timeout.total) == (0.3, 1, 60)
    assert (start.headers, start.provider_options) == (
        {"X-Team": "blue", "X-Api-Key": "***"},
        {"vllm": {"n": 1}},
    )
    assert (start.include, start.function_id, start.metadata) == (("request",), "forecast", {"user": 7})
    assert not start.cancel.cancelled
    assert start.context is run.request.context
    assert (step.step, step.function_id, step.metadata, step.context) == (0, "forecast", {"user": 7}, start.context)
    as_json = [event.to_dict() for event in run.events]
    assert as_json[0]["stop_when"] == ["step_count_is(4)", "has_tool_call('other')"]
    assert as_json[0]["tools"][0]["function"]["name"] == "weather"


def test_a_step_result_tells_all_of_its_step() -> None:
    """CONTRACT 38: StepResult's fields."""
    run = session(CALL, "22.").complete(
        "Weather?", tools=[weather], approval="allow", stop_when=5, function_id="f", metadata={"a": 1}, context="mine"
    )
    first, second = run.steps

    assert (first.step_number, second.step_number) == (0, 1)
    assert (first.finish_reason, second.finish_reason) == ("tool-calls", "stop")
    assert first.tool_calls[0].name == first.tool_results[0].call.name == "weather"
    assert [type(part).__name__ for part in first.content] == ["ToolCall", "ToolResult"]
    assert [type(part).__name__ for part in second.content] == ["Spoken"]
    assert second.request is not None
    assert [message.role for message in second.request.messages] == ["user", "assistant", "tool"]
    assert [message.role for message in first.response.messages] == ["assistant", "tool"]
    assert (second.function_id, second.metadata, second.context) == ("f", {"a": 1}, "mine")
    assert run.total_usage.requests == 2
    assert run.total_usage.steps == (first.usage, second.usage)
    assert first.stats is not None
    assert first.stats.tool_time is not None
    assert second.stats is not None
    assert second.stats.tool_time is None


def test_bulky_parts_of_results_can_be_left_out() -> None:
    """CONTRACT 37, 38: ``include``."""
    whole = session("Hi.").complete("Go")
    slim = session("Hi.").complete("Go", include=[])

    assert whole.steps[0].request is not None
    assert whole.steps[0].raw_text == "Hi."
    assert slim.steps[0].request is None
    assert slim.steps[0].raw_text == ""
    with pytest.raises(lk.ValidationError, match="body"):
        session("Hi.").complete("Go", include=["body"])
