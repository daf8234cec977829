"""Making tools: of functions, of pydantic models, of JSON schemas."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, TypedDict, TypeVar, cast, overload

from llmkit.errors import ValidationError
from llmkit.tools.binding import FunctionBinding, ModelBinding, SchemaBinding
from llmkit.tools.docstring import parse_docstring
from llmkit.tools.problems import shown
from llmkit.tools.tool import Tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from pydantic import BaseModel

    from llmkit.tools.tool import Approval, TimeoutPolicy

F = TypeVar("F", bound="Callable[..., Any]")
M = TypeVar("M", bound="BaseModel")
R = TypeVar("R")

_MARK = "__llmkit_tool__"
_FUNCTION_KEYS = {"name", "description", "parameters", "strict"}


class ToolOptions(TypedDict, total=False):
    """What :func:`tool` and :func:`tool_from` may be told besides what the tool is made of."""

    name: str | None
    description: str | None
    needs_approval: Approval | None
    timeout: float | None
    timeout_error: TimeoutPolicy | None


@overload
def tool(value: None = None, /, **options: Unpack[ToolOptions]) -> Callable[[F], F]: ...
@overload
def tool(
    value: type[M], /, *, handler: Callable[Concatenate[M, ...], Any] | None = None, **options: Unpack[ToolOptions]
) -> Tool: ...
@overload
def tool(
    value: Mapping[str, Any], /, *, handler: Callable[..., Any] | None = None, **options: Unpack[ToolOptions]
) -> Tool: ...
@overload
def tool(value: F, /, **options: Unpack[ToolOptions]) -> F: ...
def tool(
    value: Any = None,
    /,
    *,
    handler: Callable[..., Any] | None = None,
    name: str | None = None,
    description: str | None = None,
    needs_approval: Approval | None = None,
    timeout: float | None = None,
    timeout_error: TimeoutPolicy | None = None,
) -> Any:
    """Make a tool of a typed function, a pydantic model, or a JSON schema.

    As a decorator, with or without arguments, it gives back the function itself, which is called as before; what the
    model is told comes from its name, type hints and docstring::

        @tool
        def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> dict:
            '''Current weather for a city.'''

        @tool(needs_approval=False, timeout=5.0)
        async def search(query: Annotated[str, Field(description="A few words.")]) -> list[str]: ...

        tool(GetWeather, handler=lambda arguments: ...)      # a pydantic model; the handler gets an instance
        tool({"name": …, "parameters": {…}}, handler=fetch)  # a JSON schema; the handler gets its properties by name

    A parameter ``context: ToolContext`` is kept from the model and given when the tool runs.

    Parameters
    ----------
    value : Callable, pydantic model class or mapping
        A function; a model; an OpenAI function schema, or a dict of name, description and parameters.
    handler : Callable, optional
        What a model or JSON schema runs, sync, async or a generator. Without one the tool can be called for, not run.
    name, description : str, optional
        Instead of the function's name and docstring.
    needs_approval : bool or Callable, optional
        Whether a person is asked before it runs: ``True`` by default, or a function of arguments and context.
    timeout : float, optional
        Seconds it may take.
    timeout_error : {"result", "raise"}, optional
        Whether being too slow is an error that the model sees (the default), or one that ends the run.

    Returns
    -------
    Callable or Tool
        The function, or the tool of a model or schema.

    Raises
    ------
    ValidationError
        For what can't be a schema; ``field`` names the parameter.
    """
    options = ToolOptions(
        name=name,
        description=description,
        needs_approval=needs_approval,
        timeout=timeout,
        timeout_error=timeout_error,
    )
    if value is None:
        return functools.partial(tool, **options)
    if isinstance(value, type | Mapping | Tool):
        return tool_from(value, handler=handler, **options)
    made = tool_from(value, handler=handler, **options)
    return _marked(value, made)


def tool_from(value: Any, *, handler: Callable[..., Any] | None = None, **options: Unpack[ToolOptions]) -> Tool:
    """Return the tool that a value is or stands for.

    Parameters
    ----------
    value : Tool, Callable, pydantic model class or mapping
        Whatever :func:`tool` takes or gives back.
    handler : Callable, optional
        For a model or a mapping.
    **options
        As for :func:`tool`; they replace what the value has already.

    Raises
    ------
    ValidationError
        For what can't be a tool; ``field`` names the parameter at fault.
    """
    given = {name: option for name, option in options.items() if option is not None}
    if isinstance(value, Mapping):
        return _from_schema(value, handler, given)
    if _is_model(value):
        return _from_model(value, handler, given)
    if handler is not None:
        raise ValidationError("handler=… belongs to a pydantic model or a JSON schema.", field="handler")
    if isinstance(value, Tool):
        return replace(value, **cast("Any", given)) if given else value
    if not callable(value) or isinstance(value, type):
        raise ValidationError(
            f"A tool is a typed function, a pydantic model, a JSON schema or a Tool, not {shown(repr(value))}.",
            field="tools",
        )
    made: Tool | None = getattr(value, _MARK, None)
    if made is None:
        return _from_function(value, given)
    if made.handler is value:
        return replace(made, **cast("Any", given)) if given else made
    # Another decorator took the mark over from the function it wraps: keep what the mark says, run what is here.
    return _from_function(value, {**_options_of(made), **given})


@overload
def define_handler(model: type[M], handler: Callable[[M], R], /) -> Callable[[M], R]: ...
@overload
def define_handler(handler: F, /) -> F: ...
def define_handler(*arguments: Any) -> Any:
    """Return a handler as it is, with its type.

    ``define_handler(GetWeather, lambda arguments: arguments.city)`` tells a type checker, and an editor's completion,
    what ``arguments`` is; ``define_handler(function)`` is the function.
    """
    return arguments[-1]


def _from_function(function: Callable[..., Any], given: Mapping[str, Any]) -> Tool:
    inner = _inner(function)
    name = given.get("name") or getattr(inner, "__name__", "")
    called = inner if inspect.isroutine(inner) else type(inner).__call__
    docstring = parse_docstring(called.__doc__)
    binding = FunctionBinding(str(name), function, docstring)
    found = {"name": name, "description": docstring.description, **given}
    return Tool(**found, parameters=binding.schema, handler=function, _binding=binding)


def _from_model(model: type[BaseModel], handler: Callable[..., Any] | None, given: Mapping[str, Any]) -> Tool:
    binding = ModelBinding(model, handler)
    found = {"name": model.__name__, "description": parse_docstring(model.__doc__).description, **given}
    return Tool(**found, parameters=binding.schema, handler=handler, _binding=binding)


def _from_schema(schema: Mapping[str, Any], handler: Callable[..., Any] | None, given: Mapping[str, Any]) -> Tool:
    function = schema.get("function", {key: value for key, value in schema.items() if key != "type"})
    if schema.get("type", "function") != "function" or not isinstance(function, Mapping) or "name" not in function:
        raise ValidationError(
            "A tool's JSON schema is {'name', 'description', 'parameters'} or OpenAI's function shape.", field="tools"
        )
    if unknown := function.keys() - _FUNCTION_KEYS:
        raise ValidationError(f"A tool's JSON schema has no field {shown(min(map(str, unknown)))}.", field="tools")
    parameters = function.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise ValidationError(
            f"A tool's parameters are a JSON schema, a dict, not {shown(repr(parameters))}.", field="parameters"
        )
    binding = SchemaBinding(parameters, handler)
    found = {"name": function["name"], "description": function.get("description") or "", **given}
    return Tool(**found, parameters=binding.schema, handler=handler, _binding=binding)


def _is_model(value: object) -> bool:
    from pydantic import BaseModel

    return isinstance(value, type) and issubclass(value, BaseModel)


def _inner(function: Any) -> Any:
    """Return the function within a ``functools.partial``, which has neither a name nor a docstring of its own."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _options_of(made: Tool) -> dict[str, Any]:
    return {name: getattr(made, name) for name in ToolOptions.__annotations__}


def _marked(function: Any, made: Tool) -> Any:
    """Return the function, with its tool kept on it."""
    marked: Any = vars(function).get(_MARK) if hasattr(function, "__dict__") else None
    if marked is not None and marked.handler is function:
        raise ValidationError(
            f"{made.name!r} is a tool already; tool_from(function, …) makes another Tool of it.", field="tools"
        )
    if hasattr(function, "__self__"):  # a method can't keep anything
        function = functools.partial(function)
        made = replace(made, handler=function)
    setattr(function, _MARK, made)
    return function
