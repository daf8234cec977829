"""How a call's arguments become a call of the handler: three kinds of tools, one protocol."""

from __future__ import annotations

import copy
import inspect
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from llmkit.errors import ValidationError
from llmkit.tools.arguments import misfit
from llmkit.tools.checking import SchemaChecker
from llmkit.tools.docstring import Docstring, parse_docstring
from llmkit.tools.problems import Problem, field_path, shown
from llmkit.tools.schema import CONTEXT, arguments_model, described, read_signature, reason_of, schema_of, wants_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

_COMPOSED = {"$ref", "allOf", "anyOf", "oneOf", "if", "patternProperties", "unevaluatedProperties"}


@dataclass(frozen=True, slots=True)
class Bound:
    """Arguments that fit.

    Parameters
    ----------
    values : dict
        Python values by parameter name, defaults included.
    args, kwargs : tuple, dict
        What the handler is called with, the context apart.
    """

    values: dict[str, Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


class Binding(Protocol):
    """What a tool takes.

    Attributes
    ----------
    schema : dict
        The JSON schema of its arguments.
    takes_context : bool
        Whether the handler is given a context.
    """

    schema: dict[str, Any]
    takes_context: bool

    def bind(self, arguments: dict[str, Any]) -> Bound:
        """Return the arguments for the handler.

        Raises
        ------
        ToolArgumentsError
            If they don't fit the schema or the types behind it.
        """


class FunctionBinding:
    """Calls a typed function with its parameters by name."""

    def __init__(self, name: str, function: Callable[..., Any], docstring: Docstring) -> None:
        signature = read_signature(function)
        self.takes_context = signature.takes_context
        self._parameters = signature.parameters
        self._model = arguments_model(name, signature.parameters)
        self.schema = described(schema_of(self._model), docstring.parameters)
        self._checker = SchemaChecker(copy.deepcopy(self.schema), generated=True)

    def bind(self, arguments: dict[str, Any]) -> Bound:
        """Return the arguments for the handler."""
        self._checker.check(arguments)
        model = _validated(self._model, arguments)
        values = {each.name: self._value(model, number, each.default) for number, each in enumerate(self._parameters)}
        return Bound(values, kwargs=values)

    def _value(self, model: BaseModel, number: int, default: Any) -> Any:
        """Return an argument; of those not given the function's own default, where pydantic would give a copy."""
        from pydantic.fields import FieldInfo

        name = f"argument_{number}"
        given = name in model.model_fields_set or isinstance(default, FieldInfo)
        return getattr(model, name) if given or default is inspect.Parameter.empty else default


class ModelBinding:
    """Calls a handler with an instance of a pydantic model."""

    def __init__(self, model: type[BaseModel], handler: Callable[..., Any] | None) -> None:
        from pydantic import RootModel

        if issubclass(model, RootModel):
            raise ValidationError(
                f"{model.__name__} is a RootModel; a tool's model has fields with names.", field="parameters"
            )
        self.takes_context = handler is not None and wants_context(handler)
        self._model = model
        try:
            schema = schema_of(model)
        except Exception as error:
            why = reason_of(error)
            raise ValidationError(f"{model.__name__} has no JSON schema: {why}.", field="parameters") from error
        schema.pop("description", None)  # it is the tool's
        self.schema = described(schema, parse_docstring(model.__doc__).parameters)
        self._checker = SchemaChecker(copy.deepcopy(self.schema), generated=True)

    def bind(self, arguments: dict[str, Any]) -> Bound:
        """Return the arguments for the handler."""
        self._checker.check(arguments)
        model = _validated(self._model, arguments)
        return Bound(dict(model), args=(model,))


class SchemaBinding:
    """Calls a handler with what a raw JSON schema lets through, by name."""

    def __init__(self, schema: Mapping[str, Any], handler: Callable[..., Any] | None) -> None:
        self.schema = _object_schema(schema)
        self._checker = SchemaChecker(copy.deepcopy(self.schema))
        self.takes_context = handler is not None and wants_context(handler)
        if self.takes_context and CONTEXT in self.schema["properties"]:
            raise ValidationError(
                f"{CONTEXT!r} is a property of the schema, and the handler's name for the ToolContext; rename one.",
                field=CONTEXT,
            )
        if handler is not None:
            _check_takes(handler, self.schema["properties"])

    def bind(self, arguments: dict[str, Any]) -> Bound:
        """Return the arguments for the handler."""
        self._checker.check(arguments)
        return Bound(arguments, kwargs=arguments)


def _validated(model: type[BaseModel], arguments: dict[str, Any]) -> BaseModel:
    """Return the model's instance. The schema has settled the types, so pydantic may coerce: dates, enums, sets, …."""
    from pydantic import ValidationError as PydanticError

    try:
        return model.model_validate_json(json.dumps(arguments))
    except PydanticError as error:
        raise misfit([_problem(each) for each in error.errors(include_url=False)]) from error
    except Exception as error:  # a validator of the user's own
        raise misfit([Problem("", f"can't be checked ({type(error).__name__}: {error})")]) from error


def _problem(error: ErrorDetails) -> Problem:
    """Return a pydantic error in the words used for schema violations."""
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return Problem(field_path(error["loc"]), f"isn't accepted: {message} (it is {shown(error['input'])})")


def _object_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a raw schema as one of an object, closed to unknown keys unless it says something about them."""
    copied = copy.deepcopy(dict(schema))
    if copied.setdefault("type", "object") != "object":
        raise ValidationError(
            f"A tool's parameters are a JSON object, so their schema has type 'object', not {shown(copied['type'])}.",
            field="parameters",
        )
    if not isinstance(copied.setdefault("properties", {}), dict):
        raise ValidationError("The properties of a JSON schema are an object.", field="parameters")
    if not _COMPOSED & copied.keys():
        copied.setdefault("additionalProperties", False)
    return copied


def _check_takes(handler: Callable[..., Any], properties: Mapping[str, Any]) -> None:
    """Refuse a handler that can't be called with the schema's properties by name."""
    try:
        parameters = inspect.signature(handler).parameters
    except (TypeError, ValueError):  # some built-in functions don't tell
        return
    by_name = {
        name for name, each in parameters.items() if each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}
    }
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for name in properties:
        if name not in by_name and not takes_any:
            raise ValidationError(
                f"The schema has {shown(name)}, which the handler doesn't take; give it that parameter or **arguments.",
                field=name,
            )
    for name, each in parameters.items():
        needed = each.default is each.empty and each.kind not in {each.VAR_KEYWORD, each.VAR_POSITIONAL}
        if needed and name not in properties and name != CONTEXT:
            raise ValidationError(f"The handler needs {name!r}, which the schema doesn't have.", field=name)
