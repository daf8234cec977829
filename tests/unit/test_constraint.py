"""The grammar of an answer: what it lets a model write, and what it refuses before decoding."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from llguidance import LLMatcher, LLTokenizer
from pydantic import BaseModel, Field

from llmkit.errors import ValidationError
from llmkit.prompting.arguments import bound
from llmkit.prompting.constraint import Thought, answer_rules, check_grammar, constraint
from llmkit.prompting.splitter import Markers
from llmkit.tools.choice import ToolChoice, tools_from
from llmkit.tools.dialects.detect import dialect_named
from llmkit.tools.generic import SPOKEN, GenericDialect
from tests.unit.prompting_models import WEATHER, get_weather

if TYPE_CHECKING:
    from llmkit.tools.tool import Tool

WEATHER_CALL = 'Tool: get_weather({"city": "Tokyo"})'
NOTE_CALL = 'Tool: note({"text": "x"})'


def note(text: str) -> None:
    """Note."""


class Item(BaseModel):
    price: Annotated[int, Field(ge=2, le=5)]


BOTH = tools_from([get_weather, note])


def fits(grammar: str, text: str) -> bool:
    matcher = LLMatcher(LLTokenizer("byte"), grammar, log_level=0)
    written = list(text.encode())
    return bool(matcher.try_consume_tokens(written) == len(written) and matcher.is_accepting())


def rules(choice: ToolChoice, tools: tuple[Tool, ...] = BOTH, dialect: Any = None, room: int = 500) -> str:
    found = answer_rules(dialect or GenericDialect(), tools, choice, room=room)
    assert found is not None
    return found


def grammar(choice: ToolChoice, tools: tuple[Tool, ...] = BOTH, **options: Any) -> str:
    return constraint(rules(choice, tools, **options), ends=(0,)).grammar


def raw_tool(**keywords: Any) -> Tool:
    schema = {"type": "object", "properties": {"a": keywords}, "required": ["a"], "additionalProperties": False}
    return tools_from([{"name": "f", "parameters": schema}])[0]


def test_required_is_one_call_or_more_and_nothing_else() -> None:
    """CONTRACT 18: required is enforced."""
    required = grammar(ToolChoice("required"))
    assert fits(required, WEATHER_CALL)
    assert fits(required, f"{NOTE_CALL}\n{WEATHER_CALL}")
    assert not fits(required, f"{SPOKEN}Hello")
    assert not fits(required, f"Well: {WEATHER_CALL}")
    assert not fits(required, 'Tool: get_weather({"town": "Tokyo"})')


def test_calls_come_to_an_end() -> None:
    """CONTRACT 18: a model that never stops calling is stopped."""
    assert not fits(grammar(ToolChoice("required")), "\n".join([NOTE_CALL] * 100))


def test_a_named_tool_is_called_once_and_alone() -> None:
    """CONTRACT 18: a named tool is enforced."""
    named = grammar(ToolChoice("named", "get_weather"))
    assert fits(named, WEATHER_CALL)
    assert not fits(named, NOTE_CALL)
    assert not fits(named, f"{WEATHER_CALL}\n{WEATHER_CALL}")


def test_with_auto_the_generic_format_lets_words_or_valid_calls_through() -> None:
    """CONTRACT 17: a generic prompt plus constrained decoding."""
    auto = grammar(ToolChoice())
    assert fits(auto, f"{SPOKEN}Anything at all.\n\nTool: f")
    assert fits(auto, WEATHER_CALL)
    assert not fits(auto, 'Tool: weather({"city": "Tokyo"})')
    assert not fits(auto, "Words without a line before them.")


def test_with_auto_a_model_with_a_format_of_its_own_is_free() -> None:
    assert answer_rules(dialect_named("hermes"), BOTH, ToolChoice(), room=500) is None
    assert answer_rules(GenericDialect(), BOTH, ToolChoice("none"), room=500) is None


@pytest.mark.parametrize("dialect", ["hermes", "llama3", "mistral"])
def test_required_binds_in_a_dialect_of_the_models_own(dialect: str) -> None:
    """CONTRACT 18: whatever the dialect, free words don't fit."""
    required = grammar(ToolChoice("required"), dialect=dialect_named(dialect))
    assert not fits(required, "Hello!")
    if dialect == "hermes":
        assert fits(required, '<tool_call>\n{"name": "note", "arguments": {"text": "x"}}\n</tool_call>')


def test_reasoning_comes_first_and_only_once() -> None:
    """CONTRACT 16, 18: what looks like a call in the reasoning isn't the required one."""
    binding = rules(ToolChoice("required"))
    whole = constraint(binding, ends=(0,), thought=Thought(Markers(), open=False))
    assert fits(whole.grammar, f"<think>Hm. {WEATHER_CALL}</think>\n\n{WEATHER_CALL}")
    assert fits(whole.grammar, WEATHER_CALL)
    assert not fits(whole.grammar, f"<think>Hm.</think>{WEATHER_CALL}</think>{WEATHER_CALL}")
    opened = constraint(binding, ends=(0,), thought=Thought(Markers(), open=True))
    assert fits(opened.grammar, f"Hm.</think>{WEATHER_CALL}")
    assert not fits(opened.grammar, WEATHER_CALL)
    assert fits(opened.answer, WEATHER_CALL)
    assert not fits(opened.answer, f"Hm.</think>{WEATHER_CALL}")


def test_control_tokens_are_named_by_id() -> None:
    whole = constraint(
        rules(ToolChoice("required")), ends=(7, 8), thought=Thought(Markers(), open=False), token=lambda _: "<[5]>"
    )
    assert "<[5]>" in whole.grammar
    assert "<[7]> | <[8]>" in whole.grammar
    assert "think" not in whole.grammar


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "uniqueItems"),
        ({"not": {"type": "string"}}, "not"),
        ({"type": "string", "pattern": "(?=a)b"}, "lookaround"),
    ],
)
def test_a_schema_that_cant_be_enforced_is_refused_by_tool_and_keyword(keywords: dict[str, Any], said: str) -> None:
    """CONTRACT 18, 50: before decoding, naming the keyword."""
    tool = raw_tool(**keywords)
    with pytest.raises(ValidationError, match=f"'f'.*{said}") as caught:
        answer_rules(GenericDialect(), (tool,), ToolChoice("required"), room=500)
    assert caught.value.field == "tools"


def test_with_auto_such_a_schema_is_left_to_the_check_afterwards() -> None:
    """CONTRACT 14: a violation of the schema is found when the call is read."""
    tool = raw_tool(type="array", items={"type": "integer"}, uniqueItems=True)
    auto = grammar(ToolChoice(), (tool,))
    assert fits(auto, 'Tool: f({"a": [1, 1]})')


def test_bounds_of_numbers_enums_and_lists_bind() -> None:
    """CONTRACT 18: ranges, enums, nesting."""

    def order(items: Annotated[list[Item], Field(min_length=1, max_length=2)]) -> None:
        """Order."""

    named = grammar(ToolChoice("named", "order"), tools_from([order]))
    assert fits(named, 'Tool: order({"items": [{"price": 5}]})')
    for items in ([], [{"price": 6}], [{"price": 2}] * 3, [{"price": 2, "more": 1}]):
        assert not fits(named, f"Tool: order({json.dumps({'items': items})})")


def test_texts_lists_and_numbers_end_within_the_room_there_is() -> None:
    """CONTRACT 18: a model that goes on for ever still makes a call that can be read."""

    def mail(to: Annotated[str, Field(max_length=9000)], body: str, tags: list[int], *, copies: int = 1) -> None:
        """Send."""

    (tool,) = tools_from([mail])
    properties = bound(tool, 400).parameters["properties"]
    assert properties["to"]["maxLength"] == 9000
    assert properties["body"]["maxLength"] <= 400
    assert 8 <= properties["tags"]["maxItems"] <= 400
    assert (properties["copies"]["minimum"], properties["copies"]["maximum"]) == (1 - 2**53, 2**53 - 1)
    assert "maxLength" not in tool.parameters["properties"]["body"]
    assert bound(tool, -5).parameters["properties"]["body"]["maxLength"] > 0


def test_a_mapping_ends_too() -> None:
    """CONTRACT 18: a model that adds key after key still makes a call that can be read."""

    def point(p: dict[str, float]) -> None:
        """Set."""

    named = grammar(ToolChoice("named", "point"), tools_from([point]))
    few, many = ({str(key): 1 for key in range(count)} for count in (3, 50))
    assert fits(named, f"Tool: point({json.dumps({'p': few})})")
    assert not fits(named, f"Tool: point({json.dumps({'p': many})})")


def test_a_schema_that_can_be_enforced_has_no_problem() -> None:
    assert [bound(tool, 500).name for tool in WEATHER] == ["get_weather"]


def test_a_grammar_that_cant_be_read_is_refused() -> None:
    """CONTRACT 50: llama.cpp goes on without a grammar that it can't read, so it is checked before."""
    with pytest.raises(ValidationError, match="grammar can't be used"):
        check_grammar("start: nowhere")
