from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmkit as lk
from llmkit.notebook.displays.card import Markup, card, code, folded, pre, quiet, table, title
from llmkit.notebook.displays.session import size
from llmkit.notebook.displays.tool import toolset_html

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e"


class _Reader(HTMLParser):
    """What a browser would make of a display."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.said = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.said += data


def _text(shown: Any) -> str:
    """Return what a display says, having looked that nothing in it is somebody else's markup."""
    html = shown if isinstance(shown, str) else shown._repr_html_()
    read = _Reader(html)
    assert not read.tags & {"script", "img", "iframe"}
    assert not [name for name in read.attributes if name.startswith("on")]
    assert not re.search(r"(?<!var\(--jp-)color\d?:#", html)  # the theme's colours, or the text's own
    assert "\u202e" not in html
    return read.said


@given(st.text())
@settings(max_examples=50)
def test_text_of_any_kind_stays_text(text: str) -> None:
    shown = card(
        text, title(text, text), quiet(text), code(text), pre(text), folded(text, text), table((text,), [(text,)])
    )

    assert _Reader(shown).tags <= {
        *("div", "strong", "span", "pre", "details", "summary", "table", "thead", "tbody", "tr", "th", "td")
    }
    assert _Reader(shown).attributes <= {"class", "role", "aria-label", "style", "scope"}


def test_a_long_text_is_cut_and_says_so() -> None:
    assert "characters more" in pre("x" * 30_000)
    assert pre(Markup("<b>x</b>")).count("<b>") == 1


def test_a_session_shows_models_and_open_runs(scripted: Callable[..., lk.Session]) -> None:
    session = scripted("One.", session={"system": HOSTILE})
    session.complete("Hi", cache="kept").result()

    said = _text(session)

    assert all(words in said for words in (session.id, "scripted", "ready", "0 running", "0 of 8", "a script", "kept"))
    session.close()
    assert "closed" in _text(session)


def test_a_session_shows_what_it_is_asked(scripted: Callable[..., lk.Session]) -> None:
    session = scripted("A slow one.", tokens_per_second=0.1)
    run = session.complete(f"Why? {HOSTILE}")

    said = _text(session)

    assert all(words in said for words in ("1 running", run.id, "Why? <script>"))
    run.cancel()


def test_a_session_shows_a_model_without_caches(
    scripted: Callable[..., lk.Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server keeps its own, and asking for them is an error."""

    def refuse(_: Any) -> None:
        raise lk.ValidationError("There are none.", field="cache")

    session = scripted()
    engine = session.load()
    monkeypatch.setattr(type(session.resident()._engine), "caches", property(refuse), raising=False)

    assert engine.engine in _text(session)


def test_a_tool_shows_its_schema() -> None:
    @lk.tool(needs_approval=False, timeout=5)
    def get_weather(city: str, days: int = 3) -> str:
        """Tell the weather.

        Parameters
        ----------
        city : str
            Where <b>it</b> is.
        days : int
            How many.
        """
        return f"{city} {days}"

    said = _text(lk.tool_from(get_weather))

    assert all(words in said for words in ("get_weather", "never asks", "5 s at most", "Tell the weather."))
    assert all(words in said for words in ("city", "string", "required", "<b>it</b>", "integer", "3", '"properties"'))


def test_hostile_names_in_schemas_are_text() -> None:
    schema = {"type": "object", "properties": {HOSTILE: {"type": "string", "description": HOSTILE, "default": HOSTILE}}}
    tool = lk.tool_from({"name": "x", "description": HOSTILE, "parameters": schema})

    assert "<script>" in _text(tool)
    assert "<script>" in _text(toolset_html((tool,), HOSTILE, "closed"))  # type: ignore[arg-type] # only its tools are read


def test_an_agent_shows_what_it_was_made_with(scripted: Callable[..., lk.Session]) -> None:
    def look_up(word: str) -> str:
        """Look a word up."""
        return word

    said = _text(lk.Agent(scripted(), system=f"Be brief. {HOSTILE}", tools=[look_up], temperature=0.25))

    assert all(words in said for words in ("scripted", "Be brief.", "look_up", "word: string", "temperature", "0.25"))


def test_a_result_shows_the_answer_its_calls_and_its_stats(scripted: Callable[..., lk.Session]) -> None:
    def look_up(word: str) -> str:
        """Look a word up."""
        return f"{word} {HOSTILE}"

    session = scripted(
        lk.Answer(tool_calls=[("look_up", {"word": "sky"})]),
        "**Blue**, <script>alert(1)</script>",
        session={"approval": "allow"},
    )
    result = lk.Agent(session, tools=[look_up]).generate("Why?")

    said = _text(result)

    assert all(words in said for words in ("2 steps", "look_up", "success", "sky <script>", "tokens"))
    assert "<strong>Blue</strong>" in result._repr_html_()


def test_a_result_shows_structured_output_as_json(scripted: Callable[..., lk.Session]) -> None:
    result = scripted('{"sky": "blue"}').complete("Why?", output=dict[str, str]).result()

    assert '{"sky": "blue"}' in _text(result)


def test_settings_show_what_was_set_first() -> None:
    said = _text(lk.Settings(temperature=0, stop=(HOSTILE,)))

    assert "2 set" in said
    assert said.index("temperature") < said.index("max_output_tokens")
    assert "0 is greedy decoding" in said
    assert "Time limits" not in said
    assert "all neutral" in _text(lk.Timeouts())


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 bytes"), (93_400_000, "93.4 MB"), (999_900, "1 MB"), (5e12, "5 TB")]
)
def test_sizes_are_in_three_figures(count: int, words: str) -> None:
    assert size(count) == words
