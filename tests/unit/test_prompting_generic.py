"""The format for models that have none of their own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.messages import Message
from llmkit.prompting.prompt import GENERIC_NOTE, Prompting
from llmkit.prompting.template import ChatTemplate
from llmkit.settings import Settings
from llmkit.tools.choice import ToolChoice
from llmkit.tools.dialects.base import CallBegun, CallEnded, CallInput, CallUnreadable, MarkupPart, Part, TextPart
from llmkit.tools.dialects.tape import merged
from llmkit.tools.generic import SPOKEN, GenericDialect
from tests.unit.prompting_models import FAMILIES, PLAIN, TURNS, TWO_CALLS, WEATHER, Templated

CALL = 'Tool: get_weather({"city": "To)ky}o"})'
SNIPPETS = ["Tool: ", "answer", "\n", "get_weather", "(", ")", '{"a": ', '"x"', "}", "{", '"', "\\", "none", "é", " "]


def read(text: str, *, complete: bool = True, size: int | None = None) -> list[Part]:
    reader = GenericDialect().reader(WEATHER)
    size = size or max(1, len(text))
    parts = [part for at in range(0, len(text), size) for part in reader.feed(text[at : at + size])]
    return merged(parts + reader.finish(complete=complete))


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_call_streams_and_ends(size: int) -> None:
    """CONTRACT 12, 16: the marker never leaks, however it is cut."""
    begun, *inputs, ended = read(CALL, size=size)
    assert begun == CallBegun("get_weather")
    assert "".join(part.text for part in inputs if isinstance(part, CallInput)) == '{"city": "To)ky}o"}'
    assert ended == CallEnded("get_weather", '{"city": "To)ky}o"}', CALL)


def test_an_answer_in_words_is_text_without_the_line_before_it() -> None:
    """CONTRACT 16: markers never leak into text."""
    assert read(f"{SPOKEN}Tool: is a word.", size=1) == [MarkupPart(SPOKEN), TextPart("Tool: is a word.")]


def test_several_calls_follow_each_other() -> None:
    parts = read(f"{CALL}\nTool: f()")
    assert [part.name for part in parts if isinstance(part, CallEnded)] == ["get_weather", "f"]


@pytest.mark.parametrize(
    ("text", "name"), [("Tool: get_we", ""), (CALL[:-5], "get_weather"), ("Tool: get_weather(", "get_weather")]
)
def test_a_call_that_is_cut_off_is_unreadable_and_kept(text: str, name: str) -> None:
    """CONTRACT 13: a frame cut off at the end of generation; the raw text is kept."""
    last = read(text, complete=False)[-1]
    assert isinstance(last, CallUnreadable)
    assert (last.raw, last.name) == (text, name)


@pytest.mark.parametrize("text", ["T", "Tool:", "Tool: ans", "Tool: answer"])
def test_a_first_line_that_is_cut_off_says_nothing(text: str) -> None:
    """CONTRACT 16: markers never leak into text."""
    assert not [part for part in read(text, complete=False) if not isinstance(part, MarkupPart)]


def test_arguments_that_are_no_json_are_unreadable_and_the_next_call_is_read() -> None:
    """CONTRACT 13, 15: PARSE_ERROR; neighbouring valid calls are unaffected."""
    parts = read(f"Tool: f(x=1)\n{CALL}")
    assert [part.raw for part in parts if isinstance(part, CallUnreadable)] == ["Tool: f(x=1)"]
    assert [part.raw for part in parts if isinstance(part, CallEnded)] == [CALL]


@given(st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=5), max_size=20).map("".join), st.booleans())
def test_any_text_is_told_whole_however_it_is_cut(text: str, complete: bool) -> None:
    """CONTRACT 13, 16: raw text is never lost, and how it was cut changes nothing."""
    parts = read(text, complete=complete)
    told = "".join(part.text for part in parts if isinstance(part, TextPart | MarkupPart))
    raw = "".join(part.raw for part in parts if isinstance(part, CallEnded | CallUnreadable))
    assert sorted(told + raw) == sorted(text)
    assert read(text, complete=complete, size=1) == parts


def test_calls_and_results_of_the_past_are_shown_in_turns() -> None:
    """CONTRACT 17, 48: tool results reach a model whose template has no place for them."""
    for template in (PLAIN, TURNS):
        shown = GenericDialect().messages(TWO_CALLS, WEATHER, system=template is PLAIN)
        text = ChatTemplate(template).render(shown)
        assert "get_weather(city: string) - Current weather for a city." in text
        assert "Be brief." in text
        assert 'Let me look.\nTool: get_weather({"city": "Tokyo"})\nTool: get_weather({"city": "Oslo"})<|end|>' in text
        assert "get_weather is done. Result: result-22\nget_weather is done. Result: result-3<|end|>" in text


def test_an_answer_comes_back_as_the_model_wrote_it() -> None:
    """CONTRACT 9: so that the next turn finds it in the cache."""
    said = (Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "Bye"))
    assert GenericDialect().messages(said, WEATHER)[-2].content == f"{SPOKEN}Hello."
    assert GenericDialect().messages(said, ())[-2].content == "Hello."


def test_the_generic_way_is_told_and_its_answer_always_bound() -> None:
    """CONTRACT 17: a model with no tool dialect says that it calls tools the generic way."""
    prompting = Prompting(Templated(PLAIN))
    prompt = prompting.prompt(TWO_CALLS, Settings(), WEATHER)
    assert GENERIC_NOTE in prompt.notes
    assert prompt.constraint is not None
    free = prompting.prompt(TWO_CALLS, Settings(), WEATHER, ToolChoice("none"))
    assert (free.notes, free.constraint) == ((), None)


def test_a_dialect_of_its_own_is_found_in_the_template_and_can_be_chosen() -> None:
    """CONTRACT 17: detected from the template, overridable."""
    prompting = Prompting(Templated(FAMILIES["qwen"]))
    assert prompting.dialect.name == "hermes"
    prompt = prompting.prompt(TWO_CALLS, Settings(), WEATHER)
    assert (prompt.notes, prompt.constraint) == ((), None)
    assert Prompting(Templated(FAMILIES["qwen"]), GenericDialect()).dialect.name == "generic"
