"""What models wrote, read: real outputs and templates' own examples, and what the contract says of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmkit.tools.dialects.base import (
    CallBegun,
    CallEnded,
    CallInput,
    CallUnreadable,
    MarkupPart,
    ReasoningPart,
    TextPart,
)
from llmkit.tools.dialects.detect import DIALECTS, dialect_named
from tests.unit.dialects.reading import TOOLS, calls, read, text_of, written

OUTPUTS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "dialects" / "outputs.json").read_text("utf-8"))
HERMES = dialect_named("hermes")


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output["dialect"])
def test_what_models_wrote_is_read(output: dict[str, Any]) -> None:
    """CONTRACT 17: dialects."""
    dialect = dialect_named(output["dialect"])
    parts = read(dialect, list(output["text"]))
    assert calls(parts) == [tuple(call) for call in output["calls"]]
    assert text_of(parts) == output["said"]
    assert sum(isinstance(part, CallUnreadable) for part in parts) == output["errors"]
    assert "".join(part.text for part in parts if isinstance(part, ReasoningPart)) == output["reasoning"]
    assert written(parts) == output["text"]


def test_every_dialect_has_an_output() -> None:
    assert {output["dialect"] for output in OUTPUTS} == set(DIALECTS)


CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'


def test_a_call_shows_as_it_is_written() -> None:
    """The name comes as soon as it is known, then the arguments as they grow."""
    reader = HERMES.reader(TOOLS)
    assert reader.feed('<tool_call>{"name": "get_wea') == []
    assert reader.feed('ther"') == [CallBegun("get_weather")]
    assert reader.feed(', "arguments": {"ci') == [CallInput('{"ci')]
    assert reader.feed('ty": "Par') == [CallInput('ty": "Par')]
    assert reader.feed('is"}}</tool_') == [CallInput('is"}')]
    ended = reader.feed("call> Done")
    raw = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
    assert ended == [CallEnded("get_weather", '{"city": "Paris"}', raw), MarkupPart(" "), TextPart("Done")]


@pytest.mark.parametrize("name", ["qwen3-coder", "lfm2", "gemma4", "kimi-k2", "harmony"])
def test_arguments_grow_in_every_family(name: str) -> None:
    text = next(output["text"] for output in OUTPUTS if output["dialect"] == name and output["calls"])
    reader = dialect_named(name).reader(TOOLS)
    pieces = [reader.feed(character) for character in text]
    found = [part for piece in pieces for part in piece]
    first = found[: next(place for place, part in enumerate(found) if isinstance(part, CallEnded))]
    inputs = [part.text for part in first if isinstance(part, CallInput)]
    assert len(inputs) > 10
    assert "".join(inputs) in text


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("{}", "names no tool"),
        ('{"name": "", "arguments": {}}', "names no tool"),
        ('{"arguments": {}}', "names no tool"),
        ('{"name": "get_weather"}', "no arguments"),
        ('{"name": "a", "name": "b", "arguments": {}}', "twice"),
        ('{"name": "a", "arguments": {}, "parameters": {}}', "twice"),
        ('{"name": "a", "arguments": {"x": 1}', "'<'"),
        ("{'name': 'a'}", "key"),
        ("get_weather()", "where a call belongs"),
        ('{"name": "a", "arguments": {]}}', "']'"),
        ('{"name": "a", "arguments": {}} and so on', "after its end"),
        ('{"name": "\\ud800", "arguments": {}}', "Unicode"),
        ('{"name": "a\\q", "arguments": {}}', "no JSON text"),
        ('{"name": "a, "arguments": {}}', "after a value"),
        ('{"name": "a', "no JSON text"),
    ],
)
def test_a_frame_that_is_no_call_is_unreadable_with_its_text(frame: str, message: str) -> None:
    """CONTRACT 13: bad JSON, missing name or arguments, empty frame; the raw text is kept."""
    text = f"<tool_call>{frame}</tool_call>"
    found = [part for part in read(HERMES, list(text + CALL)) if isinstance(part, CallUnreadable | CallEnded)]
    assert [type(part) for part in found] == [CallUnreadable, CallEnded]
    unreadable = found[0]
    assert isinstance(unreadable, CallUnreadable)
    assert unreadable.raw == text
    assert message in unreadable.message


@pytest.mark.parametrize("output", [each for each in OUTPUTS if each["calls"]], ids=lambda output: output["dialect"])
def test_a_call_that_is_cut_off_is_unreadable_with_its_text(output: dict[str, Any]) -> None:
    """CONTRACT 13: a frame cut off at the end of generation."""
    dialect = dialect_named(output["dialect"])
    text = output["text"]
    for end in range(len(text)):
        parts = read(dialect, [text[:end]], complete=False)
        assert written(parts) == text[:end]
        assert calls(parts) == [tuple(call) for call in output["calls"]][: len(calls(parts))]
        begun = sum(isinstance(part, CallBegun) for part in parts)
        ended = sum(isinstance(part, CallEnded) for part in parts)
        unreadable = sum(isinstance(part, CallUnreadable) for part in parts)
        assert begun <= ended + unreadable


def test_a_call_whose_closing_is_missing_counts_if_the_model_ended_by_itself() -> None:
    """CONTRACT 13: cut off is what ended by length or a cancel."""
    text = CALL.removesuffix("\n</tool_call>")
    assert calls(read(HERMES, [text])) == [("get_weather", {"city": "Paris"})]
    (cut,) = (part for part in read(HERMES, [text], complete=False) if not isinstance(part, CallBegun | CallInput))
    assert cut == CallUnreadable("It was cut off before its end.", text, "get_weather")


def test_the_end_marker_within_a_text_does_not_end_a_call() -> None:
    text = '<tool_call>{"name": "note", "arguments": {"text": "</tool_call>\\"<tool_call>"}}</tool_call>'
    assert calls(read(HERMES, list(text))) == [("note", {"text": '</tool_call>"<tool_call>'})]
    harmony = '<|channel|>commentary to=functions.note json<|message|>{"text": "<|end|>"}<|call|>'
    assert calls(read(dialect_named("harmony"), list(harmony))) == [("note", {"text": "<|end|>"})]
    coder = '<function=note>\n<parameter=tags>\n["</parameter></function>"]\n</parameter>\n</function>'
    assert calls(read(dialect_named("qwen3-coder"), list(coder))) == [("note", {"tags": ["</parameter></function>"]})]


def test_a_text_that_never_closes_does_not_take_the_next_call_with_it() -> None:
    """CONTRACT 15: neighbouring valid calls are unaffected."""
    broken = '<tool_call>{"name": "note", "arguments": {"text": "oh}}</tool_call>'
    parts = read(HERMES, [broken, CALL])
    assert calls(parts) == [("get_weather", {"city": "Paris"})]
    assert [part.raw for part in parts if isinstance(part, CallUnreadable)] == [broken]


def test_empty_arguments_are_empty() -> None:
    """CONTRACT 14: empty-string arguments count as {}."""
    assert calls(read(HERMES, ['<tool_call>{"name": "note", "arguments": ""}</tool_call>'])) == [("note", {})]


def test_arguments_stay_the_text_that_the_model_wrote() -> None:
    """So that what is twice in them is still twice for whoever reads them strictly."""
    written_twice = '{"a": 1, "a": 2}'
    parts = read(HERMES, [f'<tool_call>{{"name": "note", "arguments": {written_twice}}}</tool_call>'])
    assert [part.arguments for part in parts if isinstance(part, CallEnded)] == [written_twice]


@pytest.mark.parametrize("extra", ['"id": "c1", "type": "function", ', '"thought": {"why": ["x", null]}, '])
def test_further_keys_of_a_call_are_read_over(extra: str) -> None:
    text = f'<tool_call>{{{extra}"name": "note", "arguments": {{"text": "a"}}}}</tool_call>'
    assert calls(read(HERMES, list(text))) == [("note", {"text": "a"})]


def test_openais_form_of_a_call_is_read() -> None:
    function = '{"name": "note", "arguments": "{\\"text\\": \\"a\\"}"}'
    text = f'<tool_call>{{"type": "function", "function": {function}}}</tool_call>'
    assert calls(read(HERMES, list(text))) == [("note", {"text": "a"})]


def test_blanks_beside_calls_are_no_text_and_others_are() -> None:
    parts = read(HERMES, [f"  One.\n\n{CALL}\n{CALL}\n\n Two. \n"])
    assert text_of(parts) == "  One.Two. \n"


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        ("city", "5", "5"),
        ("city", "null", "null"),
        ("city", ' "x" ', ' "x" '),
        ("days", "5", 5),
        ("days", "5.0", 5),
        ("days", "five", "five"),
        ("tags", '["a", "b"]', ["a", "b"]),
        ("tags", "null", None),
        ("tags", "None", None),
        ("urgent", "True", True),
        ("urgent", "false", False),
        ("unheard_of", "5", 5),
        ("unheard_of", "five", "five"),
        ("unheard_of", "NaN", "NaN"),
    ],
)
def test_what_is_written_without_quotes_is_read_by_the_schema(parameter: str, text: str, value: Any) -> None:
    """CONTRACT 17: dialects that write untyped text."""
    tool = "get_weather" if parameter in {"city", "days", "unheard_of"} else "note"
    for name, frame in (
        ("qwen3-coder", "<function={}>\n<parameter={}>\n{}\n</parameter>\n</function>"),
        ("glm-4.7", "<tool_call>{}<arg_key>{}</arg_key><arg_value>{}</arg_value></tool_call>"),
        (
            "minimax-m2",
            '<minimax:tool_call><invoke name="{}"><parameter name="{}">{}</parameter></invoke></minimax:tool_call>',
        ),
    ):
        assert calls(read(dialect_named(name), [frame.format(tool, parameter, text)])) == [(tool, {parameter: value})]


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Ann", "age": 3}',
        '{"name": "Ann", "parameters": 3',
        'He said {"name": "other_tool", "parameters": {}} once.',
        '{"id": 5}',
        '{"name": {"first": "Ann"}}',
        "{",
    ],
)
def test_json_that_is_no_call_is_text(text: str) -> None:
    parts = read(dialect_named("llama3"), list(text))
    assert text_of(parts) == text or text.startswith('{"name": "Ann", "parameters"')
    assert calls(parts) == []


@pytest.mark.parametrize("text", ["[1, 2]", "[a link](https://x)", "See [x(y)] there.", "[]", "[", "list[int](3)"])
def test_brackets_that_are_no_calls_are_text(text: str) -> None:
    parts = read(dialect_named("pythonic"), list(text))
    assert text_of(parts) == text


@pytest.mark.parametrize(
    "argument",
    ["__import__('os')", "open", "1 + 1", "[x for x in y]", "f'{x}'", "lambda: 0", "*a", "'a' 'b'", "...", "1j"],
)
def test_nothing_but_literals_is_read_as_an_argument(argument: str) -> None:
    """Model output is hostile; nothing of it is evaluated."""
    parts = read(dialect_named("pythonic"), [f"[note(text={argument})]"])
    assert calls(parts) == []
    assert sum(isinstance(part, CallUnreadable) for part in parts) == 1


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r"'a\tb\x41\u00e9\101\N'", "a\tbAéA\\N"),
        (r"'\d+\w'", r"\d+\w"),
        (r'"\ud83e\udd86"', "🦆"),
        ("'''it's'''", "it's"),
        ("'two\nlines'", "two\nlines"),
        ("(1, 2)", [1, 2]),
        ("{1: 2}", None),
        ("{'a': {'b': [True, None]}}", {"a": {"b": [True, None]}}),
        ("0x10", 16),
        ("1_000", 1000),
        (".5", 0.5),
        ("-3", -3),
        ("-inf", None),
        (r"'\ud800'", None),
        (r"'\UFFFFFFFF'", None),
        ("[" * 100 + "]" * 100, None),
    ],
)
def test_pythons_literals(literal: str, value: Any) -> None:
    found = calls(read(dialect_named("lfm2"), [f"<|tool_call_start|>[f(a={literal})]<|tool_call_end|>"]))
    assert found == ([] if value is None else [("f", {"a": value})])


def test_harmony_tells_reasoning_from_text_and_calls() -> None:
    """CONTRACT 16: a call inside an open reasoning block is not a call."""
    thought = '<|channel|>analysis<|message|>{"name": "note"} or to=functions.note?<|end|>'
    text = f"{thought}<|start|>assistant<|channel|>final<|message|>No."
    parts = read(dialect_named("harmony"), list(text))
    assert calls(parts) == []
    assert text_of(parts) == "No."
    assert [part.text for part in parts if isinstance(part, ReasoningPart)] == [
        '{"name": "note"} or to=functions.note?'
    ]
