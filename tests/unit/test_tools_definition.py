"""What can be a tool, what the model is told of it, and what is refused at definition."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from dataclasses import dataclass
from datetime import date, datetime  # noqa: TC003 - annotations of tools are read at run time
from decimal import Decimal  # noqa: TC003
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, assert_type

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel
from typing_extensions import TypedDict

from llmkit.errors import ValidationError
from llmkit.tools.context import ToolContext  # noqa: TC001
from llmkit.tools.define import define_handler, tool, tool_from
from llmkit.tools.tool import Tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Unit(Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Place(BaseModel):
    """Somewhere."""

    city: str
    inside: Optional[Place] = None  # noqa: UP045 - as people write it


@dataclass
class Box:
    width: int
    label: str = ""


class Size(TypedDict):
    height: float


class Opaque:
    pass


class GetWeather(BaseModel):
    """Current weather for a city.

    Attributes
    ----------
    city : str
        Its name.
    """

    city: str
    days: int = Field(3, ge=1, description="How far ahead.")


@tool
def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> dict[str, Any]:
    """Look up the weather of a city.

    Args:
        city: Its name.
        unit: Of the temperature.
    """
    return {"city": city, "unit": unit}


RAW = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    },
}


def properties(function: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = tool_from(function).parameters["properties"]
    return found


def refused(value: Any, **options: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        tool_from(value, **options)
    return caught.value


def test_a_decorated_function_is_the_function_and_stands_for_its_tool() -> None:
    """CONTRACT 11: @tool is the identity-with-types helper."""
    assert get_weather("Kyoto") == {"city": "Kyoto", "unit": "celsius"}
    assert inspect.isfunction(get_weather)
    assert tool_from(get_weather) is tool_from(get_weather)
    assert tool_from(get_weather).handler is get_weather


def test_the_function_keeps_its_type() -> None:
    """CONTRACT 11: the identity-with-types helper."""

    @tool(timeout=1.0)
    def double(number: int) -> int:
        return 2 * number

    assert_type(double(2), int)
    assert_type(define_handler(double)(2), int)
    assert_type(define_handler(GetWeather, lambda arguments: arguments.city)(GetWeather(city="Kyoto", days=1)), str)
    assert double(2) == 4


def test_the_model_is_told_openais_function_shape() -> None:
    assert tool_from(get_weather).to_dict() == {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Look up the weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Its name."},
                    "unit": {
                        "type": "string",
                        "enum": ["celsius", "fahrenheit"],
                        "default": "celsius",
                        "description": "Of the temperature.",
                    },
                },
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }


def test_the_dict_can_be_changed_without_changing_the_tool() -> None:
    made = tool_from(get_weather)
    made.to_dict()["function"]["parameters"].clear()
    assert "properties" in made.parameters


def test_a_tool_is_frozen_and_is_its_own_tool() -> None:
    made = tool_from(get_weather)
    assert tool_from(made) is made
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "other"  # type: ignore[misc]


def test_options_given_to_tool_from_make_another_tool() -> None:
    other = tool_from(get_weather, name="weather", needs_approval=False)
    assert (other.name, other.needs_approval) == ("weather", False)
    assert (tool_from(get_weather).name, tool_from(get_weather).needs_approval) == ("get_weather", True)


def test_the_decorators_arguments_are_the_tools() -> None:
    def ask(arguments: dict[str, Any], context: ToolContext) -> bool:
        return True

    @tool(name="x-1", description="Y.", needs_approval=ask, timeout=2, timeout_error="raise")
    def f() -> None: ...

    made = tool_from(f)
    assert (made.name, made.description, made.needs_approval) == ("x-1", "Y.", ask)
    assert (made.timeout, made.timeout_error) == (2, "raise")


def test_a_plain_function_needs_approval() -> None:
    """CONTRACT 23: every tool needs approval unless it says otherwise."""
    assert tool_from(lambda: None, name="nothing").needs_approval is True


def test_types_of_all_kinds_have_schemas_that_are_valid_and_closed() -> None:
    def f(  # noqa: PLR0917 - one of each kind
        place: Place,
        box: Box,
        size: Size,
        unit: Unit,
        when: datetime,
        price: Decimal,
        pair: tuple[int, str],
        unique: set[int],
        counts: dict[str, int],
        anything: Any,
        near: Annotated[float, Field(gt=0, lt=1, description="A share.")],
        day: date | None = None,
        boxes: list[Box] = [],  # noqa: B006 - never changed
    ) -> None: ...

    schema = tool_from(f).parameters
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert all(each.get("additionalProperties") is False for each in schema["$defs"].values() if "properties" in each)
    assert schema["$defs"]["Unit"]["enum"] == ["celsius", "fahrenheit"]
    assert schema["properties"]["near"] == {
        "type": "number",
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "description": "A share.",
    }
    assert schema["properties"]["day"]["default"] is None
    assert schema["properties"]["counts"]["additionalProperties"] == {"type": "integer"}
    assert "day" not in schema["required"]


def test_a_field_s_description_beats_the_docstrings() -> None:
    def f(a: Annotated[int, Field(description="From the annotation.")], b: int) -> None:
        """Do.

        Args:
            a: From the docstring.
            b: From the docstring.
        """

    assert properties(f)["a"]["description"] == "From the annotation."
    assert properties(f)["b"]["description"] == "From the docstring."


def test_parameters_may_be_called_what_pydantic_reserves() -> None:
    def f(schema: int, model_config: int, copy: int, _hidden: int, self_: int = 1) -> int:
        return schema + model_config + copy + _hidden + self_

    values = {"schema": 1, "model_config": 2, "copy": 3, "_hidden": 4, "self_": 5}
    assert list(properties(f)) == list(values)
    assert tool_from(f).validate(values) == values


def test_an_alias_is_the_name_the_model_uses() -> None:
    def f(sender: Annotated[str, Field(alias="from")]) -> None: ...

    assert list(properties(f)) == ["from"]
    assert tool_from(f).validate({"from": "me"}) == {"sender": "me"}


def test_a_default_written_as_a_field_counts() -> None:
    def f(days: int = Field(3, ge=1)) -> None: ...

    assert properties(f)["days"] == {"type": "integer", "default": 3, "minimum": 1}
    assert tool_from(f).validate("") == {"days": 3}


def test_a_default_that_json_cannot_tell_stays_the_functions_own() -> None:
    marker = Opaque()

    def f(days: int = marker) -> None: ...  # type: ignore[assignment]

    assert properties(f) == {"days": {"type": "integer"}}
    assert tool_from(f).validate("")["days"] is marker


def test_the_context_is_no_part_of_the_schema() -> None:
    """CONTRACT 19: the handler may take a context argument."""

    def f(city: str, context: ToolContext) -> None: ...
    def g(city: str, context: ToolContext | None = None) -> None: ...
    def h(city: str, context: str) -> None: ...

    assert list(properties(f)) == list(properties(g)) == ["city"]
    assert list(properties(h)) == ["city", "context"]


def test_generators_methods_partials_and_callable_objects_are_tools() -> None:
    class Service:
        def find(self, query: str) -> str:
            """Find."""
            return query

        def __call__(self, query: str) -> str:
            """Ask."""
            return query

    def steps(count: int) -> Iterator[int]:
        yield from range(count)

    async def later(count: int) -> AsyncIterator[int]:
        yield count

    made = [tool_from(each) for each in (Service().find, steps, later)]
    made += [tool_from(Service(), name="ask"), tool_from(functools.partial(steps, count=2))]
    assert [each.name for each in made] == ["find", "steps", "later", "ask", "steps"]
    assert [each.description for each in made] == ["Find.", "", "", "Ask.", ""]
    assert made[4].parameters["properties"]["count"]["default"] == 2


def test_a_bound_method_can_be_decorated() -> None:
    class Service:
        def find(self, query: str) -> str:
            return query + "!"

    find = tool(Service().find, needs_approval=False)
    assert find("x") == "x!"
    assert tool_from(find).needs_approval is False
    assert tool_from(find).handler is find


def test_a_decorator_on_top_is_run_too_and_the_options_stay() -> None:
    @tool(name="weather", needs_approval=False)
    def inner(city: str) -> str:
        return city

    @functools.wraps(inner)
    def outer(city: str) -> str:
        return inner(city).upper()

    made = tool_from(outer)
    assert (made.name, made.needs_approval) == ("weather", False)
    assert made.handler is outer


def test_a_pydantic_model_with_a_handler_is_a_tool() -> None:
    """CONTRACT 11: so are a pydantic model with a handler."""

    def handle(arguments: GetWeather) -> str:
        return arguments.city

    made = tool(GetWeather, handler=handle)
    assert_type(made, Tool)
    assert (made.name, made.description) == ("GetWeather", "Current weather for a city.")
    assert made.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Its name."},
            "days": {"type": "integer", "default": 3, "minimum": 1, "description": "How far ahead."},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert made.validate('{"city": "Kyoto"}') == {"city": "Kyoto", "days": 3}


def test_a_model_that_contains_itself_or_takes_extra_keys_is_a_tool() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    assert tool_from(Place).validate({"city": "a", "inside": {"city": "b"}})["inside"] == Place(city="b")
    assert tool_from(Place).parameters["type"] == "object"
    assert tool_from(Open).validate({"x": 1}) == {"x": 1}


@pytest.mark.parametrize("schema", [RAW, RAW["function"], {"type": "function", **RAW["function"]}])  # type: ignore[dict-item]
def test_a_raw_schema_is_a_tool(schema: dict[str, Any]) -> None:
    """CONTRACT 11: and a raw JSON schema."""
    made = tool(schema, name="find")
    assert (made.name, made.description, made.handler) == ("find", "Search.", None)
    assert made.parameters == {**RAW["function"]["parameters"], "additionalProperties": False}  # type: ignore[index]


def test_a_raw_schema_without_parameters_takes_none() -> None:
    made = tool_from({"name": "now"})
    assert made.parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    assert made.validate("") == {}


def test_a_raw_schema_may_be_open_if_it_says_so() -> None:
    made = tool_from({"name": "any", "parameters": {"type": "object", "additionalProperties": True}})
    assert made.validate({"x": [1]}) == {"x": [1]}


def test_the_repr_is_worth_reading() -> None:
    assert repr(tool_from(get_weather)) == (
        '<Tool get_weather(city: string, unit: "celsius" | "fahrenheit" = "celsius")'
        " — Look up the weather of a city. [asks first]>"
    )
    quiet = tool_from(GetWeather, needs_approval=False, timeout=30)
    assert repr(quiet).endswith("[never asks, 30 s, no handler]>")
    assert "may ask first" in repr(tool_from(get_weather, needs_approval=lambda arguments, context: True))


def test_the_short_signature_names_every_kind_of_type() -> None:
    def f(place: Place, when: date, tags: list[str], x: Any, y: int | str | None, z: Literal["a"] = "a") -> None: ...

    assert "(place: Place, when: date, tags: string[], x: any, y: integer | string | null, z: " in repr(tool_from(f))


def unannotated(city) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    ...


def starred(*cities: str) -> None: ...
def double_starred(**cities: str) -> None: ...
def positional(city: str, /) -> None: ...
def opaque(city: str, thing: Opaque) -> None: ...
def opaque_alone(thing: Opaque) -> None: ...
def function_typed(a: int, callback: Callable[[], int]) -> None: ...
def misnamed(city: str, ctx: ToolContext) -> None: ...
def bare_context(city: str, context) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def unresolved(city: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def bad_pattern(city: Annotated[str, Field(pattern="(")]) -> None: ...


def test_a_pattern_that_only_rust_reads_is_refused_at_definition() -> None:
    def f(city: Annotated[str, Field(pattern=r"^\p{L}+$")]) -> None: ...

    error = refused(f)
    assert error.field == "parameters"
    assert r"^\\p{L}+$" in error.message


@pytest.mark.parametrize(
    ("function", "name", "words"),
    [
        (unannotated, "city", "no annotation; say what it is, for example city: str"),
        (starred, "cities", "*cities"),
        (double_starred, "cities", "**cities"),
        (positional, "city", "positional-only"),
        (opaque, "thing", "Opaque has no JSON form"),
        (opaque_alone, "thing", "Opaque has no JSON form"),
        (function_typed, "callback", "can't be read"),
        (misnamed, "ctx", "must be called 'context'"),
        (bare_context, "context", "write context: ToolContext"),
        (unresolved, "city", "name 'Nowhere' is not defined"),
        (bad_pattern, "city", "regex parse error"),
    ],
)
def test_what_cannot_be_a_schema_says_so_at_definition(function: Any, name: str, words: str) -> None:
    error = refused(function)
    assert error.field == name
    assert words in error.message
    assert name in error.message


def test_a_method_in_its_class_is_told_to_be_bound() -> None:
    class Service:
        def find(self, query: str) -> str:
            return query

    error = refused(Service.find)
    assert error.field == "self"
    assert "bound method" in error.message


@pytest.mark.parametrize("name", ["", "a b", "a.b", "é", "x" * 65, "<script>", "a\n"])
def test_a_name_that_servers_refuse_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="tool's name") as caught:
        tool_from({"name": name})
    assert caught.value.field == "name"
    assert refused(lambda: None).field == "name"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"timeout_error": "ignore"}, "timeout_error"),
        ({"needs_approval": "yes"}, "needs_approval"),
        ({"description": 5}, "description"),
        ({"handler": print}, "handler"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], field: str) -> None:
    assert refused(get_weather, **options).field == field


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"type": "array"}, "type 'object'"),
        ({"properties": {"a": {"type": "text"}}}, "'text' is not valid"),
        ({"properties": {"a": {"minimum": "1"}}}, "'1' is not of type 'number'"),
        ({"properties": ["a"]}, "properties"),
        ({"properties": {"a": {"pattern": "("}}}, "not a 'regex'"),
        ({"properties": {"default": {"pattern": "("}}}, "not a 'regex'"),
        ({"patternProperties": {"(": {}}}, "not a 'regex'"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "which it doesn't have"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/a.json"}}}, "another document"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "another document"),
        ("object", "a dict"),
    ],
)
def test_an_invalid_raw_schema_is_refused_at_definition(parameters: Any, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        tool_from({"name": "bad", "parameters": parameters})
    assert caught.value.field == "parameters"
    assert words in caught.value.message


@pytest.mark.parametrize(
    "value", [5, None, "name", Opaque, {"type": "object", "properties": {}}, {"name": "a", "paramters": {}}]
)
def test_what_is_no_tool_at_all_is_refused(value: Any) -> None:
    assert refused(value).field == "tools"


def test_a_model_without_named_fields_is_refused() -> None:
    class Names(RootModel[dict[str, int]]):
        pass

    class Odd(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        thing: Opaque

    assert refused(Names).field == "parameters"
    assert "Odd has no JSON schema" in refused(Odd).message


def test_a_raw_schemas_handler_must_take_what_the_schema_gives() -> None:
    def takes_other(text: str) -> str:
        return text

    def takes_more(query: str, limit: int) -> str:
        return query

    assert refused(RAW, handler=takes_other).field == "query"
    assert refused(RAW, handler=takes_more).field == "limit"
    assert tool_from(RAW, handler=lambda **arguments: arguments).handler is not None
    clash = {"name": "a", "parameters": {"properties": {"context": {}}}}
    assert tool_from(clash).parameters["properties"] == {"context": {}}
    assert refused(clash, handler=lambda context: context).field == "context"


def test_a_function_is_made_a_tool_once() -> None:
    with pytest.raises(ValidationError, match="tool_from"):
        tool(get_weather, name="other")
