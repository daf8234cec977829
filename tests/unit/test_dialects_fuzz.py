"""Any text, however it is cut, through every dialect's reader."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit.tools.dialects.base import (
    MAX_FRAME,
    CallBegun,
    CallEnded,
    CallInput,
    CallUnreadable,
    MarkupPart,
    ReasoningPart,
    TextPart,
)
from llmkit.tools.dialects.detect import DIALECTS, dialect_named
from tests.unit.dialects.reading import read, text_of, written

if TYPE_CHECKING:
    from llmkit.tools.dialects.base import Dialect, Part

EVERY = st.sampled_from(sorted(DIALECTS))
SNIPPETS = [
    *("{", "}", "[", "]", "(", ")", ":", ",", '"', "'", "\\", "=", ";", "<", "</", ">", "|", " ", "\n", "\t"),
    *(
        '{"name": "get_weather", ',
        '"arguments": ',
        '"parameters": ',
        '{"city": "Paris"}',
        '"function": ',
        '"type": "function"',
    ),
    *(
        "get_weather",
        "note",
        "unheard_of",
        "city",
        "days",
        "functions.",
        ":0",
        "3",
        "-1.5e3",
        "True",
        "null",
        "\\u00e9",
    ),
    *("call:", "city:", "city=", "<parameter=city>", "\n", "<function=get_weather>", " to=functions.get_weather "),
    *(
        "```json",
        "analysis",
        "commentary",
        "final",
        "json",
        "é",
        "🦆",
        "\x00",
        "\ud800",
        "<![CDATA[",
        "]]>",
        '="',
        '">',
    ),
]


def hostile(dialect: Dialect) -> st.SearchStrategy[str]:
    """Return texts made of what means something to a dialect."""
    pieces = st.one_of(st.sampled_from(dialect.markers), st.sampled_from(SNIPPETS), st.text(max_size=3))
    return st.lists(pieces, max_size=30).map("".join)


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def check_order(parts: list[Part]) -> None:
    """Check that what begins ends once, with nothing but its arguments between."""
    begun: str | None = None
    for part in parts:
        match part:
            case CallBegun(name):
                assert begun is None
                begun = name
            case CallInput():
                assert begun is not None
            case CallEnded(name):
                assert begun == name
                begun = None
            case CallUnreadable(_, raw, name):
                assert begun in {None, name}
                assert raw
                begun = None
            case TextPart(text) | ReasoningPart(text) | MarkupPart(text):
                assert begun is None
                assert text
    assert begun is None


@pytest.mark.parametrize("name", sorted(DIALECTS))
@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_text_a_call_or_an_error_however_it_is_cut(name: str, data: st.DataObject) -> None:
    """CONTRACT 13, 16: nothing is lost, no marker leaks, the same call is reported once; and nothing crashes."""
    dialect = dialect_named(name)
    text, complete = data.draw(hostile(dialect)), data.draw(st.booleans())
    places = data.draw(st.lists(st.integers(0, 10**6), max_size=12))
    whole = read(dialect, [text], complete=complete)
    assert written(whole) == text
    check_order(whole)
    assert dialect.markers[0] not in text_of(whole)
    assert read(dialect, cut(text, places), complete=complete) == whole
    assert read(dialect, list(text), complete=complete) == whole


@given(EVERY, st.text(alphabet="abc é\n.,!?", max_size=60), st.lists(st.integers(0, 100), max_size=4))
def test_plain_words_are_text_unchanged(name: str, text: str, places: list[int]) -> None:
    assert text_of(read(dialect_named(name), cut(text, places))) == text


def _openings(name: str) -> str:
    return {
        "pythonic": "[get_weather(city='",
        "lfm2": "<|tool_call_start|>[get_weather(city='",
        "llama3": '{"name": "get_weather", "parameters": {"city": "',
        "harmony": '<|channel|>commentary to=functions.get_weather<|message|>{"city": "',
        "gemma4": '<|tool_call>call:get_weather{city:<|"|>',
        "function-gemma": "<start_function_call>call:get_weather{city:<escape>",
    }.get(name, dialect_named(name).markers[0] + '{"name": "get_weather", "arguments": {"city": "')


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_frame_over_a_mebibyte_is_reported_and_its_rest_is_not_kept(name: str) -> None:
    """CONTRACT 13: a frame over 1 MiB is a PARSE_ERROR with the raw text kept."""
    text = _openings(name) + "x" * 3 * MAX_FRAME
    parts = read(dialect_named(name), (text[start : start + 4096] for start in range(0, len(text), 4096)))
    unreadable = [part for part in parts if isinstance(part, CallUnreadable)]
    assert [len(part.raw.encode()) for part in unreadable] == [MAX_FRAME]
    assert "1 MiB" in unreadable[0].message
    assert isinstance(parts[-1], MarkupPart)
    assert written(parts) == text


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_long_frame_holds_no_more_than_it_may(name: str) -> None:
    """CONTRACT 13: stop collecting at 1 MiB."""
    reader = dialect_named(name).reader([])
    tape = reader.tape  # type: ignore[attr-defined]
    reader.feed(_openings(name))
    for _ in range(64):
        reader.feed("é" * 50_000)
        assert len(tape.raw) + len(tape._text) <= MAX_FRAME + 100_000


@pytest.mark.parametrize("name", sorted(DIALECTS))
@pytest.mark.parametrize("repeated", ["marker", "broken", "braces", "quotes", "brackets", "escapes"])
def test_reading_takes_time_in_proportion_to_the_text(name: str, repeated: str) -> None:
    dialect = dialect_named(name)
    unit = {
        "marker": dialect.markers[0],
        "broken": dialect.markers[0] + '{"name": "x ',
        "braces": '{"name": ',
        "quotes": "\"'",
        "brackets": "[{(",
        "escapes": '{"a\\"',
    }[repeated]

    text = _openings(name) + unit * (15_000 // len(unit))
    began = time.process_time()
    read(dialect, [text])
    assert time.process_time() - began < 1.0  # about 0.02; reading it over and over would take many seconds


def test_one_piece_and_many_cost_about_the_same() -> None:
    """A frame that comes in a hundred thousand pieces isn't copied a hundred thousand times."""
    dialect = dialect_named("hermes")
    text = '<tool_call>{"name": "note", "arguments": {"text": "' + "a\\n" * 50_000 + '"}}</tool_call>'
    began = time.process_time()
    parts: list[Part] = read(dialect, (text[start : start + 4] for start in range(0, len(text), 4)))
    assert time.process_time() - began < 3.0
    assert [type(part) for part in parts] == [CallBegun, CallInput, CallEnded]
