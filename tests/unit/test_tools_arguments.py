"""Arguments as a model writes them are valid, or a typed error says field by field why not."""

from __future__ import annotations

import json
import math
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from llmkit.errors import ValidationError
from llmkit.tools.arguments import MAX_BYTES, ToolArgumentsError, read_arguments
from llmkit.tools.calls import ToolCallError
from llmkit.tools.define import tool_from


class Unit(Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Place(BaseModel):
    city: str
    zip: int | None = None


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def check_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError(f"{value} is odd")
        return 100 // value * value


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


def forecast(  # noqa: PLR0917 - one of each kind
    place: Place,
    days: Annotated[int, Field(ge=1, le=14)] = 3,
    unit: Unit = Unit.CELSIUS,
    start: date | None = None,
    tags: list[str] = [],  # noqa: B006 - never changed
    pet: Cat | Dog | None = None,
    ratio: float = 1.0,
) -> str:
    return "fair"


FORECAST = tool_from(forecast)
RAW = tool_from(
    {
        "name": "search",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string", "minLength": 1}, "when": {"type": "string", "format": "date"}},
            "required": ["query"],
        },
    }
)
KYOTO = {"place": {"city": "Kyoto"}}


def refused(arguments: str | dict[str, Any], made: Any = FORECAST) -> ToolArgumentsError:
    with pytest.raises(ToolArgumentsError) as caught:
        made.validate(arguments)
    return caught.value


def problems(arguments: str | dict[str, Any], made: Any = FORECAST) -> dict[str, str]:
    error = refused(arguments, made)
    assert error.code == "VALIDATION_ERROR"
    assert all(problem.message in error.message for problem in error.problems[:10])
    return {problem.field: problem.message for problem in error.problems}


def test_arguments_become_python_values_with_the_defaults() -> None:
    """CONTRACT 19: the handler gets the validated, coerced arguments."""
    text = '{"place": {"city": "Kyoto"}, "unit": "fahrenheit", "start": "2026-05-01", "ratio": 2}'
    assert FORECAST.validate(text) == {
        "place": Place(city="Kyoto"),
        "days": 3,
        "unit": Unit.FAHRENHEIT,
        "start": date(2026, 5, 1),
        "tags": [],
        "pet": None,
        "ratio": 2.0,
    }


@pytest.mark.parametrize("empty", ["", "  \n", "{}"])
def test_an_empty_string_counts_as_no_arguments(empty: str) -> None:
    """CONTRACT 14: empty-string arguments count as {}."""
    assert read_arguments(empty) == {}


def test_a_whole_number_written_with_a_point_is_an_integer_as_the_standard_says() -> None:
    days = FORECAST.validate({**KYOTO, "days": 3.0})["days"]
    assert (days, type(days)) == (3, int)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"days": "3"}, "days", 'must be an integer, but is "3"'),
        ({"days": True}, "days", "must be an integer, but is true"),
        ({"days": 2.5}, "days", "must be an integer, but is 2.5"),
        ({"days": 15}, "days", "must be at most 14, but is 15"),
        ({"days": 0}, "days", "must be at least 1, but is 0"),
        ({"days": None}, "days", "must be an integer, but is null"),
        ({"ratio": "1"}, "ratio", 'must be a number, but is "1"'),
        ({"unit": "kelvin"}, "unit", 'must be one of "celsius", "fahrenheit", but is "kelvin"'),
        ({"start": "tomorrow"}, "start", 'must be a valid "date", but is "tomorrow"'),
        ({"start": "1700000000"}, "start", 'must be a valid "date", but is "1700000000"'),
        ({"start": 17}, "start", "must be a string or null, but is 17"),
        ({"tags": "wet"}, "tags", 'must be a list, but is "wet"'),
        ({"tags": ["wet", 1]}, "tags[1]", "must be a string, but is 1"),
        ({"place": "Kyoto"}, "place", 'must be an object, but is "Kyoto"'),
        ({"place": {"city": 5}}, "place.city", "must be a string, but is 5"),
        ({"place": {}}, "place.city", "is missing"),
        ({"place": {"city": "Kyoto", "zip": "1"}}, "place.zip", 'must be an integer or null, but is "1"'),
        ({"place": {"city": "Kyoto", "y": 1}}, "place.y", "isn't known; there are city, zip"),
        ({"pet": {"kind": "cat", "lives": "9"}}, "pet.lives", 'must be an integer, but is "9"'),
        ({"pet": {"kind": "cat", "lives": 9, "name": "x"}}, "pet.name", "isn't known; there are kind, lives"),
    ],
)
def test_every_violation_names_its_field_and_what_was_given(change: dict[str, Any], field: str, message: str) -> None:
    """CONTRACT 14: any violation of the schema: types, ranges, enums, extra keys."""
    assert problems({**KYOTO, **change}) == {field: message}


def test_missing_and_unknown_parameters_are_named() -> None:
    """CONTRACT 14: not only a missing key."""
    found = problems('{"city": "Kyoto"}')
    assert found["place"] == "is missing"
    assert found["city"].startswith("isn't known; there are place, days")


def test_all_problems_come_at_once_in_one_sentence() -> None:
    error = refused({"place": {"city": 1}, "days": 99})
    assert error.message == (
        "The arguments don't fit the schema: place.city must be a string, but is 1; days must be at most 14, but is 99."
    )


def test_what_a_models_own_validator_says_is_told() -> None:
    made = tool_from(Even)
    assert problems({"number": 3}, made) == {"number": "isn't accepted: 3 is odd (it is 3)"}


def test_a_validator_that_breaks_is_a_violation_too() -> None:
    assert problems({"number": 0}, tool_from(Even))[""].startswith("can't be checked (ZeroDivisionError")


@pytest.mark.parametrize(
    ("change", "field"),
    [({"query": ""}, "query"), ({"query": 1}, "query"), ({"when": "2026-02-30"}, "when"), ({"q": "x"}, "q")],
)
def test_a_raw_schema_is_held_as_strictly(change: dict[str, Any], field: str) -> None:
    """CONTRACT 14, for raw JSON schemas."""
    assert list(problems({"query": "x", **change}, RAW)) == [field]
    assert RAW.validate('{"query": "x", "when": "2026-02-28"}') == {"query": "x", "when": "2026-02-28"}


@pytest.mark.parametrize("text", ["[]", "null", "3", '"x"', "true"])
def test_json_that_is_no_object_violates_the_schema(text: str) -> None:
    assert problems(text)[""].startswith("must be a JSON object, but is ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON"),
        ("{'a': 1}", "no JSON"),
        ('{"a": 1} and more', "no JSON"),
        ('{"a": 1, "a": 2}', '"a" twice'),
        ('{"b": {"a": 1, "a": 1}}', '"a" twice'),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ('{"a": 1e999}', "too large"),
        ('{"a": ' + "9" * 5000 + "}", "too many digits"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"\\udfff": 1}', "surrogate"),
        ('{"a": ' + "[" * 64 + "]" * 64 + "}", "deeper than 64"),
        ('{"a":' * 100_000, "deeper than 64"),
        ("[" * 500_000, "deeper than 64"),
        ('{"a": "' + "x" * MAX_BYTES + '"}', "1 MiB"),
        ('{"a": "' + "é" * (MAX_BYTES // 2) + '"}', "1 MiB"),
    ],
)
def test_text_that_cannot_be_read_is_a_parse_error(text: str, reason: str) -> None:
    """CONTRACT 13: PARSE_ERROR: bad JSON, over 1 MiB."""
    error = refused(text)
    assert error.code == "PARSE_ERROR"
    assert reason in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize("value", [{"a": math.nan}, {"a": {1, 2}}, {"a": date(2026, 1, 1)}])
def test_a_dict_is_held_to_the_same_as_text(value: dict[str, Any]) -> None:
    assert refused(value).code == "PARSE_ERROR"


def test_a_dict_that_contains_itself_is_a_parse_error() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    assert refused(loop).code == "PARSE_ERROR"


def test_the_values_read_share_nothing_with_the_dict_given() -> None:
    given_values = {"tags": ["wet"]}
    read_arguments(given_values)["tags"].append("cold")
    assert given_values == {"tags": ["wet"]}


def test_an_error_becomes_the_runs_error_with_the_raw_text() -> None:
    """CONTRACT 12: an error is {code, message, raw}."""
    error = refused("{")
    assert error.to_call_error("{") == ToolCallError("PARSE_ERROR", error.message, "{")
    assert isinstance(error, ValidationError)
    assert error.field == "arguments"


def test_hostile_names_and_values_are_short_and_visible_in_messages() -> None:
    error = refused({**KYOTO, "\u202e" + "k" * 100_000: 1, "days": "\x1b[31m\u202e" + "v" * 100_000})
    assert len(error.message) < 700
    assert "\u202e" not in error.message
    assert "\x1b" not in error.message
    assert r"\u202e" in error.message


def test_thousands_of_violations_give_a_bounded_error() -> None:
    error = refused({**KYOTO, "tags": list(range(50_000))})
    assert len(error.problems) <= 20
    assert error.message.endswith("; and more.")


def test_a_schema_that_refers_to_itself_for_ever_is_an_error_not_a_crash() -> None:
    endless = tool_from({"name": "endless", "parameters": {"properties": {"a": {"$ref": "#/properties/a"}}}})
    assert problems({"a": 1}, endless) == {"": "can't be checked (RecursionError)"}


def test_an_integer_beyond_floats_is_checked_or_refused() -> None:
    made = tool_from({"name": "n", "parameters": {"properties": {"a": {"type": "number", "multipleOf": 0.1}}}})
    assert "" in problems({"a": 10**400}, made)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
near_arguments = st.fixed_dictionaries(
    {},
    optional={
        "place": st.fixed_dictionaries({}, optional={"city": st.text(max_size=4) | json_values, "zip": json_values}),
        "days": st.integers(-2, 20) | json_values,
        "unit": st.sampled_from(["celsius", "kelvin"]) | json_values,
        "start": st.dates().map(str) | st.text("0123456789-TZ:", max_size=12) | json_values,
        "tags": st.lists(st.text(max_size=3)) | json_values,
        "pet": st.sampled_from([{"kind": "cat", "lives": 9}, {"kind": "dog", "name": "Rex"}]) | json_values,
        "ratio": st.floats() | json_values,
        "other": json_values,
    },
)
hostile = st.one_of(
    st.text(max_size=60),
    st.text('{}[]",:\\ud8000eE+-.1naN', max_size=60),
    json_values.map(json.dumps),
    near_arguments.map(json.dumps),
    st.tuples(near_arguments.map(json.dumps), st.integers(0, 200)).map(lambda cut: cut[0][: cut[1]]),
)


@given(hostile)
def test_any_text_is_valid_arguments_or_a_typed_error(text: str) -> None:
    """CONTRACT 13, 14: a parse error or a validation error; nothing else, and no crash."""
    try:
        values = FORECAST.validate(text)
    except ToolArgumentsError as error:
        assert error.code in {"PARSE_ERROR", "VALIDATION_ERROR"}  # noqa: PT017 - either way is right
        assert bool(error.problems) == (error.code == "VALIDATION_ERROR")  # noqa: PT017
        error.message.encode()
    else:
        assert isinstance(values["place"], Place)
        assert isinstance(values["days"], int)
        assert 1 <= values["days"] <= 14
        assert isinstance(values["unit"], Unit)
        assert values["start"] is None or isinstance(values["start"], date)
        assert all(isinstance(tag, str) for tag in values["tags"])
        assert values["pet"] is None or isinstance(values["pet"], Cat | Dog)


@given(hostile)
def test_any_text_is_valid_for_a_raw_schema_or_a_typed_error(text: str) -> None:
    """CONTRACT 13, 14, for raw JSON schemas."""
    try:
        values = RAW.validate(text)
    except ToolArgumentsError as error:
        error.message.encode()
    else:
        assert isinstance(values["query"], str)
        assert values.keys() <= {"query", "when"}
