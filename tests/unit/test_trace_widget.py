"""Where timelines show: a widget in a live notebook while the run goes on, the picture everywhere else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import llmkit as lk
from llmkit.notebook import trace_display
from llmkit.notebook.trace_widget import TraceWidget
from llmkit.tracing import Trace
from tests.unit.trace_runs import two_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURE = {"text/html", "image/svg+xml", "text/plain"}


class Handle:
    """What IPython gives for a display that can be updated."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []
        self.updated = threading.Event()

    def update(self, data: dict[str, Any], *, raw: bool) -> None:
        assert raw
        self.updates.append(data)
        self.updated.set()


class Screen:
    """Where things are displayed."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []
        self.handles: list[Handle] = []

    def display(self, data: dict[str, Any], *, raw: bool, display_id: bool = False, **_: Any) -> Handle | None:
        assert raw
        self.shown.append(data)
        self.handles.append(Handle())
        return self.handles[-1] if display_id else None


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr("IPython.display.display", screen.display)
    monkeypatch.setattr(trace_display, "frontend", lambda: "live")
    return screen


@pytest.fixture
def wait_for() -> threading.Event:
    """Return what the tool of a run waits for."""
    return threading.Event()


@pytest.fixture
def run(wait_for: threading.Event) -> Iterator[lk.Run]:
    """Begin a run whose tool waits."""

    @lk.tool(needs_approval=False)
    def look() -> str:
        """Look."""
        assert wait_for.wait(30)
        return "seen"

    answers: list[str | lk.Answer] = [lk.Answer("Let me look.", tool_calls=[("look", {})]), "I have seen it."]
    session = lk.Session(engine=lk.Scripted(answers), show=False, ledger=None)
    yield session.complete("Look!", tools=[look], stop_when=3)
    wait_for.set()
    session.close()


def test_the_timeline_of_a_run_that_goes_on_is_a_widget_until_a_picture_takes_its_place(
    screen: Screen, run: lk.Run, wait_for: threading.Event
) -> None:
    run.timeline._ipython_display_()
    assert set(screen.shown[0]) == {"text/plain", WIDGET}
    wait_for.set()
    assert screen.handles[0].updated.wait(30)
    (final,) = screen.handles[0].updates
    assert set(final) == PICTURE
    assert "tool · look" in final["text/plain"]


def test_the_timeline_of_a_run_that_is_over_is_a_picture(
    screen: Screen, run: lk.Run, wait_for: threading.Event
) -> None:
    wait_for.set()
    run.wait()
    run.timeline._ipython_display_()
    assert set(screen.shown[0]) == PICTURE


def test_a_live_timeline_of_a_run_that_is_over_stays(screen: Screen, run: lk.Run, wait_for: threading.Event) -> None:
    wait_for.set()
    run.wait()
    run.timeline.show()
    assert WIDGET in screen.shown[0]
    assert screen.handles[0].updates == []


def test_a_record_of_events_is_a_picture_also_when_asked_for(screen: Screen) -> None:
    Trace(two_steps().events).show()
    assert set(screen.shown[0]) == PICTURE


@pytest.mark.parametrize("place", ["headless", "terminal"])
def test_where_nobody_looks_it_is_a_picture_of_that_moment(
    screen: Screen, run: lk.Run, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(trace_display, "frontend", lambda: place)
    run.timeline._ipython_display_()
    run.timeline.show()
    assert [set(shown) for shown in screen.shown] == [PICTURE, PICTURE]
    assert all(handle.updates == [] for handle in screen.handles)


def test_a_script_prints_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(trace_display, "frontend", lambda: "script")
    trace = Trace(two_steps().events)
    trace.show()
    assert capsys.readouterr().out == f"{trace!r}\n"


def test_a_page_that_opens_reads_the_timeline_of_that_moment() -> None:
    state: dict[str, Any] = {"seq": 0, "now": 0.0, "rows": []}
    messages: list[Any] = []
    widget = TraceWidget(lambda: dict(state), messages.append)
    state["seq"] = 7
    assert widget.get_state("state") == {"state": {"seq": 7, "now": 0.0, "rows": []}}
    widget._handle_custom_msg({"kind": "hello"}, [])
    assert messages == [{"kind": "hello"}]
    widget.close()
    assert widget.comm is None
