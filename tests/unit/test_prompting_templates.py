"""Conversations with tools, calls and results, as the templates of many families want them."""

from __future__ import annotations

import pytest

from llmkit.errors import ValidationError
from llmkit.messages import Image, Message
from llmkit.prompting.call_ids import accepted_id, call_id
from llmkit.prompting.template import CHATML, ChatTemplate
from llmkit.tools.calls import ToolCall
from llmkit.tools.dialects.base import CallEnded
from llmkit.tools.dialects.detect import dialect_named
from tests.unit.prompting_models import FAMILIES, PLAIN, TURNS, TWO_CALLS, WEATHER


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_shows_the_tools_the_calls_and_their_results(family: str) -> None:
    """CONTRACT 17, 48: what the template writes, the dialect's reader reads back."""
    text = ChatTemplate(FAMILIES[family]).render(TWO_CALLS, tools=WEATHER)
    assert "Current weather for a city." in text
    reader = dialect_named("hermes").reader(WEATHER)
    found = [*reader.feed(text.partition("Let me look.")[2]), *reader.finish()]
    calls = [(part.name, part.arguments) for part in found if isinstance(part, CallEnded)]
    assert calls == [("get_weather", '{"city": "Tokyo"}'), ("get_weather", '{"city": "Oslo"}')]
    assert text.index("Tokyo", text.index("Let me look.")) < text.index("result-22") < text.index("result-3")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_family_can_show_is_found_by_trying(family: str) -> None:
    abilities = ChatTemplate(FAMILIES[family]).abilities
    assert (abilities.tools, abilities.calls, abilities.system) == (True, True, True)
    assert abilities.several == (family.partition(",")[0] not in {"one call a message", "the first call alone"})
    assert abilities.arguments_as_text == family.startswith("arguments as text")


def test_templates_without_tools_are_known_as_such() -> None:
    """CONTRACT 17: a model with no tool dialect."""
    for source in (CHATML, PLAIN):
        abilities = ChatTemplate(source).abilities
        assert (abilities.system, abilities.tools, abilities.calls) == (True, False, False)
    assert ChatTemplate(TURNS).abilities.system is False


def test_a_template_that_takes_no_calls_gets_them_as_the_model_wrote_them() -> None:
    raw = '<|call|>[get_weather(city="Tokyo")]'
    call = ToolCall("1", "get_weather", {"city": "Tokyo"}, raw)
    text = ChatTemplate(PLAIN).render([Message("user", "Hi"), Message("assistant", "Look:", tool_calls=(call,))])
    assert f"<|assistant|>Look:\n{raw}<|end|>" in text


def test_ids_are_kept_where_every_template_takes_them_and_made_anew_where_not() -> None:
    """CONTRACT 26: a call's id is its own, and the same in every prompt."""
    ids = [call_id("run-1", number) for number in range(200)] + [call_id("run-2", 0)]
    assert len(set(ids)) == len(ids)
    assert all(accepted_id(each) == each and each.isalnum() and len(each) == 9 for each in ids)
    assert accepted_id("call_abc") == accepted_id("call_abc") != accepted_id("call_abd")


def test_a_template_that_refuses_says_why() -> None:
    with pytest.raises(ValidationError, match="roles must alternate"):
        ChatTemplate(TURNS).render([Message("user", "a"), Message("user", "b")])


def test_images_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="images"):
        ChatTemplate(CHATML).render([Message("user", (Image("data:x"), "what is it?"))])
