"""Runs with an output: values, errors, streams, and what the model is told and held to."""

from __future__ import annotations

import asyncio
import enum
import json
import re
import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer
from pydantic import BaseModel, field_validator

import llmkit as lk
from llmkit.output import output_from
from llmkit.output.outline import outline
from llmkit.output.schema import Enforceable
from llmkit.prompting.constraint import answer_rules, constraint
from llmkit.prompting.outputs import told
from llmkit.prompting.prompt import Prompting
from llmkit.settings import settings_from
from llmkit.tools.choice import ToolChoice
from llmkit.tools.dialects.detect import dialect_named
from llmkit.tools.dialects.grammar import json_expression
from llmkit.tools.generic import SPOKEN, GenericDialect
from tests.unit.prompting_models import FAMILIES, TURNS, WEATHER, Templated, get_weather

ANN = '{"name": "Ann", "age": 3}'
THINKS = FAMILIES["qwen"] + "{# <think> </think> #}"
BYTES = LLTokenizer("byte")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


class Person(BaseModel):
    name: str
    age: int


@dataclass
class Point:
    x: int
    y: int


class Place(TypedDict):
    city: str


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def session(*answers: Any, **options: Any) -> lk.Session:
    return lk.Session(engine=lk.Scripted(answers), show=False, ledger=None, **options)


def ask(answer: Any, output: Any, **options: Any) -> lk.Run:
    return session(answer).complete("Who?", output=output, **options)


def fits(grammar: str, text: str) -> bool:
    matcher = LLMatcher(BYTES, LLMatcher.grammar_from_lark(grammar), log_level=0)
    written = list(text.encode())
    return bool(matcher.try_consume_tokens(written) == len(written) and matcher.is_accepting())


@pytest.mark.parametrize(
    ("output", "answer", "value"),
    [
        (Person, ANN, Person(name="Ann", age=3)),
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (Place, '{"city": "Oslo"}', {"city": "Oslo"}),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": 1}', {"a": 1}),
        (lk.Output.array(Person), f"[{ANN}]", [Person(name="Ann", age=3)]),
        (lk.Output.choice(Colour), "blue", Colour.BLUE),
        (lk.Output.json(), "[1, null]", [1, None]),
        (re.compile(r"\d{4}"), "1984", "1984"),
        (lk.Output.grammar('start: "a" | "b"'), "b", "b"),
        (lk.Output.text(), "Hello.", "Hello."),
        (None, "Hello.", "Hello."),
    ],
)
def test_the_answer_becomes_a_value(output: Any, answer: str, value: Any) -> None:
    """CONTRACT 3, 49: in every form in which it can be asked for."""
    run = ask(answer, output)
    assert run.output == value
    assert run.result().output == value
    assert run.text == answer
    (finish,) = [event for event in run.events if isinstance(event, lk.events.Finish)]
    assert (finish.output, finish.output_error) == (value, None)
    assert ask(answer, output, stream=False).output == value


def test_an_answer_cut_off_raises_where_the_value_is_read_and_nowhere_else() -> None:
    """CONTRACT 49: cut by length, it raises with the partial text and finish reason; CONTRACT 3: all else settles."""
    run = ask(lk.Answer(ANN[:12], finish_reason="length"), Person)
    with pytest.raises(lk.OutputError, match="max_output_tokens") as caught:
        _ = run.output
    assert (caught.value.text, caught.value.finish_reason) == (ANN[:12], "length")
    assert run.text == ANN[:12]
    assert run.finish_reason == "length"
    assert run.stats is not None
    assert run.error is None
    result = asyncio.run(_awaited(run))
    with pytest.raises(lk.OutputError):
        _ = result.output
    (note,) = [event for event in run.events if isinstance(event, lk.events.Noted)]
    assert note.text == str(caught.value)
    assert run.steps[0].warnings == (note.text,)


async def _awaited(run: lk.Run) -> Any:
    return await run


def test_an_answer_that_does_not_fit_and_a_validator_that_fails_are_output_errors() -> None:
    """CONTRACT 3: nothing hangs, whatever a validator does."""

    class Odd(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def _fail(cls, value: str) -> str:
            raise KeyError(value)

    for answer, output, said in [("red", Person, "JSON"), ('{"name": "x"}', Odd, "KeyError")]:
        with pytest.raises(lk.OutputError, match=said) as caught:
            _ = ask(answer, output).output
        assert caught.value.text == answer


def test_a_run_whose_validator_never_ends_can_be_cancelled() -> None:
    """CONTRACT 3, 7: no ending hangs."""
    began, over = threading.Event(), threading.Event()

    class Slow(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def _wait(cls, value: str) -> str:
            began.set()
            over.wait(30)
            return value

    run = ask('{"name": "x"}', Slow)
    assert began.wait(20)
    assert run.cancel()
    assert run.wait(20)
    over.set()
    assert run.status == "cancelled"
    with pytest.raises(lk.RunCancelled) as caught:
        _ = run.output
    assert caught.value.text == '{"name": "x"}'


def test_what_can_not_be_enforced_is_refused_before_anything_is_asked() -> None:
    """CONTRACT 50: raises before decoding, naming the keyword."""
    with session(ANN) as asked:
        for start in (asked.complete, lambda _, **options: lk.Agent(asked, **options)):
            with pytest.raises(lk.ValidationError, match="'not'") as caught:
                start("Who?", output={"not": {"type": "string"}})
            assert caught.value.field == "output"
        assert asked.runs.empty


def test_an_agents_output_stays_unless_a_call_replaces_it() -> None:
    """CONTRACT 41: an omitted argument never erases the constructor's."""
    agent = lk.Agent(session(ANN, "1984"), output=Person)
    assert agent.generate("Who?").output == Person(name="Ann", age=3)
    assert agent.generate("When?", output=re.compile(r"\d{4}")).output == "1984"


def test_events_tell_what_is_asked_for() -> None:
    """CONTRACT 37: output is among the fields of start and step-start."""
    run = ask(ANN, Person)
    assert run.output
    start, step = (next(each for each in run.events if each.type == kind) for kind in ("start", "step-start"))
    for event in (start, step):
        assert event.output.schema["properties"].keys() == {"name", "age"}  # type: ignore[attr-defined]
        assert json.dumps(event.to_dict()["output"]).count('"age"')
    assert run.steps[0].request is not None
    assert run.steps[0].request.output is run.request.output


# -- streams ----------------------------------------------------------------------------------------------------------


def test_values_stream_as_they_grow_early_and_late_alike() -> None:
    """CONTRACT 2, 51: replays in any number; only on change."""
    run = session(ANN).complete("Who?", output=Person)
    early = list(run.partial_output_stream)
    assert early[0] == {}
    assert early[-1] == {"name": "Ann", "age": 3}
    assert all(one != other for one, other in pairwise(early))
    assert list(run.partial_output_stream) == early
    assert asyncio.run(_collected(run)) == early


async def _collected(run: lk.Run) -> list[Any]:
    return [value async for value in run.partial_output_stream]


def test_elements_stream_typed_and_only_once_they_are_whole() -> None:
    """CONTRACT 51: element_stream for arrays."""
    run = session(f"[{ANN}, {ANN}]").complete("Who?", output=list[Person])
    elements = iter(run.element_stream)
    assert next(elements) == Person(name="Ann", age=3)
    assert [*elements, *run.element_stream] == [Person(name="Ann", age=3)] * 3
    assert list(session("[1, 2]").complete("?", output={"type": "array"}).element_stream) == [1, 2]


def test_streams_are_empty_without_streaming_and_raise_what_output_raises() -> None:
    """CONTRACT 4; and a list that was cut off doesn't end as if it were whole."""
    quiet = ask(f"[{ANN}]", list[Person], stream=False)
    assert [*quiet.element_stream, *quiet.partial_output_stream] == []
    cut = ask(lk.Answer(f"[{ANN}, {{", finish_reason="length"), list[Person])
    seen: list[Any] = []
    with pytest.raises(lk.OutputError):
        seen.extend(cut.element_stream)
    with pytest.raises(lk.OutputError):
        seen.append(list(cut.partial_output_stream))
    assert seen == [Person(name="Ann", age=3)]
    with pytest.raises(lk.ValidationError, match="has elements"):
        _ = ask("red", lk.Output.choice(["red"])).element_stream


def test_reading_a_long_answer_takes_time_in_proportion_to_its_length() -> None:
    """CONTRACT 51: values of a long text are told less often, the last one always."""
    long = json.dumps({"text": "word " * 1500})
    values = list(ask(long, dict[str, str], max_output_tokens=9000).partial_output_stream)
    assert values[-1] == json.loads(long)
    assert sum(len(value.get("text", "")) for value in values) < 1200 * len(long)


HOSTILE: list[str] = []
ECHO = session(lambda _: HOSTILE.pop())
ANYTHING = lk.Output.json()


@settings(max_examples=40, deadline=None)
@given(value=JSON_VALUES, ascii_=st.booleans())
def test_whatever_an_answer_says_it_streams_as_json_and_stays_text(value: Any, ascii_: bool) -> None:
    """CONTRACT 16, 51: markers of calls and reasoning within an answer are its own words."""
    value = {"said": "</think> <tool_call>\n{}", "value": value}
    text = json.dumps(value, ensure_ascii=ascii_)
    HOSTILE.append(text)
    run = ECHO.complete("?", output=ANYTHING, tools=[get_weather])
    assert run.text == text
    assert list(run.partial_output_stream)[-1] == value == run.output


# -- tools ------------------------------------------------------------------------------------------------------------

CALL = lk.Answer(tool_calls=[("get_weather", {"city": "Oslo"})])


def test_tools_come_first_and_the_output_on_the_final_step() -> None:
    """CONTRACT 52."""
    asked = session(CALL, '{"city": "Oslo"}')
    run = asked.complete("Where?", output=Place, tools=[get_weather], approval="allow", stop_when=5)
    assert run.output == {"city": "Oslo"}
    assert [bool(step.tool_calls) for step in run.steps] == [True, False]
    assert list(run.partial_output_stream)[-1] == {"city": "Oslo"}


def test_a_run_that_ends_with_calls_has_no_output_and_says_why() -> None:
    """CONTRACT 52: no answer followed the calls."""
    run = session(CALL).complete("Where?", output=Place, tools=[get_weather], approval="allow")
    with pytest.raises(lk.OutputError, match="stop_when"):
        _ = run.output
    assert run.tool_results[0].output == {"temperature": 4}


def test_a_pended_run_that_is_gone_on_with_keeps_its_output() -> None:
    """CONTRACT 32, 52."""
    asked = session(CALL, '{"city": "Oslo"}')
    pended = asked.complete("Where?", output=Place, tools=[get_weather], approval="pend")
    assert pended.wait()
    assert pended.pending_approvals
    run = asked.resume(pended, tools=[get_weather], approval="allow")
    assert run.output == {"city": "Oslo"}


@pytest.mark.parametrize("name", ["hermes", "mistral", "llama3", "pythonic", "generic"])
def test_with_tools_an_answer_is_calls_or_the_output(name: str) -> None:
    """CONTRACT 52: in dialects of models' own and in the generic one."""
    dialect = GenericDialect() if name == "generic" else dialect_named(name)

    def bound(choice: str, output: Any = Person) -> str:
        spec = output_from(output)
        rules = answer_rules(dialect, WEATHER, ToolChoice(choice), room=400, output=spec)  # type: ignore[arg-type]
        assert rules is not None
        return constraint(rules, ends=(0,)).grammar

    before = SPOKEN if name == "generic" else ""
    assert fits(bound("auto"), before + ANN)
    assert not fits(bound("auto"), before + "Words.")
    assert not fits(bound("auto"), before + '{"name": "Ann"}')
    assert fits(bound("none"), ANN)
    assert not fits(bound("required"), before + ANN)
    assert fits(bound("auto", list[int]), f"{before}[1, 2]")
    called = {"generic": 'Tool: get_weather({"city": "x"})', "hermes": '<tool_call>\n{"name": "get_weather", '
              '"arguments": {"city": "x"}}\n</tool_call>'}  # fmt: skip
    if name in called:
        assert fits(bound("auto"), called[name])
        assert fits(bound("required"), called[name])


def test_harmony_says_its_output_in_the_final_channel() -> None:
    """CONTRACT 49: reasoning first, in the dialect's own words."""
    rules = answer_rules(dialect_named("harmony"), (), ToolChoice(), room=400, output=output_from(Person))
    assert rules is not None
    grammar = constraint(rules, ends=(0,)).grammar
    final = f"<|channel|>final<|message|>{ANN}"
    assert fits(grammar, final)
    assert fits(grammar, f"<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant{final}")
    assert not fits(grammar, ANN)


def test_reasoning_comes_before_the_output() -> None:
    """CONTRACT 49: a thought is no part of the answer."""
    run = ask(f"<think>Hm, {{</think>\n\n{ANN}", Person)
    assert run.output == Person(name="Ann", age=3)
    assert run.reasoning == "Hm, {"
    prompt = Prompting(Templated(THINKS)).prompt(
        lk.messages.messages_from("Who?"), settings_from({}), output=output_from(Person)
    )
    assert prompt.constraint is not None
    assert fits(prompt.constraint.grammar.replace(" (<[0]>)?", ""), f"<think>Hm.</think>\n\n{ANN}")


# -- what the model is told -------------------------------------------------------------------------------------------


def test_the_model_is_told_in_the_system_message_or_where_there_is_none_before_the_question() -> None:
    spec = output_from(lk.Output.choice(["yes", "no"]))
    question, system = lk.Message("user", "Well?"), lk.Message("system", "Be brief.")
    assert [message.role for message in told((question,), spec, system=True)] == ["system", "user"]
    assert told((system, question), spec, system=True)[0].text.startswith("Be brief.\n\n")
    (only,) = told((question,), spec, system=False)
    assert only.text.endswith("yes, no\n\nWell?")
    assert told((question,), None, system=True) == (question,)
    prompt = Prompting(Templated(TURNS)).prompt(lk.messages.messages_from("Well?"), settings_from({}), output=spec)
    assert prompt.ids


@pytest.mark.parametrize(
    ("schema", "short"),
    [
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 2},
            '{"type": "array", "items": string, "minItems": 2}',
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/n"}}},
             "$defs": {"n": {"type": ["integer", "null"], "minimum": 1}}, "required": ["a"]},
            '{"a": [integer | null (from 1), …]}',
        ),
        ({"type": "object", "additionalProperties": {"enum": ["a", 1]}}, '{name: "a" | 1, …}'),
        ({"type": "array", "prefixItems": [{"type": "integer"}], "items": False}, None),
        ({"type": "object", "patternProperties": {"a": {}}}, None),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}}, None),
    ],
)  # fmt: skip
def test_a_schema_is_told_in_short_or_as_it_is(schema: dict[str, Any], short: str | None) -> None:
    assert outline(schema) == (short or json.dumps(schema))


# -- room -------------------------------------------------------------------------------------------------------------

TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "inside": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name"],
}


def nested(depth: int) -> Any:
    return {"name": "n", **({"inside": [nested(depth - 1)]} if depth else {})}


@pytest.mark.parametrize(
    ("schema", "small", "large"),
    [
        ({"type": "array", "items": {"type": "integer"}}, [1] * 8, [1] * 900),
        ({"type": "string"}, "a" * 30, "a" * 2000),
        ({"type": "string", "pattern": "^[a-z ]+$"}, "a" * 30, "a" * 2000),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}, {str(n): 1 for n in range(99)}),
        ({"type": "integer"}, -5, 10**30),
        (TREE, nested(2), nested(30)),
        ({}, [[{"a": [1.5]}]], [[[[[[[[[[[[]]]]]]]]]]]]),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "boolean"}},
            {"a": 1, "b": True},
            {str(n): True for n in range(99)},
        ),
    ],
)
def test_answers_end_within_the_room_there_is(schema: dict[str, Any], small: Any, large: Any) -> None:
    """CONTRACT 49: a model that goes on for ever still gives an answer that parses."""
    bound = Enforceable(schema)
    limited, free = (f"start: {json_expression(each)}" for each in (bound.within(500), bound.schema))
    assert fits(limited, json.dumps(small))
    assert not fits(limited, json.dumps(large))
    assert fits(free, json.dumps(large))


def test_what_must_be_long_stays_possible() -> None:
    """CONTRACT 49: limits give way to what the schema asks for."""
    uuid = {"type": "string", "format": "uuid"}
    schema = {"type": "array", "items": uuid, "minItems": 40}
    limited = Enforceable(schema).within(10)
    assert limited["minItems"] <= limited["maxItems"]
    assert "maxLength" not in limited["items"]


def test_a_regex_ends_too() -> None:
    rules = lk.Output.regex("[a-z]+").rules(room=100)
    assert fits(f"start: answer\n{rules}", "a" * 90)
    assert not fits(f"start: answer\n{rules}", "a" * 200)
    fixed = lk.Output.regex("[a-z]{300}").rules(room=100)
    assert fits(f"start: answer\n{fixed}", "a" * 300)
