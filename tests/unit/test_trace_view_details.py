"""What a timeline's rows hold when they are unfolded."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit import events
from llmkit.messages import Image, Message
from llmkit.notebook.trace_details import (
    LONGEST_MESSAGES,
    LONGEST_TEXT,
    MESSAGES,
    MOST_MESSAGES,
    Told,
    details,
)
from llmkit.tools.calls import ToolCall
from llmkit.tracing import Spans
from tests.unit.test_trace_view import FakeLog, greeted
from tests.unit.trace_runs import TimedStory, troubles, two_steps

if TYPE_CHECKING:
    import pytest

    from llmkit.tracing import Span


class Unfolded:
    """The spans of a run, and what each holds."""

    def __init__(self, story: TimedStory) -> None:
        self.spans = Spans()
        self.told = Told()
        for event in story.events:
            self.told.take(event, self.spans.take(event))

    def span(self, kind: str, name: str | None = None) -> Span:
        return next(span for span in self.spans if span.kind == kind and name in (None, span.name))

    def of(self, kind: str, name: str | None = None, messages: int = MESSAGES) -> dict[str, dict[str, Any]]:
        span = self.span(kind, name)
        return {section["title"]: section for section in details(span, self.told.of(span), messages)}


def facts(sections: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: value for name, value in sections[""]["facts"]}  # noqa: C416 - pairs, as lists


def test_a_tool_holds_arguments_result_and_how_it_was_decided() -> None:
    held = Unfolded(two_steps()).of("tool")
    assert list(held) == ["", "Ran with", "What the model asked for", "Result"]
    assert json.loads(held["Ran with"]["value"]["text"]) == {"city": "Tokyo"}
    assert json.loads(held["What the model asked for"]["value"]["text"]) == {"city": "Tokio"}
    assert json.loads(held["Result"]["value"]["text"]) == {"temperature": 22}
    assert facts(held) == {"decided by": "panel", "handler ran": "0.40 s", "call": "1"}


def test_a_tool_that_failed_holds_its_error_and_what_it_printed() -> None:
    story = TimedStory()
    story.step(0, 0.1)
    call = story.write_call("1", "count", 0.2, 0.3, to=3)
    story.run_tool(call, 0.4, 0.5, outcome="error", error=ValueError("three is too many"), printed="one\ntwo\n")
    held = Unfolded(story).of("tool")
    assert held["Error"]["text"] == "ValueError: three is too many"
    assert held["Printed"]["text"] == "one\ntwo\n"
    assert facts(held)["status"] == "error"


def test_an_approval_holds_what_was_asked_edited_and_said() -> None:
    held = Unfolded(two_steps())
    allowed = held.of("approval", "get_weather")
    assert json.loads(allowed["Asked for"]["value"]["text"]) == {"city": "Tokio"}
    assert json.loads(allowed["Edited to"]["value"]["text"]) == {"city": "Tokyo"}
    denied = held.of("approval", "send_mail")
    assert denied["Reason"]["text"] == "not everybody"
    assert facts(denied) == {"status": "denied", "decided by": "panel", "call": "2"}


def test_a_step_holds_the_messages_and_the_answer() -> None:
    story = TimedStory()
    story.step(0, 0.1)
    sent = (
        Message("system", "Be brief."),
        Message("user", ("Look at ", Image("data:image/png;base64,AA=="), "this.")),
        Message("assistant", "", reasoning="Hm.", tool_calls=(ToolCall("1", "look", {"at": "it"}),)),
        Message("tool", "A cat.", tool_call_id="1", name="look"),
    )
    story.events[1] = events.StepStart(index=1, time=story.now, step=0, messages=sent)
    story.write(0.2, 0.3)
    story.finish(0.4, step=0, text="It is a cat.", reasoning="Whiskers.")
    held = Unfolded(story).of("step")
    assert [
        (each["role"], [part["label"] for part in each["parts"]]) for each in held["Messages sent"]["messages"]
    ] == [
        ("system", [""]),
        ("user", ["", ""]),
        ("assistant", ["thought", "calls look"]),
        ("tool · look", [""]),
    ]
    assert held["Messages sent"]["messages"][1]["parts"][1]["text"] == "1 image"
    assert held["Answer"]["text"] == "It is a cat."
    assert held["Reasoning"]["text"] == "Whiskers."
    assert facts(held)["first token after"] == "0.20 s"


def test_of_a_long_conversation_the_last_messages_are_held_and_as_many_more_as_are_asked_for() -> None:
    story = TimedStory()
    story.step(0, 0.1)
    sent = tuple(Message("user", f"{number} {'long ' * 10_000}") for number in range(1000))
    story.events[1] = events.StepStart(index=1, time=story.now, step=0, messages=sent)
    held = Unfolded(story)
    for wanted, count in [(MESSAGES, MESSAGES), (48, 48), (10**9, MOST_MESSAGES), (0, 1), (-5, 1)]:
        section = held.of("step", messages=wanted)["Messages sent"]
        assert (len(section["messages"]), section["earlier"]) == (count, 1000 - count)
        assert section["messages"][-1]["parts"][0]["text"].startswith("999 ")
        assert len(json.dumps(section)) < LONGEST_MESSAGES + 200 * count


def test_the_run_holds_what_was_asked_and_answered() -> None:
    held = Unfolded(two_steps()).of("run")
    assert held["Answer"]["text"] == "It is 22 degrees."
    assert facts(held)["model"] == "small"
    cancelled = TimedStory(prompt="Why?", system="Be brief.")
    cancelled.at = 1.0
    cancelled.end("", "cancelled", reason="enough")
    told = Unfolded(cancelled).of("run")
    assert [told[title]["text"] for title in ("System", "Prompt", "Cancelled")] == ["Be brief.", "Why?", "enough"]


def test_words_that_are_no_call_are_held_as_they_came() -> None:
    held = Unfolded(troubles()).of("call-error")
    assert held["What is wrong"]["text"] == "There is no tool fly."
    assert held["What the model wrote"]["text"] == "fly()"
    assert facts(held)["code"] == "UNKNOWN_TOOL"


def test_prefill_and_decode_hold_tokens_and_rates() -> None:
    held = Unfolded(two_steps())
    assert facts(held.of("prefill")) == {
        "prompt tokens": "36",
        "of them cached": "12",
        "tokens per second": "120.0",
    }
    assert facts(held.of("decode")) == {"tokens written": "8", "tokens per second": "20.0"}


def test_a_megabyte_is_cut() -> None:
    story = TimedStory()
    story.step(0, 0.1)
    call = story.write_call("1", "read", 0.2, 0.3, text="a" * 1_000_000)
    story.run_tool(call, 0.4, 0.5, output="b" * 1_000_000, printed="c" * 1_000_000)
    held = Unfolded(story).of("tool")
    assert held["Result"]["value"]["more"] == 1_000_000 - LONGEST_TEXT
    assert held["Printed"]["more"] == 1_000_000 - LONGEST_TEXT
    assert len(json.dumps(list(held.values()))) < 4 * LONGEST_TEXT


def test_what_cant_be_shown_says_so(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[Any]:
        raise RuntimeError("<b>no</b>")

    monkeypatch.setattr("llmkit.notebook.trace_view.details", fail)
    log = FakeLog()
    _, page = greeted(log)
    log.tell(*two_steps().events)
    with caplog.at_level(logging.CRITICAL, "llmkit"):
        page.receive({"kind": "details", "span": 3, "request_id": "1"})
    assert page.details[0]["sections"][0]["text"] == "This can't be shown: RuntimeError."


def test_every_span_of_a_run_can_be_unfolded_while_it_goes_on() -> None:
    for story in (two_steps(), troubles()):
        log = FakeLog()
        _, page = greeted(log)
        for event in story.events:
            log.tell(event)
            count = len(page.details)
            for id_ in range(len(page.rows)):
                page.receive({"kind": "details", "span": id_, "request_id": f"{id_}"})
            assert len(page.details) == count + len(page.rows)
    assert "can't be shown" not in json.dumps(page.details)


@settings(deadline=None, max_examples=60)
@given(text=st.text(st.characters(codec=None, categories=None), min_size=1))
def test_details_of_any_text_are_json(text: str) -> None:
    story = TimedStory(function_id=text, model=text, engine=text, prompt=text)
    story.step(0, 0.1)
    call = story.write_call("1", text, 0.2, 0.3, argument=text)
    story.ask("1", text, argument=text)
    story.rule("1", text, "allow", arguments={}, reason=text)
    story.run_tool(call, 0.4, 0.5, outcome="error", error=ValueError(text), printed=text)
    story.finish(0.6, step=0, finish_reason=text, text=text)
    held = Unfolded(story)
    for span in held.spans:
        assert json.loads(json.dumps(details(span, held.told.of(span)))) == details(span, held.told.of(span))
