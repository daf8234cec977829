"""What an answer must be: from a type, a schema, choices, a regex or a grammar to rules, values and errors."""

from __future__ import annotations

import dataclasses
import datetime as dt  # noqa: TC003 - the types below are made of it
import decimal  # noqa: TC003
import enum
import random
import re
import uuid  # noqa: TC003
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from llguidance import LLMatcher
from pydantic import BaseModel, Field, HttpUrl, Json, StringConstraints, field_validator

from llmkit.errors import Error, ValidationError
from llmkit.output import MISSING, Output, OutputError, OutputSpec, output_from
from llmkit.output.json_output import ArrayOutput, JSONOutput
from llmkit.prompting.constraint import constraint
from tests.unit.json_schema_suite import BYTES, accepts, walk


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Person:
    name: str
    age: int
    color: Color = Color.RED


class Place(TypedDict):
    city: str
    people: NotRequired[list[Person]]


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    good: bool


class Everything(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    at: dt.datetime
    day: dt.date
    time: dt.time
    lasts: dt.timedelta
    id: uuid.UUID
    price: decimal.Decimal
    page: HttpUrl
    counts: dict[Color, int]
    numbers: set[int]
    pair: tuple[int, str]
    code: Annotated[str, StringConstraints(pattern=r"^\d{3}-\w+$", max_length=10)]
    share: Annotated[float, Field(gt=0, lt=1)]
    step: Annotated[int, Field(multiple_of=5, ge=-10, le=10)]
    maybe: int | None = None


def watch(spec: OutputSpec) -> Any:
    rules = spec.rules()
    assert rules is not None
    grammar = constraint(rules, ends=()).grammar
    made = LLMatcher(BYTES, LLMatcher.grammar_from_lark(grammar), log_level=0)
    assert not made.is_error(), made.get_error()
    return made


def spec_of(value: Any) -> OutputSpec:
    spec = output_from(value)
    assert isinstance(spec, OutputSpec)
    return spec


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Person, '{"name": "Ada", "age": 36, "color": "blue"}', Person("Ada", 36, Color.BLUE)),
        (Place, '{"city": "Rome", "people": [{"name": "A", "age": 1}]}', {"city": "Rome", "people": [Person("A", 1)]}),
        (Tree, '{"value": 1, "children": [{"value": 2}]}', Tree(value=1, children=[Tree(value=2)])),
        (list[Person], '[{"name": "A", "age": 1}]', [Person("A", 1)]),
        (list[Place], '[{"city": "Rome"}]', [{"city": "Rome"}]),
        (Place | None, "null", None),
        (Literal["a", "b"], '"b"', "b"),
        (Color, '"red"', Color.RED),
        (int, "7", 7),
        (dict[str, float], '{"a": 0.5}', {"a": 0.5}),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": 1}', {"a": 1}),
        ({}, "[1, {}]", [1, {}]),
        (Output.json(), '{"a": null}', {"a": None}),
        (Output.array(Person), '[{"name": "A", "age": 1}]', [Person("A", 1)]),
        (Output.array({"type": "integer"}, max_items=2), "[1, 2]", [1, 2]),
        (Output.choice(["yes", "no"]), "no", "no"),
        (Output.choice(Color), "blue", Color.BLUE),
        (Output.regex(r"\d{3}/[a-z]+"), "123/abc", "123/abc"),
        (re.compile(r"[A-Z]\d"), "B2", "B2"),
        (Output.grammar('start: "a" B\nB: /x+/\n%ignore / /'), "a xx", "a xx"),
    ],
    ids=str,
)
def test_an_answer_that_the_rules_let_through_becomes_a_value(kind: Any, text: str, value: Any) -> None:
    """CONTRACT 49: ``output=`` a pydantic model, a dataclass/TypedDict, a JSON schema, an array, choices, a regex."""
    spec = spec_of(kind)

    assert accepts(watch(spec), text)
    assert spec.parse(text) == value
    assert type(spec.parse(text)) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Person, '{"name": "Ada", "age": 36, "extra": 1}'),
        (Person, '{"name": "Ada"}'),
        (list[Person], '{"name": "A", "age": 1}'),
        (Output.array(Person, min_items=1), "[]"),
        (Output.choice(["yes", "no"]), "maybe"),
        (Output.choice(["yes", "no"]), "yes "),
        (Output.regex("a+"), "aab"),
        (Output.regex("^a|b$"), "ax"),
        (Output.grammar('start: "a" | "b"'), "ab"),
    ],
    ids=str,
)
def test_the_rules_let_nothing_else_through(kind: Any, text: str) -> None:
    assert not accepts(watch(spec_of(kind)), text)


@pytest.mark.parametrize("kind", [Everything, Person, Place, Tree, list[Cat], dict[Color, Person]], ids=str)
def test_whatever_the_rules_let_through_is_a_value_of_the_type(kind: Any) -> None:
    """CONTRACT 49: the text always parses and validates."""
    spec = spec_of(kind)
    chance = random.Random(3)  # noqa: S311 - the same every time
    texts = [text for _ in range(25) if (text := walk(watch(spec), chance, 900)) is not None]

    assert len(texts) >= 20
    for text in texts:
        spec.parse(text)


def test_an_answer_cut_off_says_so_and_keeps_what_there_is() -> None:
    """CONTRACT 49: unless cut by length, which raises with the partial text and finish reason."""
    with pytest.raises(OutputError, match="cut off") as caught:
        spec_of(Person).parse('{"name": "Ad', finish_reason="length")

    assert caught.value.text == '{"name": "Ad'
    assert caught.value.finish_reason == "length"
    assert isinstance(caught.value, Error)


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        (Person, '{"name": "A", "age": "x"}', "age: "),
        ({"properties": {"age": {"type": "integer", "minimum": 3}}}, '{"age": 2}', "age must be at least 3"),
        ({}, "Sure! {}", "isn't JSON"),
        ({}, "[NaN]", "isn't JSON"),
        ({}, "[" * 100_000, "isn't JSON"),
        (Output.choice(["yes", "no"]), "perhaps", "none of"),
        (Output.regex("a+"), "b", "doesn't match"),
        (Output.grammar('start: "a"'), "b", "isn't of the grammar"),
    ],
    ids=str,
)
def test_an_answer_that_does_not_fit_names_what_is_wrong(kind: Any, text: str, problem: str) -> None:
    with pytest.raises(OutputError, match="doesn't fit") as caught:
        spec_of(kind).parse(text)

    assert problem in caught.value.problems[0]
    assert caught.value.text == text


def test_a_validator_of_the_type_may_still_object() -> None:
    class Even(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("odd")
            return value

    with pytest.raises(OutputError) as caught:
        spec_of(Even).parse('{"number": 1}')
    assert caught.value.problems == ("number: Value error, odd",)


@pytest.mark.parametrize(
    "value",
    [
        "text", 5, True, [int], object(), lambda: None, Json[int], type("X", (), {}), {"type": "nonsense"},
        {"not": {}}, {1, 2}, re.compile("a", re.IGNORECASE), re.compile(b"a"),
    ],
    ids=str,
)  # fmt: skip
def test_what_can_not_be_an_output_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        output_from(value)

    assert caught.value.field == "output"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Output.choice([]),
        lambda: Output.choice(["a", "a"]),
        lambda: Output.choice([""]),
        lambda: Output.choice(["a\nb"]),
        lambda: Output.regex("(?=a)"),
        lambda: Output.regex("("),
        lambda: Output.grammar("no grammar"),
        lambda: Output.grammar('start: "a"\n}\nevil: "b"'),
        lambda: Output.array(int, min_items=-1),
        lambda: Output.array({"contains": {}}),
        lambda: Output.json({"uniqueItems": True}),
    ],
)
def test_what_can_not_be_enforced_is_refused_when_it_is_asked_for(make: Any) -> None:
    """CONTRACT 50: a schema that can't be enforced raises before decoding."""
    with pytest.raises(ValidationError) as caught:
        make()

    assert caught.value.field == "output"


def test_no_output_is_no_output() -> None:
    assert output_from(None) is None
    assert spec_of(Output.text()).rules() is None
    assert Output.text().parse("anything") == "anything"


def test_elements_come_typed_and_whole() -> None:
    """CONTRACT 51: ``element_stream`` for arrays."""
    spec = spec_of(list[Person])

    assert spec.kind == "array"
    assert spec.elements('[{"name": "A", "age": 1}, {"name": "B", "ag') == [Person("A", 1)]
    assert spec.partial('[{"name": "A", "age": 1}, {"name": "B", "ag') == [{"name": "A", "age": 1}, {"name": "B"}]
    with pytest.raises(OutputError):
        spec.element({"name": "A"})


def test_a_choice_shows_once_it_is_certain() -> None:
    spec = Output.choice(["yes", "yesterday", "no"])
    reader = spec.reader()

    assert [reader.feed(piece) or reader.value for piece in ("y", "es")] == [MISSING, MISSING]
    assert reader.close()
    assert reader.value == "yes"
    assert spec.partial("n") == "no"
    assert spec.partial("yest") == "yesterday"
    assert spec.partial("") is MISSING


def test_a_text_shows_as_it_grows() -> None:
    reader = Output.regex(".*").reader()

    assert reader.feed("ab")
    assert not reader.feed("")
    assert reader.feed("c")
    assert reader.value == "abc"
    assert not reader.take_elements()


@pytest.mark.parametrize("words", [['a "b"', "c\\d", "{x}", "/y/", "é😀", "%z"], ["a|b", "a"]])
def test_choices_with_signs_of_the_grammar_in_them_are_just_texts(words: list[str]) -> None:
    matcher = watch(Output.choice(words))

    assert all(accepts(matcher, word) for word in words)
    assert not accepts(matcher, "b")
    assert not accepts(matcher, "x")


def test_what_a_server_is_asked_for() -> None:
    class Strict(BaseModel):
        a: int

    strict = spec_of(Strict).response_format()
    assert strict is not None
    assert strict["json_schema"]["strict"] is True
    assert strict["json_schema"]["name"] == "Strict"
    loose = spec_of(Person).response_format()
    assert loose is not None
    assert loose["json_schema"]["strict"] is False  # a field has a default, so it may be missing
    assert Output.json().response_format() == {"type": "json_object"}
    assert Output.regex("a").response_format() is None
    choice = Output.choice(["a", "b"])
    assert choice.response_format()["json_schema"]["schema"] == {"type": "string", "enum": ["a", "b"]}
    assert choice.parse('"a"') == "a"


def test_the_prompt_is_told_the_schema() -> None:
    told = spec_of(Person).instructions()

    assert told is not None
    assert told.endswith('{"name": string, "age": integer, "color": "red" | "blue" or left out}')
    assert "yes, no" in Output.choice(["yes", "no"]).instructions()
    assert spec_of(Output.text()).instructions() is None


def test_a_schema_of_elements_keeps_its_references() -> None:
    spec = Output.array(
        {"$defs": {"n": {"type": "integer"}}, "type": "object", "additionalProperties": {"$ref": "#/$defs/n"}}
    )

    assert accepts(watch(spec), '[{"a": 1}]')
    assert not accepts(watch(spec), '[{"a": "1"}]')
    assert spec.parse('[{"a": 1}]') == [{"a": 1}]


def test_kinds_of_outputs() -> None:
    assert isinstance(output_from(list[int]), ArrayOutput)
    assert isinstance(output_from({"type": "array"}), JSONOutput)
    assert [spec_of(each).kind for each in (int, list[int], Output.text(), Output.regex("a"), Output.choice("ab"))] == [
        "json", "array", "text", "regex", "choice",
    ]  # fmt: skip
