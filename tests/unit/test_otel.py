"""Runs told as OpenTelemetry spans, to the SDK's own exporter."""

from __future__ import annotations

import asyncio
import builtins
import json
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from llmkit.background import loop_thread
from llmkit.errors import ValidationError
from llmkit.events import StepStart
from llmkit.messages import Image, Message
from llmkit.results import Response, Stats, Usage
from llmkit.settings import Settings
from llmkit.tools.calls import ToolCall
from llmkit.tools.define import tool_from
from llmkit.tracing.conventions import CAPTURE_CONTENT
from llmkit.tracing.otel import Telemetry, export_events, export_run, telemetry_from
from tests.unit.trace_runs import BEGAN, TimedStory, troubles, two_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    import llmkit as lk


def get_weather(city: str) -> dict[str, Any]:
    """Tell the weather."""
    return {"city": city}


TOOLS = (tool_from(get_weather),)


class Collector:
    """A provider whose spans can be read, by name and in the order in which they began."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> list[ReadableSpan]:
        return sorted(self._exporter.get_finished_spans(), key=lambda span: (span.start_time or 0, span.name))

    def __getitem__(self, name: str) -> ReadableSpan:
        [found] = [span for span in self.spans if span.name == name]
        return found

    def attributes(self, name: str) -> dict[str, Any]:
        return dict(self[name].attributes or {})

    def parent(self, name: str) -> str | None:
        """Return the name of a span's parent."""
        parent = self[name].parent
        names = {span.context.span_id: span.name for span in self.spans}
        return None if parent is None else names[parent.span_id]


@pytest.fixture
def told() -> Collector:
    return Collector()


def seconds(nanoseconds: int | None) -> float:
    return round((nanoseconds or 0) / 1e9 - BEGAN, 3)


def with_tools(story: TimedStory) -> TimedStory:
    """Let a run have been offered a tool."""
    from dataclasses import replace

    story.events[0] = replace(story.events[0], tools=TOOLS)  # type: ignore[call-arg]  # the first event is the start
    return story


def one_answer(**fields: Any) -> TimedStory:
    story = TimedStory(**fields)
    story.step(0, 0.1)
    story.write(0.3, 0.7)
    story.finish(0.8, step=0, text="Because.")
    story.at = 0.9
    story.end("Because.", usage=Usage(input_tokens=36, output_tokens=8))
    return story


def test_a_run_with_tools_has_the_conventions_names_times_and_parents(told: Collector) -> None:
    export_events(with_tools(two_steps()).events, told.provider)
    assert [(span.name, seconds(span.start_time), seconds(span.end_time)) for span in told.spans] == [
        ("invoke_agent weather", 0.0, 3.0),
        ("queue", 0.05, 0.25),
        ("load", 0.25, 0.5),
        ("chat small", 0.5, 1.3),
        ("prefill", 0.5, 0.7),
        ("decode", 0.7, 1.3),
        ("reasoning", 0.7, 0.9),
        ("approval get_weather", 1.1, 1.8),
        ("approval send_mail", 1.3, 2.0),
        ("execute_tool get_weather", 1.8, 2.2),
        ("chat small", 2.25, 2.9),
        ("prefill", 2.25, 2.5),
        ("decode", 2.5, 2.9),
    ]
    names = {span.context.span_id: span.name for span in told.spans}
    parents = {span.name: None if span.parent is None else names[span.parent.span_id] for span in told.spans}
    assert parents == {
        "invoke_agent weather": None,
        "queue": "invoke_agent weather",
        "load": "invoke_agent weather",
        "chat small": "invoke_agent weather",
        "prefill": "chat small",
        "decode": "chat small",
        "reasoning": "decode",
        "approval get_weather": "invoke_agent weather",
        "approval send_mail": "invoke_agent weather",
        "execute_tool get_weather": "invoke_agent weather",
    }
    assert len({span.context.trace_id for span in told.spans}) == 1
    assert {span.kind for span in told.spans} == {SpanKind.INTERNAL}
    assert {span.status.status_code for span in told.spans} == {StatusCode.UNSET}


def test_attributes_of_a_run_with_tools(told: Collector) -> None:
    export_events(with_tools(two_steps()).events, told.provider)
    assert told.attributes("invoke_agent weather") == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "scripted",
        "gen_ai.agent.name": "weather",
        "gen_ai.request.model": "small",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 72,
        "gen_ai.usage.output_tokens": 16,
        "llmkit.run.id": "run-1",
        "llmkit.session.id": "session-1",
        "llmkit.steps": 0,
    }
    assert told.attributes("execute_tool get_weather") == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get_weather",
        "gen_ai.tool.call.id": "1",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "Tell the weather.",
        "llmkit.decided_by": "panel",
        "llmkit.status": "ok",
    }
    assert told.attributes("approval send_mail") == {
        "gen_ai.tool.name": "send_mail",
        "gen_ai.tool.call.id": "2",
        "llmkit.decided_by": "panel",
        "llmkit.status": "denied",
    }
    first = dict(next(span for span in told.spans if span.name == "chat small").attributes or {})
    assert first["gen_ai.response.finish_reasons"] == ("tool_call",)
    assert (first["llmkit.step"], first["gen_ai.response.id"]) == (0, "response-0")


def test_a_run_without_tools_is_one_chat(told: Collector) -> None:
    settings = Settings(temperature=0, top_k=40, max_output_tokens=100, stop=("\n",), seed=7)
    export_events(one_answer(settings=settings).events, told.provider)
    assert [(span.name, told.parent(span.name)) for span in told.spans] == [
        ("chat small", None),
        ("prefill", "chat small"),
        ("decode", "chat small"),
    ]
    assert seconds(told["chat small"].end_time) == 0.9
    assert told.attributes("chat small") == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "small",
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.95,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.stop_sequences": ("\n",),
        "gen_ai.request.seed": 7,
        "gen_ai.response.id": "response-0",
        "gen_ai.response.model": "small",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.2,
        "gen_ai.usage.input_tokens": 36,
        "gen_ai.usage.output_tokens": 8,
        "gen_ai.usage.cache_read.input_tokens": 12,
        "llmkit.run.id": "run-1",
        "llmkit.session.id": "session-1",
        "llmkit.step": 0,
        "llmkit.steps": 0,
    }
    assert told.attributes("decode")["llmkit.tokens_per_second"] == pytest.approx(20)


def test_a_server_is_called_as_a_client(told: Collector) -> None:
    story = one_answer(engine="remote")
    export_events(story.events, told.provider)
    assert told["chat small"].kind is SpanKind.CLIENT
    assert told.attributes("chat small")["gen_ai.provider.name"] == "openai"


def test_nothing_of_the_content_is_told_unasked(told: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CAPTURE_CONTENT, raising=False)
    for story in (with_tools(two_steps()), one_answer()):
        export_events(story.events, told.provider)
    everything = "".join(
        f"{span.name} {span.attributes} {span.events} {span.status.description}" for span in told.spans
    )
    for private in ("Why?", "Be brief", "Because", "Tokyo", "temperature': 22", "not everybody", "Hm."):
        assert private not in everything


def with_content() -> TimedStory:
    conversation = (
        Message("system", "Be brief."),
        Message("user", ("What is this?", Image("data:image/png;base64,AAAA"), Image("https://example.org/a.png"))),
        Message("assistant", "", "Hm.", (ToolCall("0", "get_weather", {"city": "Rome"}),)),
        Message("tool", "sunny", tool_call_id="0", name="get_weather"),
    )
    story = with_tools(TimedStory(messages=conversation))
    story.at = 0.1
    story.tell(StepStart, step=0, model="small", engine="scripted", messages=conversation, tools=TOOLS)
    call = story.write_call("1", "get_weather", 0.2, 0.3, city="Tokyo")
    story.run_tool(call, 0.4, 0.5, arguments={"city": "Tokyo"}, output={"t": 22})
    answer = Message("assistant", "It is", "Warm?", (call,))
    told = Message("tool", '{"t": 22}', tool_call_id="1", name="get_weather")
    story.finish(0.6, step=0, text="It is", response=Response("r", BEGAN + 0.6, "small", (answer, told)))
    story.at = 0.7
    story.end("It is")
    return story


def test_content_is_told_in_the_conventions_form_when_asked_for(told: Collector) -> None:
    export_events(with_content().events, told.provider, content=True)
    chat = told.attributes("chat small")
    assert json.loads(chat["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    assert json.loads(chat["gen_ai.input.messages"]) == [
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is this?"},
                {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"},
                {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
            ],
        },
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "tool_call", "id": "0", "name": "get_weather", "arguments": {"city": "Rome"}},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "0", "response": "sunny"}]},
    ]
    assert json.loads(chat["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Warm?"},
                {"type": "text", "content": "It is"},
                {"type": "tool_call", "id": "1", "name": "get_weather", "arguments": {"city": "Tokyo"}},
            ],
        }
    ]
    [definition] = json.loads(chat["gen_ai.tool.definitions"])
    assert (definition["type"], definition["name"]) == ("function", "get_weather")
    assert "city" in definition["parameters"]["properties"]
    run = told.attributes("execute_tool get_weather")
    assert json.loads(run["gen_ai.tool.call.arguments"]) == {"city": "Tokyo"}
    assert json.loads(run["gen_ai.tool.call.result"]) == {"t": 22}


@pytest.mark.parametrize(
    ("value", "wanted"), [("true", True), ("SPAN_ONLY", True), ("NO_CONTENT", False), ("event_only", False)]
)
def test_the_environment_may_ask_for_content(
    told: Collector, monkeypatch: pytest.MonkeyPatch, value: str, wanted: bool
) -> None:
    monkeypatch.setenv(CAPTURE_CONTENT, value)
    export_events(one_answer().events, told.provider)
    assert ("gen_ai.input.messages" in told.attributes("chat small")) is wanted


def test_troubles_are_errors_and_a_cancelled_run_is_none(told: Collector) -> None:
    export_events(with_tools(troubles()).events, told.provider)
    status = {span.name: (span.status.status_code, (span.attributes or {}).get("error.type")) for span in told.spans}
    assert status["invoke_agent"] == (StatusCode.UNSET, None)
    assert status["execute_tool count"] == (StatusCode.ERROR, "ValueError")
    assert status["execute_tool look"] == (StatusCode.ERROR, "TimeoutError")
    assert status["call-error"] == (StatusCode.ERROR, "UNKNOWN_TOOL")
    assert told["execute_tool count"].status.description == "ValueError: three is too many"
    assert told.attributes("invoke_agent")["gen_ai.response.finish_reasons"] == ("cancelled",)
    assert told.attributes("approval wait")["llmkit.status"] == "cancelled"
    assert told["execute_tool sleep"].end_time == told["invoke_agent"].end_time
    assert [span.name for span in told.spans].count("chat small") == 2


def test_a_failed_run_says_why(told: Collector) -> None:
    story = with_tools(TimedStory())
    story.step(0, 0.1)
    story.write(0.2, 0.3)
    story.at = 0.5
    story.end("", "failed")
    export_events(story.events, told.provider)
    for name in ("invoke_agent", "chat small"):
        assert told[name].status.status_code is StatusCode.ERROR
        assert told.attributes(name)["error.type"] == "timeout"
        assert told[name].status.description == "It took too long. Raise timeout=."


def test_a_step_that_only_settles_calls_of_an_earlier_run_asked_no_model(told: Collector) -> None:
    story = with_tools(TimedStory())
    story.tell(StepStart, step=0, model="small", engine="scripted")
    story.run_tool(story.call("1", "get_weather"), 0.1, 0.2, output=1)
    story.finish(0.3, step=0, usage=Usage(requests=0), stats=Stats(tool_time=0.1))
    story.end("")
    export_events(story.events, told.provider)
    assert [span.name for span in told.spans] == ["invoke_agent", "execute_tool get_weather"]


def test_a_run_is_part_of_what_its_caller_does(told: Collector) -> None:
    tracer = trace.get_tracer("test", tracer_provider=told.provider)
    telemetry = Telemetry(told.provider)
    with tracer.start_as_current_span("cell"):
        take = telemetry.recorder()
    for event in one_answer().events:
        take(event)
    assert told.parent("chat small") == "cell"


def test_a_run_is_told_as_it_goes_on(told: Collector) -> None:
    take = Telemetry(told.provider).recorder()
    for event in with_tools(two_steps()).events:
        if event.time < BEGAN + 2.24:
            take(event)
    assert "execute_tool get_weather" in [span.name for span in told.spans]
    assert "invoke_agent weather" not in [span.name for span in told.spans]


def test_a_call_that_is_run_again_after_the_end_is_told_too(told: Collector) -> None:
    story = with_tools(two_steps())
    story.run_tool(ToolCall("1", "again"), 5.0, 5.5, output=1)
    export_events(story.events, told.provider)
    assert told.parent("execute_tool again") == "invoke_agent weather"
    assert seconds(told["execute_tool again"].start_time) == 5.0


def test_hostile_text_can_be_sent(told: Collector) -> None:
    text = "\ud800\x00<script>"
    story = with_tools(TimedStory(model=text, function_id=text))
    story.at = 0.1
    story.tell(StepStart, step=0, model=text, messages=(Message("user", text),))
    story.run_tool(ToolCall(text, text), 0.1, 0.2, outcome="error", error=ValueError(text), arguments={text: text})
    story.finish(0.3, step=0, text=text)
    story.end("")
    export_events(story.events, told.provider, content=True)
    assert len(told.spans) >= 3
    for span in told.spans:
        span.to_json().encode()
        span.name.encode()
        for value in (span.attributes or {}).values():
            str(value).encode()


def test_a_sessions_run_can_be_told_when_it_is_over(told: Collector, scripted: Callable[..., lk.Session]) -> None:
    session = scripted("Because of Rayleigh scattering.")
    run = session.complete("Why is the sky blue?", temperature=0)
    run.wait()
    export_run(run, told.provider)
    loop_thread().start(lambda: asyncio.sleep(0)).result()  # the loop has done what it was asked before
    chat = told.attributes("chat scripted")
    assert chat["llmkit.run.id"] == run.id
    assert chat["gen_ai.usage.output_tokens"] == run.usage.output_tokens
    assert {"chat scripted", "decode"} <= {span.name for span in told.spans}


def test_what_a_session_may_be_given(told: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    assert telemetry_from(None) is telemetry_from(False) is None
    assert isinstance(telemetry_from(True), Telemetry)
    assert isinstance(telemetry_from(told.provider), Telemetry)
    made = Telemetry(told.provider)
    assert telemetry_from(made) is made
    with pytest.raises(ValidationError, match="telemetry is True, a tracer provider or a Telemetry, not str"):
        telemetry_from("yes")


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "opentelemetry":
            raise ImportError(name)
        return find(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ValidationError, match=r"pip install 'llmkit\[otel\]'") as caught:
        telemetry_from(True)
    assert caught.value.field == "telemetry"
