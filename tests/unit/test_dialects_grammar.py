"""What the grammars let through, each dialect's reader reads as a call of the tool, with arguments that fit."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - the tool below is made of its annotations
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from llmkit.errors import ValidationError
from llmkit.tools.define import tool_from
from llmkit.tools.dialects.base import CallBegun, CallEnded, CallInput, MarkupPart, ReasoningPart
from llmkit.tools.dialects.detect import DIALECTS, dialect_named
from tests.unit.dialects.reading import TOOLS, read, written

if TYPE_CHECKING:
    from llmkit.tools.dialects.base import Dialect
    from llmkit.tools.tool import Tool

BYTES = LLTokenizer("byte")
NAMES = sorted(DIALECTS)
ENDINGS = (
    *('"', '"}', "}", "]", ")", "\n</parameter>", "</parameter>", "</arg_value>", "</longcat_arg_value>", "</param>"),
    *("</atem:parameter>", "</｜DSML｜parameter>", '<|"|>', "<escape>", "<|end|>"),
)


def matcher(dialect: Dialect, tools: tuple[Tool, ...], *, many: bool = False) -> Any:
    grammar = "start: calls\n" + dialect.grammar(tools, many=many)
    assert LLMatcher.validate_grammar(grammar, BYTES) == ""
    return LLMatcher(BYTES, grammar, log_level=0)


def accepts(dialect: Dialect, text: str, *, many: bool = False, tools: tuple[Tool, ...] = TOOLS) -> bool:
    watch = matcher(dialect, tools, many=many)
    return bool(watch.consume_tokens(BYTES.tokenize_bytes(text.encode())) and watch.is_accepting())


def walk(watch: Any, chance: random.Random, most: int = 1500) -> str | None:
    """Return a text that the grammar accepts, written byte by byte at random; ``None`` if it doesn't come to an end."""
    text = bytearray()
    while len(text) < most:
        mask = int.from_bytes(watch.compute_bitmask(), "little")
        allowed = [byte for byte in range(256) if mask >> byte & 1]
        if watch.is_accepting() and (not allowed or chance.random() < 0.5):
            return text.decode()
        step = _ending(watch, chance) if len(allowed) > 20 and chance.random() < 0.3 else b""
        if not step:
            plain = [byte for byte in allowed if 32 <= byte < 127] or allowed
            step = bytes([chance.choice(plain if chance.random() < 0.9 else allowed)])
        assert watch.consume_tokens(list(step))
        text += step
    return None


def _ending(watch: Any, chance: random.Random) -> bytes:
    """Return an end of a text that may come next, if one may."""
    for ending in chance.sample(ENDINGS, len(ENDINGS)):
        encoded = ending.encode()
        if watch.validate_tokens(list(encoded)) == len(encoded):
            return encoded
    return b""


PLAIN = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 2, "maxLength": 5},
        {"type": "string", "minLength": 3},
        {"type": "string", "enum": ["red", "blue green", "</parameter>"]},
        {"type": "string", "enum": ["celsius", "fahrenheit"]},
        {"type": "string", "const": "fixed"},
        {"type": "string", "pattern": "^[a-z]{2}-[0-9]+$"},
        {"type": "string", "format": "ipv4"},
        {"type": "string", "format": "uuid"},
        {"type": "string", "format": "password"},
        {"type": "integer"},
        {"type": "integer", "minimum": -3, "maximum": 12},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1.5},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["one", 1, None, True]},
        {"const": 3},
        {"$ref": "#/$defs/Colour"},
        {"$ref": "#/$defs/Place"},
        {"$ref": "#/$defs/Word"},
    ]
)
SCHEMAS = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item, "maxItems": 3}, inner),
        st.builds(lambda one: {"anyOf": [one, {"type": "null"}], "default": None}, inner),
        st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner),
        st.builds(
            lambda one, other: {
                "type": "object",
                "properties": {"a": one, "b": other},
                "required": ["b"],
                "additionalProperties": False,
            },
            inner,
            inner,
        ),
    ),
    max_leaves=3,
)
DEFINITIONS = {
    "Colour": {"enum": ["red", "green"], "type": "string"},
    "Word": {"type": "string", "title": "Word"},
    "Place": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "within": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


@st.composite
def tools(draw: st.DrawFn) -> Tool:
    names = draw(st.lists(st.sampled_from(["city", "days", "unit", "x_1", "naïve"]), unique=True, max_size=3))
    properties = {name: draw(SCHEMAS) for name in names}
    required = [name for name in names if draw(st.booleans())]
    schema = {"type": "object", "properties": properties, "required": required, "$defs": DEFINITIONS}
    return tool_from({"name": "act", "description": "Acts.", "parameters": schema})


@given(st.sampled_from(NAMES), tools(), st.integers(0, 2**32), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_what_a_grammar_accepts_is_read_as_calls_that_fit(name: str, tool: Tool, seed: int, many: bool) -> None:
    """CONTRACT 18: constrained, a model can't fail to yield a schema-valid call."""
    dialect = dialect_named(name)
    text = walk(matcher(dialect, (tool,), many=many), random.Random(seed))  # noqa: S311 - no secret
    assume(text is not None)
    assert text is not None
    parts = read(dialect, [text], tools=[tool])
    ends = [part for part in parts if isinstance(part, CallEnded)]
    assert ends, parts
    assert many or len(ends) == 1
    for end in ends:
        assert end.name == "act"
        tool.validate(end.arguments)
    assert all(isinstance(part, CallBegun | CallInput | CallEnded | MarkupPart | ReasoningPart) for part in parts)
    assert written(parts) == text


def meet(day: dt.date, at: dt.time, until: dt.datetime) -> None:
    """Meet."""


@pytest.mark.parametrize("name", ["hermes", "qwen3-coder"])
def test_dates_and_times_are_ones_that_python_has(name: str) -> None:
    """CONTRACT 18: no year 0, no 60th second, no 29 February in other years than leap years."""
    tool = tool_from(meet)
    watch = matcher(dialect_named(name), (tool,))
    for seed in range(100):
        text = walk(watch.deep_copy(), random.Random(seed))  # noqa: S311 - no secret
        assert text is not None
        (end,) = (part for part in read(dialect_named(name), [text], tools=[tool]) if isinstance(part, CallEnded))
        tool.validate(end.arguments)


@pytest.mark.parametrize(("year", "leap"), [("2024", True), ("2000", True), ("2023", False), ("1900", False)])
def test_the_29th_of_february_is_there_in_leap_years(year: str, leap: bool) -> None:
    text = f'<tool_call>\n{{"name": "meet", "arguments": {{"day": "{year}-02-29"'
    watch = matcher(dialect_named("hermes"), (tool_from(meet),))
    assert (watch.validate_tokens(BYTES.tokenize_bytes(text.encode())) == len(text)) is leap


TOKYO = {
    "hermes": '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Tokyo"}}\n</tool_call>',
    "mistral": '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Tokyo"}}]',
    "mistral-args": '[TOOL_CALLS]get_weather[ARGS]{"city": "Tokyo"}',
    "llama3": '{"name": "get_weather", "parameters": {"city": "Tokyo"}}',
    "granite": '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Tokyo"}}]',
    "phi4": '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Tokyo"}}]<|/tool_call|>',
    "functools": 'functools[{"name": "get_weather", "arguments": {"city": "Tokyo"}}]',
    "nemotron": '<TOOLCALL>[{"name": "get_weather", "arguments": {"city": "Tokyo"}}]</TOOLCALL>',
    "apriel": '<tool_calls>[{"name": "get_weather", "arguments": {"city": "Tokyo"}}]</tool_calls>',
    "minimax-m1": '<tool_calls>\n{"name": "get_weather", "arguments": {"city": "Tokyo"}}\n</tool_calls>',
    "command-r7b": '<|START_ACTION|>[{"tool_name": "get_weather", "parameters": {"city": "Tokyo"}}]<|END_ACTION|>',
    "kimi-k2": "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
    '{"city": "Tokyo"}<|tool_call_end|><|tool_calls_section_end|>',
    "deepseek-v3": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
    '{"city": "Tokyo"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "deepseek-v3.1": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>"
    '{"city": "Tokyo"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "deepseek-v3.2": '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n'
    '<｜DSML｜parameter name="city" string="true">Tokyo</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    "deepseek-v4": '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="get_weather">\n'
    '<｜DSML｜parameter name="city" string="true">Tokyo</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
    "functionary": '<function=get_weather>{"city": "Tokyo"}</function>',
    "qwen3-coder": "<tool_call>\n<function=get_weather>\n<parameter=city>\nTokyo\n</parameter>\n</function>\n"
    "</tool_call>",
    "seed-oss": "<seed:tool_call>\n<function=get_weather>\n<parameter=city>Tokyo</parameter>\n</function>\n"
    "</seed:tool_call>",
    "glm-4.5": "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Tokyo</arg_value>\n</tool_call>",
    "glm-4.7": "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Tokyo</arg_value></tool_call>",
    "longcat": "<longcat_tool_call>get_weather\n<longcat_arg_key>city</longcat_arg_key>\n"
    "<longcat_arg_value>Tokyo</longcat_arg_value>\n</longcat_tool_call>",
    "minimax-m2": '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Tokyo</parameter>\n'
    "</invoke>\n</minimax:tool_call>",
    "muse": '<atem:function_calls>\n<atem:invoke name="get_weather">\n'
    '<atem:parameter name="city">Tokyo</atem:parameter>\n</atem:invoke>\n</atem:function_calls>',
    "minicpm5": '<function name="get_weather"><param name="city">Tokyo</param></function>',
    "gemma4": '<|tool_call>call:get_weather{city:<|"|>Tokyo<|"|>}<tool_call|>',
    "function-gemma": "<start_function_call>call:get_weather{city:<escape>Tokyo<escape>}<end_function_call>",
    "pythonic": '[get_weather(city="Tokyo")]',
    "lfm2": '<|tool_call_start|>[get_weather(city="Tokyo")]<|tool_call_end|>',
    "harmony": '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Tokyo"}',
}


@pytest.mark.parametrize("name", NAMES)
def test_a_grammar_accepts_the_call_as_the_model_is_taught_it(name: str) -> None:
    """CONTRACT 18: in the model's own dialect."""
    assert accepts(dialect_named(name), TOKYO[name])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("was", "becomes"), [("get_weather", "get_whether"), ("city", "town"), ("", "Sure! ")])
def test_a_grammar_refuses_all_else(name: str, was: str, becomes: str) -> None:
    """CONTRACT 18: neither another tool, nor another parameter, nor words before the call."""
    assert not accepts(dialect_named(name), TOKYO[name].replace(was, becomes, 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_grammar_lets_a_required_parameter_not_be_left_out(name: str) -> None:
    """CONTRACT 18: the arguments fit the schema."""
    ends = matcher(dialect_named(name), TOOLS)
    begun = TOKYO[name].partition("Tokyo")[0]
    assert ends.consume_tokens(BYTES.tokenize_bytes(begun.encode()))
    assert not ends.is_accepting()


@pytest.mark.parametrize("name", [each for each in NAMES if each != "harmony"])
def test_one_call_or_several(name: str) -> None:
    """CONTRACT 18: a named tool is called once; of required ones there may be several."""
    one = matcher(dialect_named(name), TOOLS)
    several = matcher(dialect_named(name), TOOLS, many=True)
    chance = random.Random(0)  # noqa: S311 - no secret
    assert accepts(dialect_named(name), TOKYO[name], many=True)
    counts = set()
    for seed in range(40):
        chance.seed(seed)
        text = walk(several.deep_copy(), chance, 4000)
        if text is not None:
            counts.add(sum(isinstance(part, CallEnded) for part in read(dialect_named(name), [text])))
    assert len(counts) > 1
    text = walk(one, chance)
    assert text is None or sum(isinstance(part, CallEnded) for part in read(dialect_named(name), [text])) == 1


def test_a_control_token_stands_in_a_grammar_by_its_id() -> None:
    """CONTRACT 17: markers that are control tokens are no text."""
    asked: list[str] = []

    def token(marker: str) -> str:
        asked.append(marker)
        return f"<[{len(asked)}]>"

    for name in NAMES:
        asked.clear()
        grammar = dialect_named(name).grammar(TOOLS, many=True, token=token)
        assert LLMatcher.validate_grammar("start: calls\n" + grammar, BYTES) == ""
        assert set(asked) <= set(dialect_named(name).markers)
        assert not any(f'"{marker}"' in grammar for marker in asked)


@pytest.mark.parametrize("name", NAMES)
def test_rules_keep_to_their_own_names(name: str) -> None:
    """They go into a larger grammar."""
    lines = [line for line in dialect_named(name).grammar(TOOLS, many=True).splitlines() if line.strip()]
    heads = [line.partition(":")[0].partition("[")[0] for line in lines]
    assert heads.count("calls") == 1
    assert all(head == "calls" or head.startswith(("calls_", "CALLS_")) for head in heads)
    assert len(set(heads)) == len(heads)


@pytest.mark.parametrize("name", ["qwen3-coder", "pythonic", "gemma4"])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"type": "object", "properties": {"a b\n>": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/b"}, "b": {"type": "string"}}},
    ],
)
def test_a_schema_that_can_not_be_bound_is_refused_by_name(name: str, schema: dict[str, Any]) -> None:
    tool = tool_from({"name": "odd", "parameters": json.loads(json.dumps(schema))})
    with pytest.raises(ValidationError, match="odd"):
        dialect_named(name).grammar([tool], many=False)
