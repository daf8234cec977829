"""JSON schemas of functions and pydantic models, as pydantic writes them and closed to unknown keys.

Two things differ from ``model_json_schema()``: ``additionalProperties`` is false wherever a type doesn't say otherwise,
and titles that pydantic makes up from names are left out, because they cost prompt tokens and say nothing.
"""

from __future__ import annotations

import inspect
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from llmkit.errors import ValidationError
from llmkit.tools.checking import subschemas
from llmkit.tools.context import ToolContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

CONTEXT = "context"
"""The name of the parameter that a :class:`ToolContext` is given to."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a function as its schema needs it: ``annotation`` resolved, ``default`` perhaps ``empty``."""

    name: str
    annotation: Any
    default: Any


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's parameters, and whether it takes a context besides."""

    parameters: tuple[Parameter, ...]
    takes_context: bool


def read_signature(function: Callable[..., Any]) -> Signature:
    """Return a function's parameters.

    Raises
    ------
    ValidationError
        For a parameter that can't be part of a schema: without annotation, ``*args``, ``**kwargs``, positional-only;
        the error's ``field`` is its name.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ValidationError(
            f"{function!r} doesn't tell its parameters; wrap it in a function with annotations.", field="tools"
        ) from error
    parameters = []
    takes_context = False
    for each in signature.parameters.values():
        _check_kind(each)
        annotation = _resolved(function, each)
        if _is_context(annotation):
            if each.name != CONTEXT:
                raise ValidationError(
                    f"The parameter {each.name!r} is a ToolContext, so it must be called {CONTEXT!r}.", field=each.name
                )
            takes_context = True
        else:
            parameters.append(Parameter(each.name, annotation, each.default))
    return Signature(tuple(parameters), takes_context)


def wants_context(handler: Callable[..., Any]) -> bool:
    """Return whether a handler of a model or of a raw schema has a parameter for the context."""
    try:
        return CONTEXT in inspect.signature(handler).parameters
    except (TypeError, ValueError):  # some built-in functions don't tell
        return False


def arguments_model(name: str, parameters: tuple[Parameter, ...]) -> type[BaseModel]:
    """Return a pydantic model of a function's arguments.

    Its fields have names of their own, ``argument_0`` and so on, with the parameters' names as aliases: pydantic
    refuses fields called ``schema`` or ``_x``.

    Raises
    ------
    ValidationError
        For a parameter whose type has no JSON schema; the error's ``field`` is its name.
    """
    try:
        return _built(name, parameters)
    except Exception as error:  # noqa: BLE001 - which parameter it is, only trying each one tells
        failures = ((each, _failure(name, each)) for each in parameters)
        guilty, reason = next((pair for pair in failures if pair[1] is not None), (parameters[0], error))
        raise _no_schema(guilty, reason or error) from reason


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a model's JSON form, closed to unknown keys."""
    from pydantic.json_schema import GenerateJsonSchema

    class Generate(GenerateJsonSchema):
        # A default that JSON can't tell is simply not told.
        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - pydantic's declaration

        def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
            return False

    schema = model.model_json_schema(schema_generator=Generate)
    root = schema.pop("$ref", None)
    if root is not None:  # a model that contains itself
        schema = {**schema["$defs"][root.rpartition("/")[2]], **schema}
    if not model.model_config.get("title"):
        schema.pop("title", None)
    for each in subschemas(schema):
        if "properties" in each:
            each.setdefault("additionalProperties", False)
    return schema


def described(schema: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return a schema whose properties have a docstring's descriptions where they have none of their own."""
    properties = {
        name: {**value, "description": parameters[name]} if name in parameters and "description" not in value else value
        for name, value in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties}


def _check_kind(parameter: inspect.Parameter) -> None:
    name = parameter.name
    match parameter.kind:
        case parameter.VAR_POSITIONAL | parameter.VAR_KEYWORD:
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            why = f"{stars}{name} can't be part of a schema; name each parameter"
        case parameter.POSITIONAL_ONLY:
            why = f"the parameter {name!r} is positional-only, but tools are called by name; remove the '/'"
        case _ if parameter.annotation is not parameter.empty:
            return
        case _ if name in {"self", "cls"}:
            why = f"{name!r} has no annotation; make a tool of the bound method, not of the function in the class"
        case _ if name == CONTEXT:
            why = f"the parameter {name!r} has no annotation; write context: ToolContext"
        case _:
            why = f"the parameter {name!r} has no annotation; say what it is, for example {name}: str"
    raise ValidationError(f"This function can't be a tool: {why}.", field=name)


def _resolved(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return a parameter's annotation, evaluated where the function was written if it is a string."""
    innermost = inspect.unwrap(getattr(function, "func", function))
    if not hasattr(innermost, "__globals__"):
        innermost = getattr(innermost, "__func__", type(innermost).__call__)
    names = getattr(innermost, "__globals__", {})
    holder = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        return typing.get_type_hints(holder, globalns=names, include_extras=True)[parameter.name]
    except Exception as error:
        raise ValidationError(
            f"The annotation of {parameter.name!r} can't be read ({error}). "
            "Its names must be defined at the top level of the module or notebook, not under TYPE_CHECKING.",
            field=parameter.name,
        ) from error


def _is_context(annotation: Any) -> bool:
    """Whether an annotation is ``ToolContext``, perhaps with a remark or ``| None``."""
    if typing.get_origin(annotation) in {Annotated, typing.Union, types.UnionType}:
        return any(_is_context(each) for each in typing.get_args(annotation))
    return annotation is ToolContext


def _built(name: str, parameters: tuple[Parameter, ...]) -> type[BaseModel]:
    from pydantic import ConfigDict, create_model

    fields: dict[str, Any] = {
        f"argument_{number}": (_aliased(each), ... if each.default is inspect.Parameter.empty else each.default)
        for number, each in enumerate(parameters)
    }
    model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    schema_of(model)
    return model


def _failure(name: str, parameter: Parameter) -> Exception | None:
    """Return why a parameter can't be part of a schema."""
    try:
        _built(name, (parameter,))
    except Exception as error:  # noqa: BLE001 - the caller raises it in its own words
        return error
    return None


def _aliased(parameter: Parameter) -> Any:
    """Return an annotation with the parameter's name as alias; an alias of its own comes later and so wins."""
    from pydantic import Field

    alias = Field(alias=parameter.name)
    if typing.get_origin(parameter.annotation) is Annotated:
        kind, *remarks = typing.get_args(parameter.annotation)
        return Annotated.__class_getitem__((kind, alias, *remarks))
    return Annotated[parameter.annotation, alias]


def _no_schema(parameter: Parameter, error: Exception) -> ValidationError:
    kind = parameter.annotation
    if typing.get_origin(kind) is Annotated:
        kind = typing.get_args(kind)[0]
    return ValidationError(
        f"The parameter {parameter.name!r} can't be part of a schema: {inspect.formatannotation(kind)} has no JSON "
        f"form ({reason_of(error)}). Use a number, text, list, dict, Literal, Enum, dataclass, TypedDict or pydantic "
        "model.",
        field=parameter.name,
    )


def reason_of(error: Exception) -> str:
    """Return what pydantic says of a type it can't describe, without its advice and links."""
    told = str(error).partition("Set `arbitrary_types_allowed")[0].partition("For further information")[0]
    words = " ".join(told.split()).removesuffix(".")
    return words if len(words) <= 300 else words[:299] + "…"
