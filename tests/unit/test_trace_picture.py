"""A run's timeline, as a picture and in plain text."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.tools.calls import ToolCall
from llmkit.tracing import Trace
from llmkit.tracing.outline import MAX_ROWS
from llmkit.tracing.picture import _ticks
from llmkit.tracing.plain import MAX_LINES
from llmkit.tracing.words import duration
from tests.unit.trace_runs import BEGAN, TimedStory, two_steps

SVG = "{http://www.w3.org/2000/svg}"


def long_run(steps: int) -> Trace:
    story = TimedStory()
    for number in range(steps):
        story.step(number, number)
        story.write(number + 0.2, number + 0.5, step=number)
        story.finish(number + 0.9, step=number)
    story.at = steps
    story.end("")
    return Trace(story.events)


def parsed(trace: Trace) -> ET.Element:
    return ET.fromstring(trace.svg)  # noqa: S314 - it is what is tested


def words(picture: ET.Element) -> list[str]:
    return [each.text or "" for each in picture.iter(f"{SVG}text")]


def test_the_timeline_in_plain_text() -> None:
    lines = repr(Trace(two_steps().events)).splitlines()
    assert [line[:24].rstrip() for line in lines] == [
        "weather",
        "  queue",
        "  load",
        "  step 0",
        "    prefill",
        "    decode",
        "      reasoning",
        "    approval · get_weath",
        "    approval · send_mail",
        "    tool · get_weather",
        "  step 1",
        "    prefill",
        "    decode",
    ]
    assert lines[0].endswith("3.00 s  2 steps · 16 tokens")
    assert lines[8].endswith("0.70 s  denied by panel · not everybody")
    assert lines[9].endswith('0.40 s  {"city": "Tokyo"} → {"temperature": 22}')
    assert lines[9].count("█") == round(32 * 0.4 / 3)


def test_a_picture_tells_the_same() -> None:
    told = words(parsed(Trace(two_steps().events)))
    assert {"weather", "step 0", "tool · get_weather", "denied by panel · not everybody", "done · 3.00 s"} <= set(told)


def test_a_picture_has_a_title_and_a_description() -> None:
    picture = parsed(Trace(two_steps().events))
    title, told = picture.find(f"{SVG}title"), picture.find(f"{SVG}desc")
    assert title is not None
    assert told is not None
    assert picture.get("role") == "img"
    assert picture.get("aria-labelledby") == f"{title.get('id')} {told.get('id')}"
    assert title.text == "Timeline of weather"
    assert told.text is not None
    assert "ok, 3.00 s" in told.text
    assert "approval 1.40 s in 2" in told.text


def test_bars_stand_where_their_times_are() -> None:
    picture = parsed(Trace(two_steps().events))
    row = next(g for g in picture.iter(f"{SVG}g") if (g.findtext(f"{SVG}title") or "").startswith("tool · get_weather"))
    bar = row.findall(f"{SVG}rect")[1]
    assert float(bar.get("x", 0)) == pytest.approx(190 + 490 * 1.8 / 3, abs=0.1)
    assert float(bar.get("width", 0)) == pytest.approx(490 * 0.4 / 3, abs=0.1)


@pytest.mark.parametrize("status", ["done", "cancelled", "failed"])
def test_how_a_run_ended_is_in_words(status: str) -> None:
    story = TimedStory()
    story.at = 1.0
    story.end("", status)
    assert f"{status} · 1.00 s" in words(parsed(Trace(story.events)))


def test_a_run_that_goes_on_can_be_shown() -> None:
    begun = Trace([event for event in two_steps().events if event.time < BEGAN + 1.5])
    told = words(parsed(begun))
    assert "running · …" in told
    assert 'waiting · {"city": "Tokio"}' in told


def test_without_events_there_is_a_word() -> None:
    empty = Trace([])
    assert repr(empty) == "No events yet."
    assert "No events yet." in ET.tostring(parsed(empty), "unicode")


def test_both_are_bounded_and_say_what_they_leave_out() -> None:
    trace = long_run(500)
    picture = parsed(trace)
    assert len(list(picture.iter(f"{SVG}g"))) < MAX_ROWS
    assert len(trace.svg) < 250_000
    hidden = len(trace) - (MAX_ROWS - 1)
    assert f"⋮ {hidden:,} spans more" in words(picture)
    lines = repr(trace).splitlines()
    assert len(lines) == MAX_LINES
    assert sum("spans more" in line for line in lines) == 1


def test_what_came_after_the_end_is_counted_and_doesnt_stretch_the_axis() -> None:
    story = two_steps()
    story.run_tool(ToolCall("1", "get_weather"), 50_000.0, 50_000.5, output=1)
    trace = Trace(story.events)
    assert "(1 more after the run's end)" in repr(trace)
    assert "1 more spans after the run's end" in (parsed(trace).findtext(f"{SVG}desc") or "")
    assert "done · 3.00 s" in words(parsed(trace))


HOSTILE = ["<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "&amp;\u202egnp.exe", "]]>\x00\x1b[31m\ud800"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_arguments_and_results_are_text(text: str) -> None:
    trace = hostile(text)
    for picture in (trace.svg, trace._repr_mimebundle_()["text/html"]):
        assert "<img" not in picture
        assert "<script" not in picture
        assert not re.search("[\x00-\x08\x1b\u202e\ud800]", picture)
    parsed(trace)
    assert not re.search("[\x00-\x08\x1b\u202e\ud800]", repr(trace))


@settings(deadline=None, max_examples=50)
@given(text=st.text(st.characters(codec=None, categories=None), min_size=1))
def test_any_text_gives_well_formed_pictures(text: str) -> None:
    trace = hostile(text)
    parsed(trace)
    for content in trace._repr_mimebundle_().values():
        content.encode()


def hostile(text: str) -> Trace:
    story = TimedStory(function_id=text, model=text, engine=text)
    story.step(0, 0.1)
    call = story.write_call("1", text, 0.2, 0.3, argument=text)
    story.ask("1", text, argument=text)
    story.rule("1", text, "allow", arguments={}, reason=text)
    story.run_tool(call, 0.4, 0.5, outcome="error", error=ValueError(text))
    story.finish(0.6, step=0, finish_reason=text)
    story.at = 1.0
    story.end("", "cancelled", reason=text)
    return Trace(story.events)


def test_the_bundle_has_a_page_an_image_and_text() -> None:
    trace = Trace(two_steps().events)
    bundle = trace._repr_mimebundle_()
    assert list(bundle) == ["text/html", "image/svg+xml", "text/plain"]
    assert list(trace._repr_mimebundle_(include={"text/plain"})) == ["text/plain"]
    assert "text/plain" not in trace._repr_mimebundle_(exclude=["text/plain"])
    assert "prefers-color-scheme: dark" in bundle["image/svg+xml"]
    assert "prefers-color-scheme" not in bundle["text/html"]  # the page's theme counts, not the system's


def test_every_rule_of_the_style_is_for_this_picture_alone() -> None:
    style = re.search("<style>(.*?)</style>", Trace(two_steps().events)._repr_mimebundle_()["text/html"], re.DOTALL)
    assert style is not None
    selectors = re.findall(r"(?:^|\})\s*([^{}]+)\{", style[1])
    assert selectors
    assert all(selector.startswith(".llmkit-trace") for selector in selectors)


def test_the_same_run_gives_the_same_picture() -> None:
    assert Trace(two_steps().events).svg == Trace(two_steps().events).svg


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "…"),
        (0.0, ""),
        (0.0004, "0.4 ms"),
        (0.0456, "46 ms"),
        (0.5, "0.50 s"),
        (9.994, "9.99 s"),
        (42.42, "42.4 s"),
        (400.4, "6 min 40 s"),
        (7_260.0, "2 h 1 min"),
    ],
)
def test_durations_are_in_the_unit_that_reads_best(seconds: float | None, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize("whole", [0.0, 1e-6, 0.003, 0.9, 1.0, 3.0, 60.0, 86_400.0])
def test_ticks_are_few_and_within(whole: float) -> None:
    ticks: list[Any] = _ticks(whole)
    assert ticks[0] == 0
    assert len(ticks) <= 6
    assert ticks[-1] <= whole * (1 + 1e-9)
