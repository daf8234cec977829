"""A comparison in a saved notebook, at the end of a headless cell, and in a terminal."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.errors import ValidationError
from llmkit.notebook.grid_display import GridFollower
from llmkit.notebook.grid_state import GridState
from llmkit.notebook.grid_static import SHOWN, beginning, bundle, html, longest_that_fits, marked
from llmkit.notebook.grid_terminal import GridTable
from tests.unit.grid_comparisons import FakeComparison

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from llmkit.events import Event

HOSTILE = (
    '<script>alert(1)</script> <img src=x onerror="alert(2)"> [x](javascript:alert) ![i](http://h/i.png) | $1 \u202e'
)
PARAGRAPH = "The **sky** is blue because of `Rayleigh` scattering, said the physicist to the child on the hill.\n\n"
ALLOWED = {
    *("a", "b", "br", "code", "del", "details", "div", "em", "h1", "h2", "h3", "li", "ol", "p", "pre", "s", "span"),
    *("strong", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag not in {"br", "hr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def answered(comparison: FakeComparison, text: Callable[[int], str]) -> dict[str, Any]:
    state = GridState(comparison)

    def take(cell: Any, event: Event | None) -> None:
        if event is None:
            state.begin(cell)
        else:
            state.take(cell.index, event)

    comparison.subscribe(take)
    comparison.answer(text)
    state.patch()
    return state.to_dict()


def test_the_table_has_headers_for_every_factor_and_each_answer_in_its_place() -> None:
    factors = {"topic": ("gravity", "DNA"), "who": ("child", "expert"), "temperature": ("0", "0.8")}
    comparison = FakeComparison(rows=("topic",), columns=("who", "temperature"), **factors)
    state = answered(comparison, lambda index: f"text-{index}")
    page = html(state)
    heads = re.findall(r'<th scope="(\w+)" (?:row|col)span="(\d)"[^>]*>(?:<span[^>]*>[^<]*</span>)?([^<]*)', page)
    assert heads == [
        ("col", "2", "topic"),
        *[("col", "2", "child"), ("col", "2", "expert")],
        *[("col", "1", "0"), ("col", "1", "0.8")] * 2,
        ("row", "1", "gravity"),
        ("row", "1", "DNA"),
    ]
    assert re.findall(r"text-\d", page) == [f"text-{index}" for index in range(8)]
    assert "8 cells" in page
    table = marked(state).splitlines()
    assert table[0].split(" | ")[:2] == ["| topic", "who child · temperature 0"]
    assert table[1] == "| --- | --- | --- | --- | --- |"
    assert [len(re.findall(r"text-|text\\-", line)) for line in table[2:4]] == [4, 4]


def test_hostile_texts_and_labels_stay_text() -> None:
    comparison = FakeComparison(**{"topic": (HOSTILE, "x\u202ey"), HOSTILE: ("<b>1</b>", "2")})
    comparison.cells[3].fail(ValidationError(HOSTILE, field=HOSTILE))
    parts = bundle(answered(comparison, lambda _: HOSTILE))
    tags = Tags(parts["text/html"])
    assert tags.open == []
    assert set(tags.tags) <= ALLOWED
    assert tags.attributes <= {
        "style",
        "class",
        "role",
        "aria-label",
        "scope",
        "rowspan",
        "colspan",
        "href",
        "rel",
        "target",
    }
    assert "javascript:" not in re.sub(r">[^<]*<", "><", parts["text/html"])
    assert "<" not in re.sub(r"</?sub>|&lt;", "", parts["text/markdown"])
    assert "\u202e" not in parts["text/plain"] + parts["text/markdown"]


def test_two_hundred_long_answers_stay_below_a_megabyte_and_say_where_the_rest_is() -> None:
    """Issue 6: a comparison of 200 cells reopens as readable static HTML under 1 MB."""
    comparison = FakeComparison(topic=tuple(f"topic {n}" for n in range(20)), seed=tuple(map(str, range(10))))
    state = answered(comparison, lambda index: f"START-{index} " + 60 * PARAGRAPH)
    parts = bundle(state)
    size = len(json.dumps(parts, ensure_ascii=False).encode())
    assert 500_000 < size < 1_000_000
    assert len(re.findall(r"START-\d+ ", parts["text/html"])) == 200
    assert parts["text/html"].count("<details>") == parts["text/html"].count("comparison.frame") == 200
    assert Tags(parts["text/html"]).open == []


def test_short_answers_are_whole() -> None:
    comparison = FakeComparison(topic=tuple(f"topic {n}" for n in range(20)), seed=tuple(map(str, range(10))))
    page = html(answered(comparison, lambda index: f"START-{index} " + PARAGRAPH))
    assert "<details>" not in page
    assert "comparison.frame" not in page


@given(st.lists(st.integers(0, 10_000), max_size=30), st.integers(0, 50_000))
def test_the_longest_length_that_fits_is_that(lengths: list[int], budget: int) -> None:
    longest = longest_that_fits(lengths, budget)
    assert sum(min(length, longest) for length in lengths) <= budget
    if lengths and longest < max(lengths):
        assert sum(min(length, longest + 1) for length in lengths) > budget


@settings(max_examples=50, deadline=None)
@given(st.text(st.sampled_from("ab \n-*`#|"), min_size=SHOWN, max_size=3 * SHOWN))
def test_the_beginning_of_an_answer_is_its_beginning(text: str) -> None:
    start = beginning(text)
    assert text.startswith(start)
    assert SHOWN / 3 < len(start.encode()) <= 1.3 * SHOWN or len(start) >= SHOWN * 0.3 or start == text


def test_the_end_of_a_headless_cell_has_the_answers() -> None:
    comparison = FakeComparison(topic=("gravity", "DNA"))
    follower = GridFollower(comparison)
    comparison.answer(lambda index: f"text-{index}")
    parts = follower.final()
    assert parts.keys() == {"text/plain", "text/markdown", "text/html"}
    assert "topic gravity: text-0 [Done" in parts["text/plain"]


def test_a_terminal_gets_a_line_a_cell_as_they_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    comparison = FakeComparison(topic=("gravity", "DNA"), model=("only",))
    table = GridTable(comparison)
    table.open()
    comparison.run(1).answer("An acid.\x1b[2J " + "It is long. " * 40)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["topic", "DNA"]
    comparison.run(0).start()
    comparison.run(0).fail("No memory left.")
    table.wait()
    out = capsys.readouterr().out
    assert out.splitlines()[0].split()[:2] == ["gravity", "Failed"]
    assert "EngineError: No memory left." in out
    assert out.splitlines()[1].startswith("[2 cells · 1 failed")
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 100
