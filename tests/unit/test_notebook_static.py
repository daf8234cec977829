from __future__ import annotations

import unicodedata
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from llmkit import events
from llmkit.notebook import markdown, safe_markdown, static
from llmkit.notebook.run_state import RunState
from llmkit.tools.calls import ToolCallError
from tests.unit.notebook_runs import FakeRun

HEADINGS = {f"h{level}" for level in range(1, 7)}
TABLES = {"table", "thead", "tbody", "tr", "th", "td"}
BLOCKS = {"blockquote", "code", "details", "div", "hr", "li", "ol", "p", "pre", "summary", "ul"}
TAGS = HEADINGS | TABLES | BLOCKS | {"a", "br", "del", "em", "s", "span", "strong", "sub"}
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


def with_calls() -> FakeRun:
    """Return a run that called, was refused, and went on."""
    run = FakeRun()
    run.start()
    run.text("I look.")
    allowed = run.ask(city="Tokyo")
    run.decide(allowed, arguments={"city": "Osaka"})
    run.end_call(allowed, {"temperature": 22}, duration=0.25, printed="asking…\n")
    denied = run.ask("rm", "call-2", path="/")
    run.decide(denied, "deny", reason="Surely not.")
    run.end_call(denied, outcome="denied", reason="Surely not.")
    run.emit(events.TextStart, step=1)
    run.emit(events.TextDelta, step=1, text="It is **warm**.")
    run.finish("It is **warm**.")
    return run


def test_calls_stand_where_they_came_with_outcome_and_decision() -> None:
    """CONTRACT 30: who/what decided, shown vs. executed arguments."""
    bundle = static.bundle(state_of(with_calls()))
    assert bundle["text/plain"].split("\n\n")[:4] == [
        "I look.",
        '✓ get_weather(city: "Osaka") → {"temperature": 22} · allowed by you after an edit · 250 ms',
        '⊘ rm(path: "/") · denied by you: Surely not.',
        "It is **warm**.",
    ]
    for text in (bundle["text/markdown"], bundle["text/html"]):
        words = ["I look", "weather", "Osaka", "Tokyo", "allowed by you after an edit", "Surely not", "It is"]
        places = [text.find(word) for word in words]
        assert -1 not in places
        assert text.find("I look") < text.find("weather") < text.find("Surely not") < text.find("It is")
    assert "asking…" in bundle["text/html"]


def test_a_table_and_an_image_are_saved_as_such() -> None:
    run = FakeRun()
    png = b"\x89PNG\r\n\x1a\n0000"
    for number, output in enumerate((pd.DataFrame({"n": [1, 2], "<b>": ["<i>", "y"]}), png)):
        run.end_call(run.call(call_id=str(number)), output)
    run.finish()
    html = static.html(state_of(run))
    assert "<table" in html
    assert "&lt;i&gt;" in html
    assert 'src="data:image/png;base64,' in html


@settings(deadline=None)  # a busy machine stalls for longer than an example takes
@given(hostile_text, hostile_text)
def test_a_call_of_any_text_is_saved_as_text(text: str, other: str) -> None:
    run = FakeRun()
    call = run.ask(text or "a", **{f"k{other}": text})
    run.decide(call, arguments={"v": other}, reason=text)
    displayed = ({"text/html": text}, {"text/markdown": other}, {"text/plain": text})
    run.end_call(call, [text, {"a": other}], printed=other, displayed=displayed)
    failed = run.call(text or "b", "call-2", text=other)
    run.end_call(failed, outcome="error", error=ValueError(text))
    run.call(other or "d", "call-4", lines=f"{text}\n{other}", inner=[{text: f"{other}\n"}])
    denied = run.ask(other or "c", "call-3")
    run.decide(denied, "deny", reason=text)
    unread = ToolCallError("PARSE_ERROR", other, text, name=text)
    run.emit(events.ToolCallFailed, step=0, error=unread)
    run.abort()
    state = state_of(run)
    harmless(static.html(state))
    for preset in ("js-default", "commonmark"):
        harmless(MarkdownIt(preset, {"html": True, "linkify": False}).render(static.marked(state)))
    shown = static.plain(state)
    assert not [each for each in shown if each != "\n" and unicodedata.category(each) in {"Cc", "Cf"}]


def saved(run: FakeRun) -> str:
    run.finish()
    html = static.html(state_of(run))
    harmless(html)
    return html


def test_a_line_that_tells_all_has_nothing_to_unfold() -> None:
    run = FakeRun()
    allowed = run.ask(city="Tokyo", days=3)
    run.decide(allowed)
    run.end_call(allowed, {"temperature": 22}, duration=0.25)
    denied = run.ask(call_id="call-2", city="Kyoto")
    run.decide(denied, "deny", reason="Too far.")
    run.end_call(denied, outcome="denied", reason="Too far.")
    failed = run.call(call_id="call-3", city="Osaka")
    run.end_call(failed, outcome="error", error=ValueError("no such city"))
    html = saved(run)
    assert "<details" not in html
    words = ["Tokyo", "&quot;temperature&quot;: 22", "allowed by you", "Kyoto", "Too far.", "Osaka", "no such city"]
    assert [html.count(each) for each in words] == [1] * len(words)


def test_texts_of_several_lines_read_as_such_also_inside_lists() -> None:
    run = FakeRun()
    run.call(sql="SELECT *\nFROM <t>", limit=100, notes=[{"text": "a\nb", "n": 1.0}], path="C:\\new")
    html = saved(run)
    for part in ("SELECT *\nFROM &lt;t&gt;</pre>", "a\nb</pre>", ">1.0</code>", ">&quot;C:\\\\new&quot;</code>"):
        assert part in html


def test_what_an_edit_changed_is_marked() -> None:
    """CONTRACT 26: edited arguments are … shown as edited in the record."""
    run = FakeRun()
    call = run.ask(city="Tokyo", days=1, unit="C")
    run.decide(call, arguments={"city": "Osaka", "days": True, "unit": "C"})
    html = saved(run)
    assert html.count(">edited</span>") == 4
    assert html.index("Ran with") < html.index(">&quot;Osaka&quot;<") < html.index("What the model asked for")


def test_displays_are_saved_as_images_and_text() -> None:
    run = FakeRun()
    displayed = ({"image/png": b"\x89PNG\r\n\x1a\n0000"}, {"text/html": "<b>x</b>", "text/plain": "<Table>"})
    run.end_call(run.call(), displayed=displayed)
    run.finish()
    bundle = static.bundle(state_of(run))
    assert 'src="data:image/png;base64,' in bundle["text/html"]
    assert all("Displayed" in bundle[kind] for kind in ("text/html", "text/markdown"))
    assert "&lt;Table&gt;</pre>" in bundle["text/html"]
    assert "<b>" not in bundle["text/html"]


def test_a_long_table_says_how_many_rows_are_not_saved() -> None:
    run = FakeRun()
    run.end_call(run.call(), pd.DataFrame({"n": range(60)}))
    html = saved(run)
    assert html.count("<tr>") == 21
    assert "… 40 more rows" in html


def test_that_words_are_no_call_comes_before_why() -> None:
    run = FakeRun()
    run.emit(events.ToolCallFailed, step=0, error=ToolCallError("UNKNOWN_TOOL", "no such tool", "rm {}", name="rm"))
    html = saved(run)
    assert html.index("no valid call") < html.index("UNKNOWN_TOOL: no such tool")


def test_many_arguments_say_how_many_more_there_are() -> None:
    run = FakeRun()
    run.call(**{f"a{number}": "x\n" * 50 for number in range(1_000)})
    html = saved(run)
    assert "more</div>" in html
    assert len(html) < 150_000


def test_a_long_argument_says_how_much_of_it_is_not_saved() -> None:
    run = FakeRun()
    run.call(text="x" * 100_000)
    run.finish()
    html = static.html(state_of(run))
    assert "more characters" in html
    assert len(html) < 30_000


@pytest.mark.parametrize(("end", "word"), [("abort", "Cancelled"), ("fail", "Failed")])
def test_a_run_that_was_not_finished_says_so(end: str, word: str) -> None:
    run = FakeRun()
    run.text("Hel")
    getattr(run, end)()
    assert all(word in text for text in static.bundle(state_of(run)).values())
