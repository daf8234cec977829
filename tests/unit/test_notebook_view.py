from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import events
from llmkit.notebook.budget import Budget
from llmkit.notebook.run_view import RunView
from tests.unit.notebook_runs import FakeRun

if TYPE_CHECKING:
    from collections.abc import Callable


class FakePage:
    """The widget's part, and a page's: it keeps a state as the front end does."""

    def __init__(self, snapshot: Callable[[], dict[str, Any]], receive: Callable[[Any], None]) -> None:
        self.snapshot = snapshot
        self.receive = receive
        self.sent: list[dict[str, Any]] = []
        self.state = snapshot()
        self.pushed = 0
        self.closed = 0
        self.deaf = False

    def send(self, content: dict[str, Any]) -> None:
        if self.deaf:
            return
        self.sent.append(content)
        if content["kind"] == "snapshot":
            if content["state"]["seq"] >= self.state["seq"]:
                self.state = content["state"]
        elif content["seq"] == self.state["seq"] + 1:
            self.state |= content.get("set", {}) | {"seq": content["seq"]}
            self.state["text"] += content.get("text", "")
            self.state["reasoning"] += content.get("reasoning", "")
        elif content["seq"] > self.state["seq"]:
            self.receive({"kind": "resync"})

    def push_state(self) -> None:
        self.pushed += 1

    def mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    def close(self) -> None:
        self.closed += 1


def opened(run: FakeRun, **options: Any) -> tuple[RunView, FakePage]:
    view = RunView(run, FakePage, budget=Budget(), **options)
    page = view.page
    assert isinstance(page, FakePage)
    view.open()
    return view, page


def test_until_a_page_says_hello_messages_are_whole_states() -> None:
    run = FakeRun()
    _, page = opened(run)
    run.start()
    assert [message["kind"] for message in page.sent] == ["snapshot"]


def test_after_hello_messages_are_patches_with_consecutive_numbers() -> None:
    run = FakeRun()
    view, page = opened(run)
    page.receive({"kind": "hello"})
    page.sent.clear()
    run.start()
    run.text("Hel", "lo")
    run.finish("Hello")
    assert {message["kind"] for message in page.sent} == {"patch"}
    assert [message["seq"] for message in page.sent] == list(range(1, len(page.sent) + 1))
    assert page.state == {"seq": len(page.sent), **view.state.to_dict()}


def test_a_patch_holds_only_what_changed() -> None:
    run = FakeRun()
    _, page = opened(run)
    page.receive({"kind": "hello"})
    run.start()
    assert page.sent[-1] == {"kind": "patch", "seq": 1, "set": {"model": "SmolLM2", "engine": "llamacpp"}}


def test_hello_is_answered_with_the_state() -> None:
    run = FakeRun()
    _, page = opened(run)
    run.start()
    run.text("Hello")
    page.receive({"kind": "hello"})
    assert page.sent[-1]["kind"] == "snapshot"
    assert page.sent[-1]["state"]["text"] == "Hello"


def test_a_page_that_missed_messages_catches_up() -> None:
    run = FakeRun()
    view, page = opened(run)
    page.receive({"kind": "hello"})
    run.start()
    page.deaf = True
    run.text("lost ")
    view._channel.flush()
    page.deaf = False
    run.text("found")
    run.finish("lost found")
    assert page.state["text"] == "lost found"


def test_the_state_of_a_reload_fits_the_patches_that_follow() -> None:
    run = FakeRun()
    _, page = opened(run)
    page.receive({"kind": "hello"})
    run.start()
    run.text("one ", "two ")
    page.state = page.snapshot()  # a page that opens reads the widget's state, with what isn't sent yet
    run.text("three")
    run.finish("one two three")
    assert page.state["text"] == "one two three"


def test_stop_cancels_the_run() -> None:
    """CONTRACT 7: cancelling."""
    run = FakeRun()
    _, page = opened(run)
    page.receive({"kind": "stop"})
    assert run.cancelled == 1


def test_messages_that_make_no_sense_change_nothing() -> None:
    run = FakeRun()
    _, page = opened(run)
    messages: list[Any] = [None, 1, "stop", [], {}, {"kind": ["stop"]}, {"kind": "approve"}]
    for message in messages:
        page.receive(message)
    assert (page.sent, run.cancelled) == ([], 0)


def test_at_the_end_everything_is_sent_then_the_whole_state_then_the_end_is_told() -> None:
    run = FakeRun()
    told: list[tuple[str, int]] = []

    def on_end(view: RunView) -> None:
        told.append((page.state["text"], page.pushed))

    _, page = opened(run, on_end=on_end)
    page.receive({"kind": "hello"})
    run.answer("Hel", "lo")
    assert told == [("Hello", 1)]


def test_what_comes_after_the_end_is_shown_and_told_again() -> None:
    run = FakeRun()
    told: list[str] = []
    _, page = opened(run, on_end=lambda view: told.append(view.state.calls[0]["status"]))
    page.receive({"kind": "hello"})
    call = run.call()
    run.finish()
    run.end_call(call, "late")
    assert told == ["made", "running", "done"]
    run.emit(events.TextEnd, step=0)
    assert (len(told), page.pushed) == (3, 3)


def test_a_run_that_is_over_is_shown_whole() -> None:
    run = FakeRun()
    run.answer("Hello")
    _, page = opened(run)
    assert (page.state["text"], page.state["status"]) == ("Hello", "done")


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
    view, page = opened(FakeRun())
    for message in messages:
        if message == "release":
            view.release()
        else:
            page.receive({"kind": message})
    assert page.closed == closed


def test_pages_and_events_may_come_from_different_threads() -> None:
    run = FakeRun()
    view, page = opened(run)
    page.receive({"kind": "hello"})
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            page.receive({"kind": "resync"})

    asking = threading.Thread(target=ask)
    asking.start()
    pieces = [f"{index} " for index in range(2000)]
    run.answer(*pieces)
    over.set()
    asking.join()
    page.receive({"kind": "resync"})
    assert page.state == {"seq": view.snapshot()["seq"], **view.state.to_dict()}
    assert page.state["text"] == "".join(pieces)


@given(st.lists(st.tuples(st.text(), st.sampled_from(["lost", "kept", "flushed", "resync", "reload"]))))
def test_whatever_is_lost_the_page_ends_with_the_whole_text(script: list[tuple[str, str]]) -> None:
    run = FakeRun()
    view, page = opened(run)
    page.receive({"kind": "hello"})
    for text, fate in script:
        page.deaf = fate == "lost"
        run.emit(events.TextDelta, step=0, text=text)
        match fate:
            case "lost" | "flushed":
                view._channel.flush()
            case "resync":
                page.receive({"kind": "resync"})
            case "reload":
                page.state = page.snapshot()
        page.deaf = False
    whole = "".join(text for text, _ in script)
    run.finish(whole)
    assert (page.state["text"], page.state["status"]) == (whole, "done")
