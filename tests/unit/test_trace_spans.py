"""A run's events as spans."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmkit as lk
from llmkit.errors import EngineError
from llmkit.events import Retry, StepStart, ToolPreliminary
from llmkit.results import Stats, Usage
from llmkit.tools.calls import ToolCall
from llmkit.tracing import Span, Spans, spans_of, spans_to_json
from llmkit.tracing.span import MAX_TEXT
from tests.unit.trace_runs import BEGAN, TimedStory, troubles, two_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmkit.events import Event


def times(spans: Iterable[Span]) -> list[tuple[str, str, int | None, float, float | None, str]]:
    """Return kind, name, step, start, end and status, times in seconds from the run's start."""
    return [
        (
            span.kind,
            span.name,
            span.step,
            round(span.start - BEGAN, 3),
            None if span.end is None else round(span.end - BEGAN, 3),
            span.status,
        )
        for span in spans
    ]


def only(spans: Iterable[Span], kind: str) -> Span:
    [found] = [span for span in spans if span.kind == kind]
    return found


def test_a_run_of_two_steps_with_tools() -> None:
    assert times(spans_of(two_steps().events)) == [
        ("run", "weather", None, 0.0, 3.0, "ok"),
        ("queue", "queue", 0, 0.05, 0.25, "ok"),
        ("load", "load", 0, 0.25, 0.5, "ok"),
        ("step", "step 0", 0, 0.5, 2.2, "ok"),
        ("prefill", "prefill", 0, 0.5, 0.7, "ok"),
        ("decode", "decode", 0, 0.7, 1.3, "ok"),
        ("reasoning", "reasoning", 0, 0.7, 0.9, "ok"),
        ("approval", "get_weather", 0, 1.1, 1.8, "ok"),
        ("approval", "send_mail", 0, 1.1 + 0.2, 2.0, "denied"),
        ("tool", "get_weather", 0, 1.8, 2.2, "ok"),
        ("step", "step 1", 1, 2.25, 2.95, "ok"),
        ("prefill", "prefill", 1, 2.25, 2.5, "ok"),
        ("decode", "decode", 1, 2.5, 2.9, "ok"),
    ]


def test_spans_know_what_they_are_part_of() -> None:
    spans = spans_of(two_steps().events)
    parents = [(span.kind, None if span.parent is None else spans[span.parent].kind) for span in spans]
    assert dict(parents) == {
        "run": None,
        "queue": "run",
        "load": "run",
        "step": "run",
        "prefill": "step",
        "decode": "step",
        "reasoning": "decode",
        "approval": "step",
        "tool": "step",
    }
    assert [span.id for span in spans] == list(range(len(spans)))


def test_attributes_tell_what_is_known() -> None:
    spans = spans_of(two_steps().events)
    run, tool = spans[0].attributes, only(spans, "tool").attributes
    assert (run["model"], run["engine"], run["steps"], run["output_tokens"]) == ("small", "scripted", 2, 16)
    assert tool == {
        "call_id": "1",
        "arguments": '{"city": "Tokyo"}',
        "decided_by": "panel",
        "output": '{"temperature": 22}',
        "handler_time": 0.4,
    }
    allowed, denied = [span.attributes for span in spans if span.kind == "approval"]
    assert (allowed["decided_by"], allowed["edited"]) == ("panel", True)
    assert (denied["reason"], "edited" in denied) == ("not everybody", False)
    prefill = next(span for span in spans if span.kind == "prefill").attributes
    assert prefill == {"prompt_tokens": 36, "cache_tokens": 12, "tokens_per_second": pytest.approx(120)}
    step = next(span for span in spans if span.kind == "step").attributes
    assert (step["finish_reason"], step["input_tokens"], step["time_to_first_token"]) == ("tool-calls", 36, 0.2)


def test_troubles_have_a_status_each() -> None:
    spans = spans_of(troubles().events)
    assert times(spans) == [
        ("run", "run", None, 0.0, 2.0, "cancelled"),
        ("step", "step 0", 0, 0.1, 1.1, "ok"),
        ("prefill", "prefill", 0, 0.1, 0.2, "ok"),
        ("decode", "decode", 0, 0.2, 0.6, "ok"),
        ("call-error", "fly", 0, 0.4, 0.4, "error"),
        ("tool", "count", 0, 0.6, 0.7, "error"),
        ("tool", "look", 0, 0.6, 1.1, "timeout"),
        ("step", "step 1", 1, 1.15, 2.0, "cancelled"),
        ("prefill", "prefill", 1, 1.15, 1.3, "ok"),
        ("decode", "decode", 1, 1.3, 1.5, "ok"),
        ("approval", "wait", 1, 1.4, 2.0, "cancelled"),
        ("tool", "sleep", 1, 1.5, 2.0, "cancelled"),
    ]
    told = {span.name: span.attributes for span in spans}
    assert (told["fly"]["error_code"], told["count"]["error"]) == ("UNKNOWN_TOOL", "ValueError: three is too many")
    assert (told["look"]["decided_by"], told["run"]["reason"]) == ("tool", "Stop was pressed")


def test_spans_that_go_on_have_no_end() -> None:
    story = two_steps()
    begun = [event for event in story.events if event.time < BEGAN + 0.95]
    assert times(spans_of(begun))[-3:] == [
        ("prefill", "prefill", 0, 0.5, 0.7, "ok"),
        ("decode", "decode", 0, 0.7, None, "open"),
        ("reasoning", "reasoning", 0, 0.7, 0.9, "ok"),
    ]
    assert spans_of(begun)[0].duration is None


def test_decoding_goes_on_beside_a_call_that_waits() -> None:
    """A model may write on while its first call is decided on; its decoding ends with its last piece."""
    story = two_steps()
    spans = Spans()
    told = [span for event in story.events for span in spans.take(event) if (span.kind, span.step) == ("decode", 0)]
    seen = [(span.status, None if span.end is None else round(span.end - BEGAN, 3)) for span in told]
    assert seen == [("open", None), ("ok", 1.1), ("open", None), ("ok", 1.3), ("ok", 1.3)]


def test_only_changed_spans_are_told_and_text_changes_none() -> None:
    spans, story = Spans(), TimedStory()
    story.step(0, 0.1)
    story.write(0.2, 0.4, pieces=50)
    changed = [len(spans.take(event)) for event in story.events]
    assert sum(changed) == 5  # the run; the step; the prefill twice; the decode
    assert spans.take(story.events[-2]) == ()


def test_an_answer_that_came_in_one_piece_takes_its_times_from_the_stats() -> None:
    """CONTRACT 4: with stream=False nothing tells when the first token came but the stats."""
    story = TimedStory(stream=False)
    story.at = 1.0
    story.tell(StepStart, step=0)
    story.finish(2.0, step=0, text="Because.")
    assert times(spans_of(story.events))[2:] == [
        ("prefill", "prefill", 0, 1.0, 1.2, "ok"),
        ("decode", "decode", 0, 1.2, 1.6, "ok"),
    ]


@pytest.mark.parametrize("stats", [None, Stats(generated_tokens=0, tool_time=1.0)], ids=["unknown", "no model asked"])
def test_times_that_nobody_knows_have_no_span(stats: Stats | None) -> None:
    story = TimedStory(stream=False)
    story.tell(StepStart, step=0)
    story.finish(2.0, step=0, stats=stats)
    assert [span.kind for span in spans_of(story.events)] == ["run", "step"]


def test_a_denial_by_rule_shows_though_nobody_was_asked() -> None:
    story = TimedStory()
    story.step(0, 0.1)
    story.write_call("1", "pay", 0.2, 0.3)
    story.rule("1", "pay", "deny", by="rule", reason="never", shown_arguments={})
    approval = only(spans_of(story.events), "approval")
    assert (approval.status, approval.duration, approval.attributes["decided_by"]) == ("denied", 0.0, "rule")


def test_decisions_without_effect_change_nothing() -> None:
    story = TimedStory()
    story.step(0, 0.1)
    story.write_call("1", "pay", 0.2, 0.3)
    story.ask("1", "pay")
    before = spans_of(story.events)
    story.rule("1", "pay", accepted=False)
    story.rule("forged", "pay", "deny", accepted=False)
    assert spans_of(story.events) == before


def test_an_approval_that_is_left_open_is_pending() -> None:
    story = TimedStory()
    story.step(0, 0.1)
    story.write_call("1", "pay", 0.2, 0.3)
    story.ask("1", "pay")
    story.at = 0.5
    story.end("")
    assert only(spans_of(story.events), "approval").status == "pending"


def test_a_failure_ends_what_is_open() -> None:
    story = TimedStory()
    story.step(0, 0.1)
    story.write(0.2, 0.3)
    story.events.pop()  # the text goes on
    story.at = 0.9
    story.end("", "failed")
    run, step, _, decode = spans_of(story.events)
    assert (run.status, step.status, decode.status, decode.end) == ("error", "error", "error", BEGAN + 0.9)
    assert run.attributes["error"] == "TimeoutError: It took too long. Raise timeout=."


def test_a_retry_lasts_as_long_as_its_pause_or_until_the_run_is_stopped() -> None:
    story = TimedStory()
    story.at = 0.1
    story.tell(StepStart, step=0)
    story.tell(Retry, step=0, attempt=1, delay=1.0, error=EngineError("busy"))
    story.at = 1.2
    story.tell(Retry, step=0, attempt=2, delay=2.0, error=EngineError("busy"))
    story.at = 1.5
    story.end("", "cancelled")
    assert times(spans_of(story.events))[2:] == [
        ("retry", "retry 1", 0, 0.1, 1.1, "ok"),
        ("retry", "retry 2", 0, 1.2, 1.5, "cancelled"),
    ]


def test_a_call_that_is_run_again_after_the_end_is_part_of_the_run() -> None:
    story = two_steps()
    story.run_tool(ToolCall("1", "get_weather"), 5.0, 5.5, output=1)
    late = spans_of(story.events)[-1]
    assert (late.kind, late.parent, late.step) == ("tool", 0, 0)
    assert late.duration == pytest.approx(0.5)


def test_preliminary_results_are_counted() -> None:
    story = TimedStory()
    story.step(0, 0.1)
    call = story.write_call("1", "count", 0.2, 0.3)
    story.start_tool(call)
    for number in range(3):
        story.tell(ToolPreliminary, step=0, call=call, output=number)
    story.finish_tool(call, output=2)
    assert only(spans_of(story.events), "tool").attributes["preliminary_results"] == 3


def test_a_clock_that_is_set_back_gives_no_negative_durations() -> None:
    story = TimedStory()
    story.step(0, 1.0)
    call = story.write_call("1", "look", 1.1, 1.2)
    story.run_tool(call, 1.3, 0.4)
    story.at = 0.2
    story.end("")
    assert all(span.duration is not None and span.duration >= 0 for span in spans_of(story.events))


def test_no_events_no_spans() -> None:
    assert spans_of([]) == ()
    assert spans_to_json([]) == "[]"


def test_spans_are_json_with_nothing_lost() -> None:
    spans = spans_of(troubles().events)
    read = json.loads(spans_to_json(spans))
    assert [Span(**each) for each in read] == list(spans)


@pytest.mark.parametrize("text", ["\ud800", "\x00", "x" * 1_000_000, "</script>\u202e"])
def test_hostile_text_is_bounded_and_clean(text: str) -> None:
    story = TimedStory(function_id=text, model=text)
    story.step(0, 0.1)
    call = story.write_call(text, text, 0.2, 0.3, argument=text)
    story.ask(text, text, argument=text)
    story.rule(text, text, arguments={}, reason=text)
    story.run_tool(call, 0.4, 0.5, output=text, printed=text)
    story.finish(0.6, step=0, text=text)
    spans = spans_of(story.events)
    spans_to_json(spans).encode()
    words = [value for span in spans for value in (span.name, *span.attributes.values()) if isinstance(value, str)]
    assert all(len(word) <= 2 * MAX_TEXT + 5 for word in words)


steps = st.lists(
    st.sampled_from(["queue", "step", "think", "write", "call", "ask", "rule", "run", "finish", "end", "cancelled"]),
    max_size=30,
)


@settings(deadline=None, max_examples=200)
@given(steps=steps, pause=st.floats(min_value=-1, max_value=10))
def test_whatever_comes_spans_hold_together(steps: list[str], pause: float) -> None:
    """Every span is part of an earlier one and ends no earlier than it begins; after a run's end all have ended."""
    story = TimedStory()
    for number, word in enumerate(steps):
        story.at += pause
        tell(story, word, number)
    spans = spans_of(story.events)
    for span in spans:
        assert span.parent is None if span.id == 0 else span.parent is not None and span.parent < span.id
        assert (span.end is None) == (span.status == "open")
        assert span.duration is None or span.duration >= 0
    if steps and steps[-1] in {"end", "cancelled"}:
        assert all(span.status != "open" for span in spans)


def tell(story: TimedStory, word: str, number: int) -> None:
    """Tell something of call ``c`` or of step 0, whatever came before."""
    from llmkit.events import Queue

    call = ToolCall("c", "look")
    told: dict[str, Callable[[], Any]] = {
        "queue": lambda: story.tell(Queue, position=number),
        "step": lambda: story.step(0, story.at),
        "think": lambda: story.think(story.at, story.at + 0.1),
        "write": lambda: story.write(story.at, story.at + 0.1),
        "call": lambda: story.write_call("c", "look", story.at, story.at + 0.1),
        "ask": lambda: story.ask("c", "look"),
        "rule": lambda: story.rule("c", "look", "deny" if number % 2 else "allow", arguments={}),
        "run": lambda: story.run_tool(call, story.at, story.at + 0.1, output=number),
        "finish": lambda: story.finish(story.at, step=0),
        "end": lambda: story.end(""),
        "cancelled": lambda: story.end("", "cancelled"),
    }
    told[word]()


def test_a_sessions_run_is_traced_from_its_events(scripted: Callable[..., lk.Session]) -> None:
    def look(at: str) -> str:
        return f"nothing at {at}"

    session = scripted('<tool_call>{"name": "look", "arguments": {"at": "the sky"}}</tool_call>', "Nothing.")
    run = session.complete("Look.", tools=[lk.tool(look, needs_approval=False)], stop_when=lk.step_count_is(3))
    run.wait()
    spans = spans_of(run.events)
    assert [(span.kind, span.step) for span in spans if span.kind not in {"queue", "load"}] == [
        ("run", None),
        ("step", 0),
        ("prefill", 0),
        ("decode", 0),
        ("tool", 0),
        ("step", 1),
        ("prefill", 1),
        ("decode", 1),
    ]
    assert {span.status for span in spans} == {"ok"}
    assert only(spans, "tool").attributes["output"] == '"nothing at the sky"'
    assert spans[0].duration is not None
    assert spans[0].duration >= sum(span.duration or 0.0 for span in spans if span.kind == "step")


def test_the_cost_grows_with_the_events_not_with_their_square() -> None:
    import time

    def cost(count: int) -> float:
        events: list[Event] = []
        story = TimedStory()
        for number in range(count):
            story.step(number, number)
            call = story.write_call(str(number), "look", number + 0.2, number + 0.3, step=number)
            story.run_tool(call, number + 0.4, number + 0.5, step=number, output=number)
            story.finish(number + 0.9, step=number)
        story.end("", usage=Usage())
        events = story.events
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            spans_of(events)
            best = min(best, time.process_time() - began)
        return best

    assert cost(2_000) < 20 * cost(200) + 0.05
