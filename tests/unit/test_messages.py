"""Messages: what is taken, what comes out, what is pruned."""

from __future__ import annotations

import pytest

import llmkit as lk
from llmkit.messages import messages_from
from llmkit.prompting.template import ChatTemplate
from llmkit.tools.calls import ToolCall

CALL = ToolCall("call-1", "get_weather", {"city": "Tōkyō"})
TALK = (
    lk.Message("system", "Be kind."),
    lk.Message("user", ("Look: ", lk.Image("data:image/png;base64,AA=="))),
    lk.Message("assistant", "", reasoning="Hm.", tool_calls=(CALL,)),
    lk.Message("tool", "22 °C", tool_call_id="call-1", name="get_weather"),
    lk.Message("assistant", "It is 22 °C."),
)


@pytest.mark.parametrize("message", TALK)
def test_messages_survive_the_round_trip_through_dictionaries(message: lk.Message) -> None:
    """CONTRACT 48: text, images, tool calls and results, reasoning."""
    assert lk.Message.from_dict(message.to_dict()) == message


def test_a_text_is_one_user_message() -> None:
    assert messages_from("Hi") == (lk.Message("user", "Hi"),)


def test_a_system_message_given_replaces_the_one_there() -> None:
    first, *rest = messages_from(TALK, system="Be brief.")
    assert first == lk.Message("system", "Be brief.")
    assert all(message.role != "system" for message in rest)


def test_a_default_system_message_yields_to_the_conversations_own() -> None:
    assert messages_from(TALK, default_system="Be brief.") == TALK
    assert messages_from("Hi", default_system="Be brief.")[0] == lk.Message("system", "Be brief.")


def test_pruning_drops_old_reasoning_and_tool_traffic() -> None:
    """CONTRACT 48: a helper prunes old reasoning and tool traffic."""
    assert lk.prune(TALK) == [TALK[0], TALK[1], TALK[4]]
    assert lk.prune(TALK, keep_last=3) == list(TALK)
    assert [message.reasoning for message in lk.prune(TALK, tools=False)] == [""] * 5


def test_a_template_sees_arguments_as_values() -> None:
    template = ChatTemplate(
        "{% for message in messages %}{% for call in message.tool_calls or () %}{{ call.function.name }}: "
        "{% for name, value in call.function.arguments.items() %}{{ name }} is {{ value }}{% endfor %}{% endfor %}"
        "{% endfor %}"
    )
    assert template.render([TALK[2]]).endswith(": city is Tōkyō")


def test_a_template_that_refuses_says_why() -> None:
    template = ChatTemplate("{{ raise_exception('no system messages here') }}")
    with pytest.raises(lk.ValidationError, match="no system messages here"):
        template.render([TALK[0]])


def test_images_are_refused_by_a_model_that_reads_text() -> None:
    """CONTRACT 48: images where the model can."""
    with pytest.raises(lk.ValidationError, match="text only"):
        ChatTemplate("x").render([TALK[1]])


@pytest.mark.parametrize("source", ["{{ messages.__class__.__mro__ }}", "{{ ''.__class__.__base__.__subclasses__() }}"])
def test_a_hostile_template_stays_in_its_sandbox(source: str) -> None:
    with pytest.raises(lk.ValidationError):
        ChatTemplate(source).render([TALK[0]])


def test_a_broken_template_is_a_clear_error() -> None:
    with pytest.raises(lk.ValidationError, match="template"):
        ChatTemplate("{% for %}")
