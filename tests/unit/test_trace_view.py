"""The live timeline: rows and patches, whatever is lost on the way, and messages that make no sense."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit import events
from llmkit.notebook.budget import Budget
from llmkit.notebook.trace_rows import row_of
from llmkit.notebook.trace_view import FRAME, TraceView
from llmkit.tools.calls import ToolCall
from llmkit.tracing import spans_of
from tests.unit.trace_runs import BEGAN, TimedStory, troubles, two_steps

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeLog:
    """A run's events, told when the test says so, in the test's own thread."""

    def __init__(self) -> None:
        self.events: list[events.Event] = []
        self.end: events.End | None = None
        self._subscribers: list[Callable[[events.Event], object]] = []

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, index: int) -> events.Event:
        return self.events[index]

    def subscribe(self, callback: Callable[[events.Event], object]) -> None:
        for event in self.events:
            callback(event)
        self._subscribers.append(callback)

    def tell(self, *told: events.Event) -> None:
        for event in told:
            self.events.append(event)
            for subscriber in self._subscribers:
                subscriber(event)
            if isinstance(event, events.End):
                self.end = event


class FakePage:
    """The widget's part, and a page's: it keeps rows as the front end does."""

    def __init__(self, snapshot: Callable[[], dict[str, Any]], receive: Callable[[Any], None]) -> None:
        self.snapshot = snapshot
        self.receive = receive
        self.sent: list[dict[str, Any]] = []
        self.details: list[dict[str, Any]] = []
        self.pushed = 0
        self.closed = 0
        self.deaf = False
        self.load()

    def load(self) -> None:
        state = self.snapshot()
        self.seq, self.rows = state["seq"], {row["id"]: row for row in state["rows"]}

    def send(self, content: dict[str, Any]) -> None:
        if self.deaf:
            return
        if content["kind"] == "details":
            self.details.append(content)
            return
        self.sent.append(content)
        if content["kind"] == "snapshot":
            self.seq = content["state"]["seq"]
            self.rows = {row["id"]: row for row in content["state"]["rows"]}
        elif content["seq"] == self.seq + 1:
            self.seq = content["seq"]
            self.rows |= {row["id"]: row for row in content["rows"]}
        elif content["seq"] > self.seq:
            self.receive({"kind": "resync", "seq": self.seq})

    def push_state(self) -> None:
        self.pushed += 1

    def mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    def close(self) -> None:
        self.closed += 1


def opened(log: FakeLog, **options: Any) -> tuple[TraceView, FakePage]:
    view = TraceView(log, FakePage, budget=Budget(), **options)
    page = view.page
    assert isinstance(page, FakePage)
    view.open()
    return view, page


def greeted(log: FakeLog) -> tuple[TraceView, FakePage]:
    view, page = opened(log)
    page.receive({"kind": "hello", "seq": page.seq})
    page.sent.clear()
    return view, page


def rows_of(log: FakeLog) -> dict[int, dict[str, Any]]:
    return {span.id: row_of(span, log.events[0].time) for span in spans_of(log.events)}


def test_a_row_has_what_a_page_draws() -> None:
    rows = {row["label"]: row for row in (row_of(span, BEGAN) for span in spans_of(two_steps().events))}
    assert rows["tool · get_weather"] == {
        "id": 9,
        "parent": 3,
        "kind": "tool",
        "step": 0,
        "label": "tool · get_weather",
        "detail": '{"city": "Tokyo"} → {"temperature": 22}',
        "start": 1.8,
        "end": 2.2,
        "status": "ok",
    }
    assert rows["weather"]["who"] == "small · scripted"
    assert rows["decode"]["said"] == "8 tokens at 20 tokens/s"
    assert rows["prefill"]["said"] == "36 tokens at 120 tokens/s, 12 cached"


def test_messages_hold_the_rows_that_changed_and_no_more() -> None:
    log = FakeLog()
    view, page = greeted(log)
    told = two_steps().events
    for event in told[:-1]:
        log.tell(event)
        view._channel.flush()
    assert {message["kind"] for message in page.sent} == {"patch"}
    assert [message["seq"] for message in page.sent] == list(range(1, len(page.sent) + 1))
    assert max(len(message["rows"]) for message in page.sent) <= 4
    assert page.rows == rows_of(log)


def test_text_that_streams_sends_nothing() -> None:
    log = FakeLog()
    view, page = greeted(log)
    story = TimedStory()
    story.step(0, 0.1)
    story.tell(events.TextStart, step=0)
    log.tell(*story.events)
    view._channel.flush()
    page.sent.clear()
    for _ in range(100):
        log.tell(events.TextDelta(index=len(log), step=0, text="word "))
        view._channel.flush()
    assert page.sent == []


def test_until_a_page_says_hello_messages_are_whole_states_ever_farther_between() -> None:
    log = FakeLog()
    view, page = opened(log)
    log.tell(*two_steps().events[:12])
    view._channel.flush()
    assert {message["kind"] for message in page.sent} == {"snapshot"}
    short = view._channel.interval
    log.tell(*two_steps().events[12:-1])
    view._channel.flush()
    assert view._channel.interval > short
    page.receive({"kind": "hello", "seq": page.seq})
    assert view._channel.interval == FRAME


def test_hello_is_answered_with_the_state_or_with_the_time_if_that_is_all() -> None:
    log = FakeLog()
    view, page = opened(log)
    log.tell(*two_steps().events[:12])
    page.load()
    page.sent.clear()
    page.receive({"kind": "hello", "seq": page.seq})
    (answer,) = page.sent
    assert (answer["kind"], answer["seq"], answer["rows"]) == ("patch", page.seq, [])
    page.receive({"kind": "hello", "seq": 0})
    assert page.sent[-1]["kind"] == "snapshot"
    assert page.sent[-1]["state"] == view.snapshot() | {"now": page.sent[-1]["state"]["now"]}


def test_now_goes_on_with_the_run_and_ends_with_it() -> None:
    log = FakeLog()
    view, _ = opened(log)
    assert view.snapshot()["now"] == 0.0
    log.tell(*two_steps().events)
    assert view.snapshot()["now"] == 3.0
    assert view.is_over


def test_at_the_end_everything_is_sent_then_the_whole_state_then_the_end_is_told() -> None:
    log = FakeLog()
    told: list[tuple[int, int]] = []

    def on_end(view: TraceView) -> None:
        assert isinstance(view.page, FakePage)
        told.append((len(view.page.rows), view.page.pushed))

    _, page = opened(log, on_end=on_end)
    page.receive({"kind": "hello", "seq": 0})
    log.tell(*two_steps().events)
    assert told == [(len(rows_of(log)), 1)]
    assert page.rows == rows_of(log)


def test_what_comes_after_the_end_is_sent_too() -> None:
    log = FakeLog()
    ends: list[int] = []
    _, page = opened(log, on_end=lambda view: ends.append(len(view.spans)))
    page.receive({"kind": "hello", "seq": 0})
    story = two_steps()
    log.tell(*story.events)
    before = len(story.events)
    story.run_tool(ToolCall("1", "get_weather"), 60.0, 60.5, output=1)
    log.tell(*story.events[before:])
    assert page.rows == rows_of(log)
    assert ends[-1] == len(page.rows)


def test_a_run_that_is_over_is_there_whole_from_the_beginning_and_its_end_is_told() -> None:
    log = FakeLog()
    log.tell(*troubles().events)
    ends: list[int] = []
    view = TraceView(log, FakePage, on_end=lambda view: ends.append(len(view.spans)), budget=Budget())
    assert isinstance(view.page, FakePage)
    assert view.page.rows == rows_of(log)
    assert ends == []
    view.open()
    assert ends == [len(view.page.rows)]
    assert view.page.sent == []


def test_what_happened_before_it_is_shown_is_there_and_is_taken_once() -> None:
    log = FakeLog()
    told = two_steps().events
    log.tell(*told[:12])
    _, page = opened(log)
    assert page.sent == []
    assert page.rows == rows_of(log)
    log.tell(*told[12:])
    page.receive({"kind": "hello", "seq": 0})
    assert page.rows == rows_of(log)


@pytest.mark.parametrize(
    ("messages", "closed"),
    [
        (["hello", "release", "gone"], True),
        (["hello", "gone"], False),  # a cell that moves; the run goes on
        (["hello", "release"], False),  # the page is being reloaded
        (["hello", "hello", "release", "gone"], False),  # it was reloaded, or there is a second one
    ],
)
def test_a_view_closes_when_its_only_page_shows_something_else(messages: list[str], closed: bool) -> None:
    view, page = opened(FakeLog())
    for message in messages:
        if message == "release":
            view.release()
        else:
            page.receive({"kind": message})
    assert page.closed == closed


NONSENSE: list[Any] = [
    None,
    1,
    "gone",
    [],
    {},
    {"kind": ["hello"]},
    {"kind": "details"},
    {"kind": "details", "span": "0", "request_id": "1"},
    {"kind": "details", "span": 0, "request_id": 1},
    {"kind": "stop"},
]


def test_messages_that_make_no_sense_change_nothing() -> None:
    _, page = opened(FakeLog())
    for message in NONSENSE:
        page.receive(message)
    assert (page.sent, page.details, page.closed) == ([], [], 0)


@pytest.mark.parametrize("id_", [-1, 999, 10**30, True])
def test_details_of_a_span_that_isnt_there_are_empty(id_: int) -> None:
    log = FakeLog()
    _, page = greeted(log)
    page.receive({"kind": "details", "span": id_, "request_id": "1"})
    assert page.details == [{"kind": "details", "request_id": "1", "sections": []}]


def test_pages_and_events_may_come_from_different_threads() -> None:
    log = FakeLog()
    view, page = opened(log)
    page.receive({"kind": "hello", "seq": 0})
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            page.receive({"kind": "resync", "seq": -1})
            page.receive({"kind": "details", "span": 3, "request_id": "1"})

    asking = threading.Thread(target=ask)
    asking.start()
    story = TimedStory()
    for number in range(60):
        story.step(number, number)
        story.write(number + 0.2, number + 0.5, step=number)
        story.finish(number + 0.9, step=number)
    story.at = 60
    story.end("")
    log.tell(*story.events)
    over.set()
    asking.join()
    page.receive({"kind": "resync", "seq": -1})
    assert list(page.rows.values()) == view.snapshot()["rows"]
    assert page.rows == rows_of(log)


FATES = ["lost", "kept", "flushed", "resync", "reload"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(FATES), min_size=len(two_steps().events), max_size=len(two_steps().events)))
def test_whatever_is_lost_the_page_ends_with_all_rows(script: list[str]) -> None:
    """CONTRACT 2: nothing that happened is missing from what is shown."""
    log = FakeLog()
    view, page = opened(log)
    page.receive({"kind": "hello", "seq": page.seq})
    told = two_steps().events
    for event, fate in zip(told[:-1], script, strict=False):
        page.deaf = fate == "lost"
        log.tell(event)
        match fate:
            case "lost" | "flushed":
                view._channel.flush()
            case "resync":
                page.receive({"kind": "resync", "seq": page.seq})
            case "reload":
                page.load()
        page.deaf = False
    log.tell(told[-1])
    assert page.rows == rows_of(log)


def test_a_thousand_steps_send_what_changes_once() -> None:
    """A long run's messages grow with its steps and not with their square."""
    log = FakeLog()
    view, page = greeted(log)
    story = TimedStory()
    for number in range(1000):
        story.step(number, number)
        story.think(number + 0.2, number + 0.3, step=number)
        story.write(number + 0.3, number + 0.5, step=number)
        call = story.write_call(f"{number}", "look", number + 0.5, number + 0.6, step=number, place="here")
        story.run_tool(call, number + 0.6, number + 0.8, step=number, output=number)
        story.finish(number + 0.9, step=number, finish_reason="tool-calls")
        log.tell(*story.events)
        story.events.clear()
        view._channel.flush()
    story.at = 1000
    story.end("")
    log.tell(*story.events)
    assert len(page.rows) == 5001
    sizes = [len(repr(message)) for message in page.sent]
    assert max(sizes) < 3_000
    assert sum(sizes) < 2_000_000


@settings(deadline=None, max_examples=60)
@given(text=st.text(st.characters(codec=None, categories=None), min_size=1))
def test_rows_hide_nothing(text: str) -> None:
    story = TimedStory(function_id=text, model=text, engine=text)
    story.step(0, 0.1)
    call = story.write_call("1", text, 0.2, 0.3, argument=text)
    story.run_tool(call, 0.4, 0.5, outcome="error", error=ValueError(text))
    for span in spans_of(story.events):
        row = row_of(replace(span), BEGAN)
        words = "".join(str(row.get(name, "")) for name in ("label", "detail", "who", "said"))
        assert not any(character in words for character in "\x00\x1b\n\u202e\u2066\ud800")
        words.encode()
