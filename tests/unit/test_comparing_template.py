from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit as lk
from llmkit.comparing.template import template_from
from llmkit.messages import messages_from

hostile = st.text() | st.sampled_from(["{x}", "{{x}}", "{0.__class__}", "{x!r}", "}{", "%s", "$x"])


@given(before=hostile, value=hostile, after=hostile)
def test_values_and_doubled_braces_come_out_as_they_went_in(before: str, value: str, after: str) -> None:
    def doubled(text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}")

    template = template_from(f"{doubled(before)}{{x}}{doubled(after)}")
    assert template.fields == ("x",)
    assert template.fill({"x": value}) == before + value + after


@given(text=hostile)
def test_a_template_is_read_or_refused_by_name_and_never_reaches_into_values(text: str) -> None:
    class Secret:
        key = "hunter2"

        def __str__(self) -> str:
            return "shown"

    try:
        template = template_from(text)
    except lk.ValidationError:
        return
    assert all(name.isidentifier() for name in template.fields)
    assert "hunter2" not in str(template.fill(dict.fromkeys(template.fields, Secret())))


@pytest.mark.parametrize(
    "text", ["{x.key}", "{x[0]}", "{x!r}", "{x:>9}", "{0}", "{}", "a { b", "a } b", "{a b}", "{{x}"]
)
def test_anything_but_a_plain_name_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(lk.ValidationError, match="written twice"):
        template_from(text)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_field_without_a_value_is_named(value: Any) -> None:
    with pytest.raises(lk.ValidationError, match=r"\{who\}") as caught:
        template_from("For {who}").fill({"who": value})
    assert caught.value.field == "who"


def test_a_conversation_is_filled_in_the_texts_of_all_its_messages() -> None:
    template = template_from(
        [
            {"role": "system", "content": "You are {persona}."},
            {"role": "assistant", "content": "I am {persona}."},
            {"role": "user", "content": [{"type": "text", "text": "See {what}"}, lk.Image("https://x.org/{what}")]},
        ]
    )
    assert template.fields == ("persona", "what")
    system, assistant, user = messages_from(template.fill({"persona": "a {cat}", "what": "this"}))
    assert system.text == "You are a {cat}."
    assert assistant == lk.Message("assistant", "I am a {cat}.")
    assert user.content == ("See this", lk.Image("https://x.org/{what}"))


def test_a_functions_parameters_are_its_fields_and_its_result_is_no_template() -> None:
    def ask(topic: str, tone: str = "plain") -> str:
        return f"{{{topic}}} in a {tone} tone"

    template = template_from(ask)
    assert template.fields == ("topic", "tone")
    assert template.fill({"topic": "DNA"}) == "{DNA} in a plain tone"
