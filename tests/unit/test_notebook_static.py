from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from llmkit import events
from llmkit.notebook import markdown, safe_markdown, static
from llmkit.notebook.run_state import RunState
from tests.unit.notebook_runs import FakeRun

HEADINGS = {f"h{level}" for level in range(1, 7)}
TABLES = {"table", "thead", "tbody", "tr", "th", "td"}
BLOCKS = {"blockquote", "code", "details", "div", "hr", "li", "ol", "p", "pre", "summary", "ul"}
TAGS = HEADINGS | TABLES | BLOCKS | {"a", "br", "del", "em", "s", "span", "strong"}
ATTRIBUTES = frozenset({"aria-label", "class", "href", "rel", "role", "start", "style", "target", "title"})

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://example.org/leak.png)",
    "![x](data:image/svg+xml,<svg/onload=alert(1)>)",
    "[x](javascript:alert(1)) [x](JaVaScRiPt:alert(1)) [x]( &#106;avascript:alert(1))",
    "[x][y]\n\n[y]: javascript:alert(1)",
    '<javascript:alert(1)> <https://example.org/"onmouseover=alert(1)>',
    '[a](https://example.org "\\" onmouseover=alert(1) x=\\"")',
    "`</code><img src=x onerror=alert(1)>`",
    '```"><img src=x onerror=alert(1)>\n</code></pre><script>alert(1)</script>\n```',
    "    </pre><script>alert(1)</script>",
    "|a|\n|-|\n|`<img src=x onerror=alert(1)>`\\|<img src=x onerror=alert(1)>|",
    "- a\n\n  ~~~\n  ```\n  <img src=x onerror=alert(1)>\n  ~~~",
    "``` `` ` <img src=x onerror=alert(1)> ` `` ```",
    "\\<img src=x onerror=alert(1)> \\\\<img src=x onerror=alert(1)> &lt;img src=x onerror=alert(1)&gt;",
    "</div></div><style>*{display:none}</style>",
    "$$\\href{javascript:alert(1)}{x}$$",
    "> <details open ontoggle=alert(1)>",
]
hostile_text = st.lists(
    st.one_of(
        st.sampled_from(HOSTILE),
        st.sampled_from(
            ["\n", "\n\n", "> ", "- ", "1. ", "`", "```\n", "|", "\\", "[", "](", ")", "![", "<", "*", "#"]
        ),
        st.text(max_size=8),
    ),
    max_size=12,
).map("".join)


class Seen(HTMLParser):
    """Collects the tags, attributes and link addresses of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag not in {"br", "hr"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def harmless(text: str) -> None:
    seen = Seen(text)
    assert seen.tags <= TAGS
    assert seen.attributes <= ATTRIBUTES
    assert all(link.lower().startswith(("http://", "https://", "mailto:")) for link in seen.links)
    assert seen.open == []


def state_of(run: FakeRun) -> dict[str, Any]:
    state = RunState(run.id)
    run.subscribe(state.take)
    return state.to_dict()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_harmless_html(text: str) -> None:
    harmless(markdown.html(text))


@given(hostile_text)
def test_any_text_becomes_harmless_html(text: str) -> None:
    harmless(markdown.html(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_markdown_that_is_harmless_where_html_is_allowed(text: str) -> None:
    trusting = MarkdownIt("js-default", {"html": True, "linkify": False})
    harmless(trusting.render(safe_markdown.render(text)))


@given(hostile_text)
def test_any_text_becomes_markdown_that_is_harmless_where_html_is_allowed(text: str) -> None:
    for preset in ("js-default", "commonmark"):
        harmless(MarkdownIt(preset, {"html": True, "linkify": False}).render(safe_markdown.render(text)))


def test_a_remote_image_is_a_link() -> None:
    html = markdown.html("![cat](https://example.org/cat.png) [![dog](https://a.org/d.png)](https://b.org)")
    assert "<img" not in html
    assert '<a href="https://example.org/cat.png"' in html
    assert html.count("<a ") == 2


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n\nA *b* **c** ~~d~~ `e`",
        "- a\n- b\n  - c\n\n    d",
        "3. a\n4. b",
        "1. a\n\n   b\n\n2. c",
        "> a\n>\n> b",
        "```python\ndef f():\n\n    return '`'\n```",
        "````\n```\n````",
        "| a | b |\n| :-- | --: |\n| 1 | `2\\|3` |",
        "[a](https://example.org/x_(y)) <https://example.org>",
        "a\n\n***\n\nb",
        "2\\. a\n\\- b\n\\# c\n\\> d",
        "a * b _ c \\` d [e] (f) {g} | h ~ i & j &amp; k",
    ],
)
def test_ordinary_markdown_keeps_its_meaning(text: str) -> None:
    parser = markdown.parser()
    again = parser.render(safe_markdown.render(text))
    assert again.replace("%28", "(").replace("%29", ")") == parser.render(text)


def test_html_repeats_what_the_widget_shows() -> None:
    run = FakeRun()
    run.start(note="MLX is slow here.")
    run.emit(events.ReasoningDelta, step=0, text="Hm, *so*.")
    run.text("Hello **world**")
    run.finish("Hello **world**", finish_reason="length")
    html = static.html(state_of(run))
    harmless(html)
    for part in (
        "Done",
        "SmolLM2",
        "llamacpp",
        "MLX is slow here.",
        "<details",
        "<em>so</em>",
        "<strong>world</strong>",
        "12 tokens · 80.0 tokens/s · first after 0.25 s · prompt 20 · 8 cached · cut at the token limit",
    ):
        assert part in html


def test_html_of_an_error_shows_it_as_text() -> None:
    run = FakeRun()
    run.start(model="<b>m</b>", engine="<i>e</i>", note="<u>n</u>")
    run.fail("<img src=x onerror=alert(1)>")
    html = static.html(state_of(run))
    harmless(html)
    assert "EngineError" in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_every_kind_of_output_has_answer_and_stats() -> None:
    run = FakeRun()
    run.answer("Hello")
    bundle = static.bundle(state_of(run))
    assert set(bundle) == {"text/plain", "text/markdown", "text/html"}
    assert bundle["text/plain"] == (
        "Hello\n\n[Done · SmolLM2 · llamacpp · "
        "12 tokens · 80.0 tokens/s · first after 0.25 s · prompt 20 · 8 cached · stop]"
    )
    assert all("Hello" in text and "12 tokens" in text for text in bundle.values())


def test_plain_text_holds_no_control_characters() -> None:
    run = FakeRun()
    run.answer("a\x1b]0;title\x07b\x9b31mc")
    assert static.plain(state_of(run)).startswith("a␛]0;title␇b�31mc")


@pytest.mark.parametrize(("end", "word"), [("abort", "Cancelled"), ("fail", "Failed")])
def test_a_run_that_was_not_finished_says_so(end: str, word: str) -> None:
    run = FakeRun()
    run.text("Hel")
    getattr(run, end)()
    assert all(word in text for text in static.bundle(state_of(run)).values())
